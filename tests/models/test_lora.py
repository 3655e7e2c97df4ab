"""Low-rank updates by peft: what is trained, what files hold, and what is left after merging."""

from hiera_mm.errors import UserError
from hiera_mm.models import Hiera
from hiera_mm.models.lora import merge_lora

import hiera
import pytest
import torch

from tests.helpers import assert_same_maps, perturbed

ARCH = dict(embed_dim=16, num_heads=1, depths=(1, 2, 2, 1))
UPDATES = dict(r=4, lora_alpha=8)


def updated(**arguments):
    """With updates that are no longer zero."""
    model = Hiera(ARCH, lora=UPDATES, **arguments)
    return perturbed(model).eval()


def test_a_start_is_the_published_model(tmp_path):
    oracle = perturbed(hiera.Hiera(embed_dim=16, num_heads=1, stages=(1, 2, 2, 1))).eval()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'published.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'published.pth'))
    model = Hiera(ARCH, lora=UPDATES, init_cfg=init_cfg)
    model.init_weights()
    pixels = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        maps = model.eval()(pixels)
        expected = oracle(pixels, return_intermediates=True)[1]
    assert_same_maps(maps, [each.permute(0, 3, 1, 2) for each in expected])


@pytest.mark.parametrize('arguments', [dict(), dict(with_cp=True), dict(window_sizes=(8, 4, 4, 2), global_blocks=(4,))])
def test_updates_and_new_norms_are_all_that_is_learned(arguments):
    model = Hiera(ARCH, lora=UPDATES, out_norm=True, **arguments)
    sum(each.square().mean() for each in model(torch.randn(2, 3, 96, 96))).backward()
    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learned == {name for name, _ in model.named_parameters() if 'lora_' in name or name.startswith('out_norms')}
    # Of each block's two layers in attention, two matrices.
    assert sum('lora_' in name for name in learned) == 4 * sum(ARCH['depths'])


def test_a_file_has_the_names_of_a_model_without_updates_beside_them():
    model, plain = updated(), Hiera(ARCH)
    state = model.state_dict()
    assert {name for name in state if 'lora_' not in name} == set(plain.state_dict())
    other = Hiera(ARCH, lora=UPDATES).eval()
    other.load_state_dict(state)
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert_same_maps(other(pixels), model(pixels), 0)


@pytest.mark.parametrize('frames', [None, 4])
def test_merged_it_is_a_plain_model_of_the_same_maps(frames):
    model = updated(num_frames=frames)
    pixels = torch.randn(1, 3, *([frames] if frames else []), 64, 96)
    with torch.no_grad():
        expected = model(pixels)
        merge_lora(model)
        assert_same_maps(model(pixels), expected)
        plain = Hiera(ARCH, num_frames=frames).eval()
        plain.load_state_dict(model.state_dict())
        assert_same_maps(plain(pixels), model(pixels), 0)


def test_layer_decay_leaves_updates_the_whole_rate():
    model = Hiera(ARCH, lora=UPDATES)
    first = next(name for name, _ in model.named_parameters() if 'lora_' in name)
    assert first.startswith('blocks.0.') and model.get_layer_depth(first) == (7, 8)


@pytest.mark.parametrize('settings', [dict(rank=4), dict(r=0), dict(r=4, target_modules=['nothing'])])
def test_settings_that_peft_refuses_are_told(settings):
    with pytest.raises(UserError, match='peft refuses model.backbone.lora'):
        Hiera(ARCH, lora=settings)
