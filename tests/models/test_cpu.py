"""The model with everything of ``models/cpu.py`` and without it."""

import copy

from hiera_mm.complexity import count_macs, count_parameters
from hiera_mm.models import Hiera, cpu
from hiera_mm.models.cpu import MIN_ROWS

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

SMALL = dict(embed_dim=16, num_heads=1, depths=(2, 1, 1, 1))
IMAGE = (2, 3, 128, 128)


@pytest.fixture
def pieces(monkeypatch, convolutions):
    """Few rows in a piece, so that a small image falls into several."""
    monkeypatch.setattr(cpu, 'CHUNK_SIZE', 3 * 64 * 16)


def loss_of(maps):
    return sum(feature_map.float().square().mean() for feature_map in maps)


def gradients(model, image):
    return torch.autograd.grad(loss_of(model(image)), list(model.parameters()))


def assert_close(got, expected, tolerance=1e-4):
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=1e-5)


@pytest.fixture
def convolutions(monkeypatch):
    """Linear layers are convolutions whatever this machine's processor is."""
    taken, convolve = [], cpu._linear_as_convolution
    monkeypatch.setattr(cpu, '_convolutions_pay', lambda: True)
    monkeypatch.setattr(cpu, '_linear_as_convolution', lambda *given: taken.append(given) or convolve(*given))
    return taken


def linear(x, layer):
    with cpu._FasterKernels():
        return layer(x)


@pytest.mark.parametrize('shape', [(MIN_ROWS - 1, 24), (MIN_ROWS, 24), (3, 200, 4, 24), (2, 5, 24)])
@pytest.mark.parametrize('bias', [True, False])
def test_a_convolution_gives_what_a_linear_layer_does(convolutions, shape, bias):
    layer, x = nn.Linear(24, 40, bias=bias), torch.randn(shape)
    with torch.no_grad():
        got = linear(x, layer)
    assert got.is_contiguous()
    assert len(convolutions) == (bias and x.numel() >= MIN_ROWS * 24)
    torch.testing.assert_close(got, F.linear(x, layer.weight, layer.bias), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('shape', [(MIN_ROWS - 1, 24), (3, 200, 4, 24)])
@pytest.mark.parametrize('frozen', [None, 'weight', 'bias', 'input'])
def test_a_convolutions_gradients_are_those_of_a_linear_layer(convolutions, shape, frozen):
    layer = nn.Linear(24, 40)
    inputs = dict(input=torch.randn(shape), weight=layer.weight, bias=layer.bias)
    for name, tensor in inputs.items():
        tensor.requires_grad_(name != frozen)
    learned = [tensor for name, tensor in inputs.items() if name != frozen]
    factor = torch.randn(*shape[:-1], 40)
    got = torch.autograd.grad((linear(inputs['input'], layer) * factor).sum(), learned)
    expected = torch.autograd.grad((F.linear(*inputs.values()) * factor).sum(), learned)
    assert_close(got, expected)


@pytest.mark.parametrize(
    'maker, threads, pays', [('AuthenticAMD', 2, True), ('AuthenticAMD', 1, False), ('GenuineIntel', 2, False)]
)
def test_convolutions_are_taken_where_they_are_faster(monkeypatch, maker, threads, pays):
    monkeypatch.setattr(cpu, '_is_intel', lambda: maker == 'GenuineIntel')
    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads)
    monkeypatch.setattr(torch.backends.mkl, 'is_available', lambda: True)
    assert cpu._convolutions_pay() == pays


def test_strided_input_is_taken(convolutions):
    layer, x = nn.Linear(24, 40), torch.randn(24, 700).t()
    torch.testing.assert_close(linear(x, layer), layer(x), rtol=1e-5, atol=1e-5)


def test_the_swap_is_made_and_can_be_switched_off(monkeypatch):
    entered = []
    monkeypatch.setattr(cpu._FasterKernels, '__enter__', lambda self: entered.append(self))
    monkeypatch.setattr(cpu._FasterKernels, '__exit__', lambda self, *_: None)
    model, image = Hiera(SMALL), torch.randn(IMAGE)
    with cpu.plain():
        model(image)
    assert not entered
    model(image)
    assert entered


@pytest.mark.parametrize('options', [dict(), dict(window_sizes=(8, 4, 4, 2), global_blocks=(3,)), dict(with_cp=True)])
def test_gradients_are_those_of_the_plain_model(pieces, options):
    model, image = Hiera(SMALL, **options), torch.randn(IMAGE)
    got = gradients(model, image)
    with cpu.plain():
        assert_close(got, gradients(model, image))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('with_cp', [False, True])
def test_a_training_step_under_autocast(dtype, with_cp):
    model, image = Hiera(SMALL, with_cp=with_cp), torch.randn(IMAGE)
    expected = loss_of(model(image))
    with torch.autocast('cpu', dtype=dtype):
        loss = loss_of(model(image))
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_predictions_under_autocast_are_bfloat16_and_nearly_as_precise_as_in_training():
    model, image = Hiera(SMALL).eval(), torch.randn(IMAGE)
    expected = [m.detach() for m in model(image)]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        in_training = model(image)
        with torch.no_grad():
            in_prediction = model(image)

    def errors(maps):
        return torch.stack([(got - exact).std() / exact.std() for got, exact in zip(maps, expected, strict=True)])

    assert {m.dtype for m in in_prediction} == {torch.bfloat16}
    assert (errors(in_prediction) < 2 * errors(in_training)).all() and errors(in_prediction).max() < 0.03


