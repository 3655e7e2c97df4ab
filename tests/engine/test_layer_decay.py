"""Groups of the layer-decay constructor against the scales of the recipe."""

from hiera_mm.errors import UserError
from hiera_mm.models import Hiera

import pytest
import torch.nn as nn
from mmengine.optim import build_optim_wrapper

from tests.helpers import groups_by_name

SMALL = dict(embed_dim=8, num_heads=1, depths=(1, 1, 2, 1))


class Detector(nn.Module):
    """A model with a backbone, a neck and a head, as the constructor meets them."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 4)


def groups_of(model, **paramwise_cfg):
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='DepthLayerDecayConstructor',
            paramwise_cfg=paramwise_cfg,
        ),
    )
    return groups_by_name(model, wrapper.optimizer)


def test_rates_fall_by_one_factor_a_layer_from_the_head_down():
    groups = groups_of(Detector(Hiera(SMALL, out_norm=True)), layer_decay_rate=0.5)
    assert groups['head.weight']['lr'] == groups['neck.weight']['lr'] == 1.0
    assert groups['backbone.out_norms.0.weight']['lr'] == 1.0
    for block in range(5):
        assert groups[f'backbone.blocks.{block}.mlp.fc1.weight']['lr'] == pytest.approx(0.5 ** (5 - block))
    assert groups['backbone.pos_embed']['lr'] == groups['backbone.patch_embed.proj.weight']['lr'] == 0.5**6


@pytest.mark.parametrize('arch, rate, lowest', [('t', 0.65, 3.697e-3), ('b', 0.7, 1.341e-4), ('l', 0.85, 3.480e-4)])
def test_lowest_rates_are_those_of_the_recipe(arch, rate, lowest):
    import torch

    with torch.device('meta'):
        model = Detector(Hiera(arch))
    assert groups_of(model, layer_decay_rate=rate)['backbone.pos_embed']['lr'] == pytest.approx(lowest, rel=1e-3)


def test_position_tables_and_vectors_take_no_weight_decay():
    model = Detector(Hiera(SMALL))
    groups = groups_of(model, layer_decay_rate=0.9)
    decayed = {name for name, group in groups.items() if group['weight_decay']}
    assert decayed == {name for name, p in model.named_parameters() if p.ndim > 1 and name != 'backbone.pos_embed'}
    assert {group['weight_decay'] for group in groups.values()} == {0.0, 0.1}


def test_the_head_may_have_its_own_weight_decay_and_the_tables_their_own_rate():
    model = Detector(Hiera(SMALL))
    plain = groups_of(model, layer_decay_rate=0.5)
    groups = groups_of(model, layer_decay_rate=0.5, head_decay_mult=30.0, pos_embed_lr_mult=0.5)
    for name, group in groups.items():
        lr, decay = (0.5 if name == 'backbone.pos_embed' else plain[name]['lr']), plain[name]['weight_decay']
        assert group['lr'] == lr
        assert group['weight_decay'] == pytest.approx(decay if name.startswith('backbone') else 30 * decay)
    assert groups['head.weight']['weight_decay'] == pytest.approx(3.0) and groups['head.bias']['weight_decay'] == 0


def test_the_head_may_have_its_own_rate():
    model = Detector(Hiera(SMALL))
    plain, groups = groups_of(model, layer_decay_rate=0.5), groups_of(model, layer_decay_rate=0.5, head_lr_mult=10.0)
    for name, group in groups.items():
        factor = 1 if name.startswith('backbone') else 10
        assert group['lr'] == pytest.approx(factor * plain[name]['lr'])
        assert group['weight_decay'] == plain[name]['weight_decay']


def test_frozen_parameters_are_left_out():
    groups = groups_of(Detector(Hiera(SMALL, frozen_stages=1)), layer_decay_rate=0.9)
    assert 'backbone.pos_embed' not in groups and 'backbone.blocks.0.norm1.weight' not in groups
    assert 'backbone.blocks.1.norm1.weight' in groups


def test_any_backbone_with_mmpretrains_contract_is_served():
    class Peer(nn.Linear):
        def get_layer_depth(self, param_name, prefix=''):
            return (0 if param_name == f'{prefix}weight' else 1), 3

    groups = groups_of(Detector(Peer(3, 3)), layer_decay_rate=0.5)
    assert (groups['backbone.weight']['lr'], groups['backbone.bias']['lr']) == (0.25, 0.5)


@pytest.mark.parametrize(
    'backbone, paramwise_cfg, message',
    [
        (nn.Linear(3, 3), dict(layer_decay_rate=0.9), 'finds no backbone in Detector'),
        (Hiera(SMALL), dict(layer_decay=0.9), r'needs paramwise_cfg = dict\(layer_decay_rate=...\)'),
        (
            Hiera(SMALL),
            dict(layer_decay_rate=0.9, pos_embed_lr=0.5),
            r"has the keys \['layer_decay_rate', 'pos",
        ),
        (Hiera(SMALL), dict(layer_decay_rate=0.9, head_decay_mult=-1), "'head_decay_mult' must not be negative"),
        (Hiera(SMALL), dict(layer_decay_rate=1.5), 'must be over 0 and at most 1, but is 1.5'),
    ],
)
def test_what_it_cannot_serve_is_refused_with_a_sentence(backbone, paramwise_cfg, message):
    with pytest.raises(UserError, match=message):
        groups_of(Detector(backbone), **paramwise_cfg)


def test_an_optimizer_that_names_no_weight_decay_keeps_its_own():
    model = Detector(Hiera(SMALL))
    settings = dict(constructor='DepthLayerDecayConstructor', paramwise_cfg=dict(layer_decay_rate=0.5))
    for kind, own in (('SGD', 0), ('AdamW', 0.01)):
        optimizer = build_optim_wrapper(model, dict(optimizer=dict(type=kind, lr=1.0), **settings)).optimizer
        decays = {name: group['weight_decay'] for name, group in groups_by_name(model, optimizer).items()}
        assert decays['head.weight'] == own and decays['head.bias'] == decays['backbone.pos_embed'] == 0
        model.head(model.neck.weight.new_zeros(1, 8)).sum().backward()
        optimizer.step()
