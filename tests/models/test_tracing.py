"""Tracing the backbone, on which counters of operations and exporters build."""

from hiera_mm.models import Hiera

import pytest
import torch
from mmengine.analysis import get_model_complexity_info

SMALL = dict(embed_dim=32, num_heads=1, depths=(1, 1, 2, 1))
MODELS = {
    'images': (dict(), (3, 128, 128)),
    'images that mask units do not fill': (dict(), (3, 100, 132)),
    'windows': (dict(window_sizes=(8, 4, 4, 2), global_blocks=(3,)), (3, 160, 128)),
    'repeated positions': (dict(window_sizes=(8, 4, 4, 2), pos_embed='absolute_win', pos_embed_size=8), (3, 128, 128)),
    'clips': (dict(num_frames=4, pos_embed_size=16), (3, 4, 64, 64)),
}


def model_of(kind):
    torch.manual_seed(0)
    arguments, shape = MODELS[kind]
    return Hiera(SMALL, **arguments).eval(), shape


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@pytest.mark.parametrize('kind', MODELS)
def test_a_traced_backbone_gives_the_same_maps(kind):
    model, shape = model_of(kind)
    first, second = torch.randn(2, 1, *shape)
    with torch.no_grad():
        traced = torch.jit.trace(model, first)
        for got, expected in zip(traced(second), model(second), strict=True):
            torch.testing.assert_close(got, expected)


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@pytest.mark.parametrize('kind', ['images', 'clips'])
def test_mmengine_counts_the_operations(kind):
    model, shape = model_of(kind)
    counted = get_model_complexity_info(model, input_shape=shape, show_table=False, show_arch=False)
    assert counted['params'] == sum(parameter.numel() for parameter in model.parameters())
    assert counted['flops'] > 1e7
