"""The faster code for GPUs against the model as it is written, on a CPU, whose kernels it takes as well."""

import copy

from hiera_mm.models import Hiera, cpu, gpu

import pytest
import torch
import torch.nn as nn

from benchmarks.launches import Count, model_of, simulated_gpu
from tests.helpers import perturbed

ARCH = dict(embed_dim=16, num_heads=1, depths=(1, 2, 2, 1))
WINDOWS = dict(window_sizes=(8, 4, 4, 2), global_blocks=(4,), pos_embed='absolute_win', pos_embed_size=7)
MODELS = dict(
    images=dict(),
    windows=WINDOWS | dict(out_norm=True),
    clips=dict(num_frames=4),
    scaled=dict(arch=ARCH | dict(layer_scale=True)),
    pooled_shortcut=dict(arch=ARCH | dict(pooled_shortcut=True)),
    low_rank=dict(lora=dict(r=4)),
    two_poolings=dict(q_pools=2, out_indices=(0, 1, 3)),
)


@pytest.fixture
def on_a_gpu(monkeypatch):
    """The faster code runs, for any device and type."""
    monkeypatch.setattr(gpu, '_can_speed_up', lambda tensor: cpu.is_replaceable())


def model_and_pixels(name, dtype=torch.float64):
    torch.manual_seed(0)
    model = perturbed(Hiera(**(dict(arch=ARCH) | MODELS[name]))).eval().to(dtype)
    return model, torch.randn(2, 3, *([4] if name == 'clips' else []), 96, 160, dtype=dtype)


def distance(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize('name', MODELS)
def test_maps_are_those_of_the_plain_model(on_a_gpu, name):
    model, pixels = model_and_pixels(name)
    with torch.no_grad():
        with Count() as count:
            found = model(pixels)
        with cpu.plain():
            expected = model(pixels)
    assert count.operations['the rest']['_addmm_activation'] == len(model.blocks)
    for stage_map, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(stage_map, wanted, rtol=1e-10, atol=1e-10)


def test_rows_of_kept_units_are_those_of_the_plain_model(on_a_gpu):
    model, pixels = model_and_pixels('two_poolings')
    kept = torch.tensor([[0, 3, 7], [1, 2, 14]])
    with torch.no_grad():
        found = model.forward_kept(pixels, kept)
        with cpu.plain():
            expected = model.forward_kept(pixels, kept)
    for rows, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(rows, wanted, rtol=1e-10, atol=1e-10)


def test_in_bfloat16_maps_are_as_near_to_float64_as_those_of_the_plain_model(on_a_gpu):
    model, pixels = model_and_pixels('images')
    half, given = copy.deepcopy(model).bfloat16(), pixels.bfloat16()
    with torch.no_grad():
        found = half(given)
        with cpu.plain():
            expected, plain = model(pixels), half(given)
    for stage_map, wanted, other in zip(found, expected, plain, strict=True):
        assert distance(stage_map, wanted) < 1.1 * distance(other, wanted)


def test_gelu_by_tanh_changes_maps_by_a_small_part_of_what_rounding_to_bfloat16_does():
    """A GPU computes it so; a CPU computes the same operation exactly."""
    torch.manual_seed(0)
    model, pixels = perturbed(Hiera('t')).eval(), torch.randn(1, 3, 224, 224)
    approximated, half = copy.deepcopy(model), copy.deepcopy(model).bfloat16()
    for module in approximated.modules():
        if isinstance(module, nn.GELU):
            module.approximate = 'tanh'
    with torch.no_grad():
        expected, found, rounded = model(pixels), approximated(pixels), half(pixels.bfloat16())
    for wanted, stage_map, other in zip(expected, found, rounded, strict=True):
        assert 0 < distance(stage_map, wanted) < distance(other, wanted) / 20


def test_weights_that_change_in_between_are_seen(on_a_gpu):
    """Also where nothing tells that they did, as in mmengine's exponential moving average."""
    model, pixels = model_and_pixels('images')
    with torch.inference_mode():
        model(pixels)
        for parameter in model.parameters():
            parameter.data.mul_(1.5)
        found = model(pixels)
        with cpu.plain():
            expected = model(pixels)
    torch.testing.assert_close(found[-1], expected[-1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('name', ['blocks.1', 'blocks.1.mlp', 'blocks.1.mlp.fc1', 'blocks.1.attn.qkv', 'blocks.1.proj'])
def test_a_module_with_a_hook_is_called(on_a_gpu, name):
    model, pixels = model_and_pixels('images')
    calls = []
    model.get_submodule(name).register_forward_hook(lambda *_: calls.append(name))
    with torch.no_grad():
        model(pixels)
    assert calls == [name]


def test_a_module_that_was_replaced_is_called(on_a_gpu):
    model, pixels = model_and_pixels('images')
    model.blocks[0].mlp.act = nn.ReLU()
    with torch.no_grad():
        found = model(pixels)
        with cpu.plain():
            expected = model(pixels)
    torch.testing.assert_close(found[-1], expected[-1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    'dtype, trains', [(torch.float32, False), (torch.float16, False), (torch.bfloat16, True), (torch.bfloat16, False)]
)
def test_only_predictions_in_bfloat16_differ_from_what_is_written(dtype, trains):
    with simulated_gpu(), torch.set_grad_enabled(trains), Count() as count:
        model = model_of(dict(arch=ARCH, window_sizes=(8, 4, 4, 2)), dtype)
        model(torch.empty(1, 3, 64, 96, dtype=dtype))
    faster = dtype == torch.bfloat16 and not trains
    assert count.operations['the rest']['gelu'] == (0 if faster else 6)
    assert count.operations['the rest']['_addmm_activation'] == (6 if faster else 0)
