"""The backbone under autocast: all weights cast at once, and in predictions the stream in bfloat16."""

import copy

from hiera_mm.models import Hiera, half_precision, hiera
from hiera_mm.models.half_precision import CastAll

import pytest
import torch

from tests.helpers import perturbed

ARCH = dict(embed_dim=16, num_heads=1, depths=(1, 2, 2, 1))
MODELS = dict(
    images=dict(),
    windows=dict(
        window_sizes=(8, 4, 2, 1), global_blocks=(4,), pos_embed='absolute_win', pos_embed_size=7, out_norm=True
    ),
    clips=dict(num_frames=4),
    recomputed=dict(with_cp=True),
    frozen=dict(frozen_stages=2),
    low_rank=dict(lora=dict(r=4)),
)


def model_and_pixels(name, **more):
    torch.manual_seed(0)
    model = perturbed(Hiera(ARCH, **MODELS[name], **more)).train()
    frames = [4] if name == 'clips' else []
    return model, torch.randn(2, 3, *frames, 96, 128)


def gradients(model, pixels, precision):
    model.zero_grad()
    with torch.autocast('cpu', precision or torch.bfloat16, enabled=precision is not None):
        maps = model(pixels)
        loss = sum(stage_map.float().square().mean() for stage_map in maps)
    loss.backward()
    return maps, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def distance(found, expected):
    return float((found.float() - expected).norm() / expected.norm())


@pytest.mark.parametrize('precision', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('name', MODELS)
def test_maps_and_gradients_in_training_are_those_of_plain_autocast(name, precision, monkeypatch):
    model, pixels = model_and_pixels(name)
    maps, found = gradients(model, pixels, precision)
    monkeypatch.setattr(half_precision, 'in_half_precision', lambda module, method, *given: method(*given))
    monkeypatch.setattr(hiera, 'in_half_precision', half_precision.in_half_precision)
    expected_maps, expected = gradients(model, pixels, precision)
    assert all(torch.equal(*pair) for pair in zip(maps, expected_maps, strict=True))
    assert found.keys() == expected.keys() and all(gradient.dtype == torch.float32 for gradient in found.values())
    for parameter, gradient in found.items():
        torch.testing.assert_close(gradient, expected[parameter])


@pytest.mark.parametrize('name', MODELS)
def test_maps_of_predictions_are_nearly_those_of_float32(name):
    model, pixels = model_and_pixels(name)
    with torch.no_grad():
        expected = model(pixels)
        with torch.autocast('cpu', torch.bfloat16):
            maps = model(pixels)
    for stage_map, wanted in zip(maps, expected, strict=True):
        assert stage_map.dtype == torch.bfloat16 and distance(stage_map, wanted) < 0.02


@pytest.mark.parametrize('name', ['images', 'windows', 'clips'])
def test_in_bfloat16_the_maps_are_those_of_a_backbone_in_bfloat16(name):
    model, pixels = model_and_pixels(name)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        found = model.eval()(pixels)
    whole = copy.deepcopy(model).bfloat16()
    for position in model.no_weight_decay():
        # Tables are resized before they are rounded.
        whole.get_parameter(position).data = model.get_parameter(position).data
    with torch.no_grad():
        for stage_map, wanted in zip(found, whole(pixels.bfloat16()), strict=True):
            assert torch.equal(stage_map, wanted)


def test_recomputing_gives_the_same_gradients():
    stored, pixels = model_and_pixels('images')
    recomputed, _ = model_and_pixels('recomputed')
    one, other = (gradients(model, pixels, torch.bfloat16)[1] for model in (stored, recomputed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_hooks_run_once_and_weights_are_as_before():
    model, pixels = model_and_pixels('images')
    calls, before = [], dict(model.named_parameters())
    model.register_forward_hook(lambda *_: calls.append(1))
    with torch.autocast('cpu', torch.bfloat16):
        model(pixels)
    assert len(calls) == 1 and all(parameter is before[name] for name, parameter in model.named_parameters())


def test_weights_and_gradients_are_cast_in_one_call_each():
    weights = [torch.randn(3, 4, requires_grad=True), torch.randn(5, requires_grad=True)]
    cast = CastAll.apply(torch.bfloat16, *weights)
    assert all(torch.equal(one, weight.bfloat16()) for one, weight in zip(cast, weights, strict=True))
    (cast[0].float() * 3).sum().backward()
    assert torch.equal(weights[0].grad, torch.full((3, 4), 3.0)) and weights[1].grad is None


@pytest.mark.parametrize('frozen_stages', [0, 1, 2])
def test_frozen_stages_have_no_gradients_under_autocast(frozen_stages):
    """Not even those of the cast copies of their weights, which would cost time and memory."""
    model = Hiera(dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), frozen_stages=frozen_stages).train()
    with torch.autocast('cpu', torch.bfloat16):
        maps = model(torch.randn(1, 3, 64, 64))
    assert [one.requires_grad for one in maps] == [stage >= frozen_stages for stage in range(4)]
    sum(one.float().sum() for one in maps).backward()
    assert all((weight.grad is not None) == weight.requires_grad for weight in model.parameters())
