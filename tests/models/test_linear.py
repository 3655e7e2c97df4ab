"""The linear layer's two ways to compute."""

from hiera_mm.models.linear import FEWEST_ROWS, Linear

import pytest
import torch
import torch.nn.functional as F


@pytest.mark.parametrize('shape', [(FEWEST_ROWS - 1, 24), (FEWEST_ROWS, 24), (3, 200, 4, 24), (2, 5, 24)])
def test_it_gives_what_torchs_linear_layer_does(shape):
    layer = Linear(24, 40)
    x = torch.randn(shape)
    expected = F.linear(x, layer.weight, layer.bias)
    with torch.no_grad():
        got = layer(x)
    assert got.shape == expected.shape and got.is_contiguous()
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('shape', [(FEWEST_ROWS - 1, 24), (3, 200, 4, 24)])
@pytest.mark.parametrize('frozen', [None, 'weight', 'bias', 'input'])
def test_gradients_are_those_of_torchs_linear_layer(shape, frozen):
    layer = Linear(24, 40)
    inputs = dict(input=torch.randn(shape), weight=layer.weight, bias=layer.bias)
    for name, tensor in inputs.items():
        tensor.requires_grad_(name != frozen)
    learned = [tensor for name, tensor in inputs.items() if name != frozen]
    factor = torch.randn(*shape[:-1], 40)
    got = torch.autograd.grad((layer(inputs['input']) * factor).sum(), learned)
    expected = torch.autograd.grad((F.linear(*inputs.values()) * factor).sum(), learned)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_it_takes_strided_input_and_half_precision():
    layer = Linear(24, 40)
    x = torch.randn(24, 700).t()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), rtol=1e-5, atol=1e-5)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            half = layer(x)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), F.linear(x, layer.weight, layer.bias), rtol=0.05, atol=0.05)


def test_its_weights_are_those_of_torchs_linear_layer():
    assert isinstance(Linear(2, 3), torch.nn.Linear) and list(Linear(2, 3).state_dict()) == ['weight', 'bias']
