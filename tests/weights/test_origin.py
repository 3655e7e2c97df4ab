"""Where weights come from: published files, what is trained from them, and what is trained from that."""

from hiera_mm.weights.files import read_checkpoint
from hiera_mm.weights.origin import origins_of, record_origins, recorded_origins

import hiera
import pytest
import torch
from torch import nn

from tests.helpers import TINY, shapes_options

META = [dict(source='hiera_t.mae_in1k', licence='CC BY-NC 4.0')]
ONE_STEP = ['train_cfg.max_iters=1', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']


@pytest.mark.parametrize(
    'source',
    [
        'hiera_t.mae_in1k',
        'https://dl.fbaipublicfiles.com/hiera/mae_hiera_tiny_224.pth',
        '/downloads/mae_hiera_tiny_224.pth',
    ],
)
def test_a_published_file_is_known_by_name_address_and_file_name(source):
    assert origins_of(source, {}) == META


def test_a_file_that_many_models_share_the_name_of_tells_nothing():
    assert origins_of('model.safetensors', {}) == [dict(source='model.safetensors', licence=None)]


def test_a_model_forgets_where_weights_that_were_replaced_came_from():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    record_origins(model[0], META)
    assert recorded_origins(model) == META
    record_origins(model, [])
    assert recorded_origins(model) == []


@pytest.mark.slow
def test_a_licence_is_inherited_through_runs_and_resuming(run_command, shapes, tmp_path):
    """A published file, a run from it that is resumed, and a run from what that one saved."""
    published = tmp_path / 'mae_hiera_tiny_224.pth'
    official = hiera.Hiera(embed_dim=16, num_heads=1, stages=(1, 1, 1, 1))
    torch.save(dict(model_state=official.state_dict()), published)

    pretrained = f"init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='{published}')"
    config = tmp_path / 'pretrained.py'
    config.write_text(f"_base_ = '{TINY}'\nmodel = dict(backbone=dict({pretrained}))")

    def train(name, config, *arguments):
        code, printed = run_command('train', config, '--work-dir', tmp_path / name, *arguments)
        assert code == 0, printed

    first, second = tmp_path / 'first' / 'iter_1.pth', tmp_path / 'second' / 'iter_1.pth'
    train('first', config, *shapes_options(shapes), *ONE_STEP)
    train('second', TINY, *shapes_options(shapes), *ONE_STEP, f'load_from={first}')
    train('first', config, '--resume', *shapes_options(shapes), *ONE_STEP[1:], 'train_cfg.max_iters=2')
    for path in (first, second, tmp_path / 'first' / 'iter_2.pth'):
        assert read_checkpoint(path)['meta']['weights_from'] == META


def test_random_weights_come_from_nowhere(run_command, shapes, tmp_path):
    code, printed = run_command('train', TINY, '--work-dir', tmp_path, *shapes_options(shapes), *ONE_STEP)
    assert code == 0, printed
    assert read_checkpoint(tmp_path / 'iter_1.pth')['meta']['weights_from'] == []


@pytest.mark.parametrize('name', ['sam2.1_hiera_tiny.pt', 'hieradet_small_sam2_1.pt', 'mine.pth'])
def test_a_file_of_meta_under_another_name_gets_no_licence_of_others(name):
    content = dict(model_state={'blocks.0.attn.qkv.weight': torch.zeros(1), 'pos_embed': torch.zeros(1)})
    assert origins_of(f'/downloads/{name}', content) == [dict(source=f'/downloads/{name}', licence=None)]


def test_a_downloaded_file_of_sam2_is_known_by_its_name_and_its_tensors():
    content = dict(model={'image_encoder.trunk.blocks.0.attn.qkv.weight': torch.zeros(1)})
    assert origins_of('/downloads/sam2.1_hiera_tiny.pt', content)[0]['licence'] == 'Apache-2.0'
