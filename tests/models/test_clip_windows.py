"""Windows of clips, which no published model has: against SAM 2's trunk time by time, and clips cut into pieces."""

from hiera_mm.complexity import count_macs
from hiera_mm.models import Hiera
from hiera_mm.models.hiera import Attention
from hiera_mm.models.mask_units import cut_into_windows

import pytest
import torch
from sam2.modeling.backbones.hieradet import Hiera as Sam2Trunk

from tests.helpers import assert_same_maps, perturbed
from tests.models.test_windows import SMALL, with_weights_of

WINDOWS = (8, 4, 4, 2)


@pytest.mark.parametrize('size', [(64, 128), (160, 96)])
@pytest.mark.usefixtures('kernels')
def test_windows_of_one_time_equal_sam2s_trunk_on_each(size):
    settings = dict(embed_dim=16, num_heads=1, stages=SMALL['depths'], window_spec=WINDOWS, global_att_blocks=())
    trunk = perturbed(Sam2Trunk(**settings, window_pos_embed_bkg_spatial_size=(7, 7))).eval()
    clips = dict(num_frames=4, window_sizes=WINDOWS, window_frames=2)
    model = perturbed(Hiera(SMALL, **clips)).eval()
    blocks = with_weights_of(trunk, Hiera(SMALL, pos_embed='absolute_win', pos_embed_size=7)).blocks
    model.blocks.load_state_dict(blocks.state_dict())

    clip = torch.randn(2, 3, 6, *size)
    with torch.no_grad():
        embedded = model.patch_embed(clip)
        embedded = embedded + model._position_embedding(embedded.shape[2:])
        trunk.patch_embed = torch.nn.Identity()
        trunk._get_pos_embed = lambda _: 0
        expected = trunk(embedded.transpose(1, 2).flatten(0, 1).permute(0, 2, 3, 1))
        maps = [each.transpose(1, 2).flatten(0, 1) for each in model(clip)]
    assert_same_maps(maps, expected)


@pytest.mark.usefixtures('kernels')
def test_windows_that_fill_the_picture_equal_attention_over_each_piece_of_the_clip():
    model = perturbed(Hiera(SMALL, num_frames=4)).eval()
    windowed = Hiera(SMALL, num_frames=4, window_sizes=(8, 4, 6, 3), window_frames=4).eval()
    for each in (model, windowed):
        each.load_state_dict(model.state_dict())
        with torch.no_grad():
            # So that a piece's tokens are the whole clip's: no frame before it, no positions in time.
            each.patch_embed.proj.weight[:, :, 0] = 0
            each.pos_embed_temporal.zero_()
    clip = torch.randn(2, 3, 12, 96, 96)
    with torch.no_grad():
        pieces = [model(piece) for piece in clip.split(4, dim=2)]
        expected = [torch.cat(maps, dim=2) for maps in zip(*pieces, strict=True)]
        assert_same_maps(windowed(clip), expected)
        assert (model(clip)[3] - expected[3]).abs().max() > 0.01 * expected[3].abs().max()


@pytest.mark.parametrize('grid', [(3, 3, 2), (1, 1, 1), (2, 2, 2)])
def test_windows_that_leave_the_clip_are_filled_with_zeros(grid):
    attention = perturbed(Attention(8, 8, heads=2, window_side=2, window_times=2, pools=False))
    whole = perturbed(Attention(8, 8, heads=2, window_side=None, window_times=None, pools=False))
    whole.load_state_dict(attention.state_dict())
    regions = cut_into_windows(grid, side=2, window_times=2)
    units = torch.randn(1, sum(region.units for region in regions), 4, 8)
    expected, start = [], 0
    for region in regions:
        size = region.units // region.windows
        for _ in range(region.windows):
            filled = torch.zeros(1, 8, 4, 8)
            filled[:, :size] = units[:, start : start + size]
            expected.append(whole(filled, ())[:, :size])
            start += size
    torch.testing.assert_close(attention(units, regions), torch.cat(expected, dim=1))


@pytest.mark.usefixtures('kernels')
def test_gradients_reach_every_weight_and_training_gives_the_maps_of_testing():
    model = perturbed(Hiera(SMALL, num_frames=4, window_sizes=WINDOWS, window_frames=4, global_blocks=(4,)))
    clip = torch.randn(2, 3, 6, 96, 64)
    maps = model(clip)
    sum(each.square().mean() for each in maps).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    with torch.no_grad():
        assert_same_maps(model.eval()(clip), [each.detach() for each in maps])


def test_operations_in_windows_grow_with_the_volume():
    def macs(side, **windows):
        with torch.device('meta'):
            model = Hiera('t', num_frames=96, in_channels=1, **windows).eval()
            return count_macs(model, torch.empty(1, 1, side, side, side))[0]

    windows = dict(window_sizes=(8, 4, 4, 2), window_frames=32)
    in_windows, everywhere = macs(256, **windows) / macs(128, **windows), macs(256) / macs(128)
    assert in_windows == pytest.approx(8, rel=0.01) and everywhere > 20
