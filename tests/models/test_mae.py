"""The masked autoencoder against the official one: predictions, targets, loss, masks and gradients."""

from hiera_mm.errors import UserError
from hiera_mm.models import MaskedAutoencoder
from hiera_mm.models.masking import zeroed
from hiera_mm.weights.formats import part_of, to_our_names, to_their_names
from hiera_mm.weights.load import fit_to_model

import hiera
import pytest
import torch
import torch.nn as nn

SMALL = dict(embed_dim=16, num_heads=1, depths=(1, 2, 2, 1))
OFFICIAL = dict(embed_dim=16, num_heads=1, stages=(1, 2, 2, 1), q_pool=2)
DECODER = dict(decoder_embed_dim=32, decoder_depth=2, decoder_num_heads=4)
CLIPS = dict(
    **dict(q_stride=(1, 2, 2), mask_unit_size=(1, 8, 8), sep_pos_embed=True),
    **dict(patch_kernel=(3, 7, 7), patch_stride=(2, 4, 4), patch_padding=(1, 3, 3)),
)


def both(input_size, ratio, **official):
    """The official autoencoder with weights away from their start, and ours with the same."""
    torch.manual_seed(0)
    clips = CLIPS if len(input_size) == 3 else {}
    oracle = hiera.MaskedAutoencoderHiera(**OFFICIAL, **DECODER, **clips, input_size=input_size, **official)
    for parameter in oracle.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    frames = input_size[0] if clips else None
    backbone = dict(type='Hiera', arch=SMALL, num_frames=frames, in_channels=official.get('in_chans', 3))
    model = MaskedAutoencoder(backbone, input_size, mask_ratio=ratio, **DECODER)
    if model.backbone.num_frames is None:
        model.backbone.pos_embed = nn.Parameter(torch.empty_like(oracle.pos_embed))
    else:
        model.backbone.pos_embed_spatial = nn.Parameter(torch.empty_like(oracle.pos_embed_spatial))
    model.load_state_dict(named(to_our_names(dict(model_state=oracle.state_dict()), 'oracle').tensors))
    return oracle, model


def named(tensors):
    return {key if part_of(key) else f'backbone.{key}': value for key, value in tensors.items()}