def test_predictions_in_bfloat16_are_the_same_to_the_bit(pieces):
    model, image = Hiera(SMALL).eval().bfloat16(), torch.randn(IMAGE).bfloat16()
    with torch.no_grad():
        got = model(image)
        with cpu.plain():
            expected = model(image)
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == torch.bfloat16 and torch.equal(one, other)


@pytest.mark.skipif(
    torch.__version__.startswith('2.6.'), reason='torch 2.6 has no such gradients of what saves by hooks'
)
def test_functional_gradients_are_those_of_the_backward_pass():
    model, image = Hiera(SMALL), torch.randn(IMAGE)
    parameters = dict(model.named_parameters())
    got = torch.func.grad(lambda p: loss_of(torch.func.functional_call(model, p, image)))(parameters)
    assert_close(got.values(), gradients(model, image))


def test_forward_mode_gives_the_directional_derivative():
    model, image = Hiera(SMALL).eval(), torch.randn(IMAGE)
    direction = torch.randn(IMAGE)
    with sdpa_kernel(SDPBackend.MATH):
        _, got = torch.func.jvp(lambda x: loss_of(model(x)), (image,), (direction,))
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(model(image)), image)
    torch.testing.assert_close(got, (gradient * direction).sum(), rtol=1e-3, atol=1e-5)


def test_gradients_of_gradients_are_those_of_the_plain_model(pieces):
    model, image = Hiera(SMALL), torch.randn(IMAGE)

    def penalty():
        pixels = image.clone().requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):  # torch's fused attention has no second derivative
            (gradient,) = torch.autograd.grad(loss_of(model(pixels)), pixels, create_graph=True)
        return torch.autograd.grad(gradient.square().sum() * 1e4, list(model.parameters()), allow_unused=True)

    got = penalty()
    with cpu.plain():
        expected = penalty()
    assert [g is None for g in got] == [e is None for e in expected] and sum(g is not None for g in got) > 20
    pairs = [(g, e) for g, e in zip(got, expected, strict=True) if g is not None]
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * max(float(other.abs().max()), 1e-3))


@pytest.mark.parametrize(
    'name', ['blocks.0', 'blocks.1.attn', 'blocks.1.attn.proj', 'blocks.1.mlp', 'blocks.1.mlp.fc2']
)
def test_hooks_see_whole_activations_that_nobody_overwrites(pieces, name):
    model, image = Hiera(SMALL).eval(), torch.randn(IMAGE)
    caught = []
    model.get_submodule(name).register_forward_hook(lambda module, inputs, output: caught.append(output))
    with cpu.plain():
        model(image)
    with torch.no_grad():
        model(image)
    assert len(caught) == 2
    torch.testing.assert_close(caught[1], caught[0].detach(), rtol=1e-4, atol=1e-5)


class WholeNorm(nn.Module):
    """Unlike the model's own parts, it looks at all rows."""

    def forward(self, x):
        return x / x.square().mean().sqrt()


@pytest.mark.parametrize('change', ['another module', 'another forward', 'a hook for all modules', 'a subclass'])
def test_what_a_user_puts_into_a_block_gets_all_rows_at_once(pieces, monkeypatch, change):
    model, image = Hiera(SMALL).eval(), torch.randn(IMAGE)
    mlp = model.blocks[0].mlp
    handle = None
    if change == 'another module':
        mlp.act = WholeNorm()
    elif change == 'another forward':
        mlp.act.forward = WholeNorm().forward
    elif change == 'a subclass':
        mlp.act.__class__ = type('Act', (nn.GELU,), dict(forward=WholeNorm.forward))
    else:
        hook = lambda module, inputs, output: WholeNorm()(output) if module is mlp.act else None  # noqa: E731
        handle = nn.modules.module.register_module_forward_hook(hook)
    try:
        with torch.no_grad():
            got = model(image)
            with cpu.plain():
                assert_close(got, model(image))
    finally:
        if handle is not None:
            handle.remove()


def test_layers_are_torchs_own_for_tools_that_look_for_their_type():
    model = Hiera(SMALL).eval()
    linear_layers = [module for module in model.modules() if type(module) is nn.Linear]
    assert len(linear_layers) == 4 * len(model.blocks) + 3
    quantised = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
    turned = [module for module in quantised.modules() if type(module) is torch.ao.nn.quantized.dynamic.Linear]
    assert len(turned) == len(linear_layers)
    image = torch.randn(IMAGE)
    with torch.no_grad():
        for got, want in zip(quantised(image), model(image), strict=True):
            assert (got - want).norm() < 0.1 * want.norm()


def test_counters_of_operations_agree():
    """They leave attention's products out (fvcore) or in (ptflops, and ours)."""
    fvcore, ptflops = pytest.importorskip('fvcore.nn'), pytest.importorskip('ptflops')
    model, image = Hiera(SMALL).eval(), torch.randn(1, *IMAGE[1:])
    macs = count_macs(model, image)[0]
    analysis = fvcore.FlopCountAnalysis(model, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counted = analysis.by_operator()
    without_attention = counted['linear'] + counted['conv']
    assert 0.75 * macs < without_attention < macs
    for backend in ('pytorch', 'aten'):
        found, parameters = ptflops.get_model_complexity_info(
            model, IMAGE[1:], backend=backend, as_strings=False, print_per_layer_stat=False, verbose=False
        )
        assert without_attention <= found <= 1.1 * macs, backend
        assert parameters == count_parameters(model)