@pytest.mark.parametrize(
    'size, ratio, channels',
    [
        *[((96, 96), 0.6, 3), ((64, 64), 0.25, 3), ((4, 96, 96), 0.9, 3), ((16, 64, 64), 0.5, 3)],
        *[((64, 64), 0.6, 1), ((96, 96), 0.6, 8), ((4, 64, 64), 0.5, 1), ((4, 64, 64), 0.75, 4)],
    ],
)
@pytest.mark.usefixtures('kernels')
def test_loss_and_predictions_are_the_official_ones(size, ratio, channels):
    oracle, model = both(size, ratio, in_chans=channels)
    pixels = torch.randn(3, channels, *size)
    torch.manual_seed(1)
    loss, predicted, labels, keep = oracle(pixels, mask_ratio=ratio)
    assert keep.sum(dim=1).tolist() == [model.kept] * 3
    torch.testing.assert_close(model.loss(pixels, keep), loss, rtol=1e-4, atol=1e-5)
    ours, targets = model.reconstruct(pixels, keep), model.targets(pixels)
    # The official ones in reading order of the whole grid; ours by units.
    masked = in_reading_order(model, (~keep)[..., None, None].expand(-1, -1, 4, 1)).squeeze(-1)
    torch.testing.assert_close(in_reading_order(model, ours)[masked], predicted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(in_reading_order(model, targets)[masked], labels, rtol=1e-4, atol=1e-4)


def in_reading_order(model, units):
    rows, columns = model.grid[-2:]
    batch, _, _, channels = units.shape
    return units.reshape(batch, -1, rows, columns, 2, 2, channels).transpose(3, 4).reshape(batch, -1, channels)


@pytest.mark.usefixtures('kernels')
def test_gradients_are_the_official_ones():
    oracle, model = both((96, 96), 0.6)
    pixels = torch.randn(2, 3, 96, 96)
    loss, _, _, keep = oracle(pixels)
    loss.backward()
    model.loss(pixels, keep).backward()
    official = named(to_our_names({key: p.grad for key, p in oracle.named_parameters()}, 'oracle').tensors)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, official[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('size, ratio, kept', [((224, 224), 0.6, 19), ((16, 224, 224), 0.9, 39)])
def test_masks_keep_as_many_units_as_the_official_ones(size, ratio, kept):
    frames = size[0] if len(size) == 3 else None
    model = MaskedAutoencoder(dict(type='Hiera', arch=SMALL, num_frames=frames), size, ratio, **DECODER)
    draws = 2000
    keep = model.random_keep(draws)
    assert keep.dtype == torch.bool and keep.sum(dim=1).tolist() == [kept] * draws
    share = kept / keep.shape[1]
    deviation = (share * (1 - share) / draws) ** 0.5
    assert (keep.float().mean(dim=0) - share).abs().max() < 5 * deviation, 'every unit has its turn as often'
    assert not torch.equal(keep[0], keep[1])


def test_masked_pixels_do_not_reach_what_is_seen():
    _, model = both((96, 96), 0.6)
    keep = model.random_keep(2)
    pixels = torch.randn(2, 3, 96, 96)
    elsewhere = pixels + 5 * torch.randn_like(pixels) * (1 - zeroed(torch.ones_like(pixels), keep, model.grid))
    torch.testing.assert_close(model.reconstruct(pixels, keep), model.reconstruct(elsewhere, keep))


@pytest.mark.parametrize('size, frames', [((100, 96), None), ((96,), None), ((3, 96, 96), 4), ((96, 96), 4)])
def test_sizes_that_units_do_not_fill_are_refused(size, frames):
    with pytest.raises(UserError, match='A masked autoencoder .*needs input_size = '):
        MaskedAutoencoder(dict(type='Hiera', arch=SMALL, num_frames=frames), size, **DECODER)


@pytest.mark.parametrize('ratio', [0.0, 1.0, 0.95])
def test_a_ratio_that_leaves_nothing_is_refused(ratio):
    with pytest.raises(UserError, match='some must be kept and some masked'):
        MaskedAutoencoder(dict(type='Hiera', arch=SMALL), (64, 96), ratio, **DECODER)


# Counted independently.
@pytest.mark.parametrize('arch, millions', dict(t=55.02, s=62.12, b=78.64, bp=97.58, l=242.88, h=710.08).items())
def test_parameters_are_those_of_the_published_checkpoints(arch, millions):
    with torch.device('meta'):
        model = MaskedAutoencoder(dict(type='Hiera', arch=arch))
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_published_autoencoder_fills_backbone_and_decoder():
    oracle, _ = both((96, 96), 0.6)
    model = MaskedAutoencoder(dict(type='Hiera', arch=SMALL, pos_embed_size=24), (96, 96), **DECODER)
    state, report = fit_to_model(model, dict(model_state=oracle.state_dict()), 'mae.pth')
    model.load_state_dict(state)
    pixels = torch.randn(2, 3, 96, 96)
    loss, _, _, keep = oracle(pixels)
    torch.testing.assert_close(model.loss(pixels, keep), loss, rtol=1e-4, atol=1e-5)
    assert 'not in the file, so left as initialised: no keys' in report


def test_an_autoencoder_of_this_suite_becomes_an_official_one():
    oracle, model = both((96, 96), 0.6)
    content, left_out = to_their_names(to_our_names(dict(state_dict=model.state_dict()), 'own.pth').tensors, 'meta')
    assert not left_out
    other = hiera.MaskedAutoencoderHiera(**OFFICIAL, **DECODER, input_size=(96, 96))
    other.load_state_dict(content)
    for key, value in oracle.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


def test_half_precision_keeps_the_loss_and_its_statistics():
    _, model = both((96, 96), 0.6)
    pixels, keep = torch.randn(4, 3, 96, 96), model.random_keep(4)
    exact = model.loss(pixels, keep)
    with torch.autocast('cpu', torch.bfloat16):
        loss, targets = model.loss(pixels, keep), model.targets(pixels)
    assert loss.dtype == targets.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.02, atol=0)


def test_frames_are_the_way_back_from_patches():
    for size in ((64, 96), (4, 64, 96)):
        model = MaskedAutoencoder(dict(type='Hiera', arch=SMALL, num_frames=size[0] if len(size) == 3 else None), size)
        pixels = torch.randn(2, 3, *size)
        expected = pixels[:, :, ::2] if len(size) == 3 else pixels[:, :, None]
        assert torch.equal(model.frames(model.patches(pixels)), expected)


def test_compiling_sees_one_graph():
    _, model = both((64, 64), 0.5)
    pixels, keep = torch.randn(2, 3, 64, 64), model.random_keep(2)
    explained = torch._dynamo.explain(model.loss)(pixels, keep)
    assert explained.graph_count == 1 and explained.graph_break_count == 0


@pytest.mark.parametrize('channels', [1, 5])
def test_patches_of_any_channels_come_back(channels):
    model = MaskedAutoencoder(dict(type='Hiera', arch=SMALL, in_channels=channels), (64, 96), **DECODER)
    pixels = torch.randn(2, channels, 64, 96)
    assert torch.equal(model.frames(model.patches(pixels)).squeeze(2), pixels)


def test_other_inputs_than_it_was_made_for_are_told():
    image = dict(type='Hiera', arch=SMALL)
    with pytest.raises(UserError, match=r'of images needs input_size = \(H, W\), .* set num_frames on the backbone'):
        MaskedAutoencoder(image, (16, 128, 128))
    with pytest.raises(UserError, match=r'of clips needs input_size = \(T, H, W\)'):
        MaskedAutoencoder(dict(image, num_frames=16), (128, 128))
    with pytest.raises(UserError, match="leave 'window_sizes' out here"):
        MaskedAutoencoder(dict(image, window_sizes=(8, 4, 14, 7)), (128, 128))
    model = MaskedAutoencoder(image, (64, 64), **DECODER)
    with pytest.raises(UserError, match=r'takes inputs of input_size = \(64, 64\), but these are \(96, 96\)'):
        model(torch.randn(1, 1, 3, 96, 96), mode='loss')
    with pytest.raises(UserError, match='takes 3 channels, but got 4; set in_channels=4'):
        model(torch.randn(1, 1, 4, 64, 64), mode='loss')


@pytest.mark.parametrize('frames', [None, 4])
def test_pooled_shortcuts_widen_where_nothing_is_pooled(frames):
    """The last stage of an autoencoder's encoder, which keeps its tokens, and doubles its width."""
    arch = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1), pooled_shortcut=True)
    size = (64, 64) if frames is None else (frames, 64, 64)
    model = MaskedAutoencoder(
        dict(type='Hiera', arch=arch, num_frames=frames),
        input_size=size,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=1,
    )
    loss = model(torch.rand(2, 1, 3, *size), mode='loss')['loss']
    loss.backward()
    assert torch.isfinite(loss) and all(p.grad is not None for p in model.backbone.blocks.parameters())
