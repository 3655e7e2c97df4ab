"""The runner's ``load_from`` and ``resume``, through the tools and through mmengine alone."""

import io

from hiera_mm.engine.load_from import load_data_only
from hiera_mm.errors import UserError
from hiera_mm.models import Hiera

import hiera
import mmengine.runner.checkpoint
import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader, _load_checkpoint
from safetensors.torch import save_file

from tests.helpers import ROOT, TINY, Payload, shapes_options

OFFICIAL = dict(embed_dim=16, num_heads=1, stages=(1, 1, 1, 1))
ONCE = ['train_cfg.max_iters=1', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']
STILL = [*ONCE, 'optim_wrapper.optimizer.lr=0.0', 'param_scheduler=[]', 'optim_wrapper.optimizer.weight_decay=0.0']


def train(run_command, folder, shapes, load_from, *options):
    return run_command('train', TINY, '--work-dir', folder, *shapes_options(shapes), f'load_from={load_from}', *options)


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_load_from_takes_a_published_file_into_a_detectors_backbone(run_command, shapes, tmp_path, ending):
    oracle = hiera.Hiera(**OFFICIAL)
    path = tmp_path / f'weights{ending}'
    if ending == '.pth':
        torch.save(dict(model_state=oracle.state_dict()), path)
    else:
        save_file(oracle.state_dict(), path)
    code, printed = train(run_command, tmp_path / 'run', shapes, path, *STILL, 'model.backbone.pos_embed=absolute_win')
    assert code == 0, printed
    assert f'Hiera weights from {path} (format meta' in printed
    assert '4 of the classification head; position embedding: table of 56 x 56 split' in printed
    trained = torch.load(tmp_path / 'run' / 'iter_1.pth', weights_only=False)['state_dict']
    for name, value in oracle.state_dict().items():
        if name.startswith('blocks.'):
            assert torch.equal(trained[f'backbone.{name}'], value), name


def test_load_from_takes_a_detector_with_other_classes(run_command, shapes, tmp_path):
    code, printed = run_command('train', TINY, '--work-dir', tmp_path / 'first', *shapes_options(shapes), *STILL)
    assert code == 0, printed
    path = tmp_path / 'first' / 'iter_1.pth'
    state = torch.load(path, weights_only=False)
    head = 'roi_head.bbox_head.fc_cls.weight'
    state['state_dict'][head] = torch.zeros(9, *state['state_dict'][head].shape[1:])
    torch.save(state, path)
    code, printed = train(run_command, tmp_path / 'second', shapes, path, *STILL)
    assert code == 0, printed
    assert f"'{head}' ((9, 256) in the file, (4, 256) in the model)" in printed
    again = torch.load(tmp_path / 'second' / 'iter_1.pth', weights_only=False)['state_dict']
    for name, value in state['state_dict'].items():
        assert torch.equal(again[name], value) == (name != head), name


@pytest.mark.parametrize('option', ['load_from', 'resume', 'test', 'init_cfg'])
def test_a_hostile_pickle_is_refused_with_a_sentence_and_does_not_run(
    run_command, shapes, tmp_path, monkeypatch, option
):
    path = tmp_path / 'hostile.pth'
    torch.save(dict(state_dict=Hiera('t').state_dict(), meta=Payload()), path)
    options = ['--work-dir', tmp_path / 'run', *shapes_options(shapes)]
    tool = ['test', TINY, path] if option == 'test' else ['train', TINY]
    if option == 'resume':
        tool += ['--resume', path]
    if option == 'load_from':
        options.append(f'load_from={path}')
    if option == 'init_cfg':
        config = tmp_path / 'config.py'
        init_cfg = dict(_delete_=True, type='Pretrained', checkpoint=str(path))
        config.write_text(f"_base_ = '{TINY}'\nmodel = dict(backbone=dict(init_cfg={init_cfg}))\n")
        tool[1] = config
    code, printed = run_command(*tool, *options)
    assert code == 1 and 'Traceback' not in printed, printed
    assert (
        "hostile.pth' was refused: it holds more than weights and could run code when loaded: posix.system" in printed
    )
    assert not (ROOT / 'payload_ran').exists()


@pytest.mark.parametrize('loader', ['_load_checkpoint', 'load_from_local', '_safe_torch_load', 'of a fetched file'])
def test_no_loader_of_mmengine_executes_a_pickle(tmp_path, monkeypatch, loader):
    """In a process that has begun a run of this suite."""
    monkeypatch.chdir(tmp_path)
    torch.save(dict(state_dict=Payload()), tmp_path / 'hostile.pth')
    load_data_only()
    fetched = loader == 'of a fetched file'
    load = getattr(mmengine.runner.checkpoint, '_safe_torch_load' if fetched else loader)
    file = io.BytesIO((tmp_path / 'hostile.pth').read_bytes()) if fetched else 'hostile.pth'
    with pytest.raises(UserError, match='could run code when loaded: posix.system'):
        load(file, map_location='cpu')
    assert not (tmp_path / 'payload_ran').exists()


def test_mmengines_loader_takes_paths_addresses_and_names_of_the_zoo(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    cache = tmp_path / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    torch.save(dict(model_state=dict(a=torch.ones(2))), cache / 'mae_hiera_tiny_224.pth')
    address = 'https://dl.fbaipublicfiles.com/hiera/mae_hiera_tiny_224.pth'
    for source in (str(cache / 'mae_hiera_tiny_224.pth'), address, 'hiera_t.mae_in1k'):
        assert torch.equal(_load_checkpoint(source)['model_state']['a'], torch.ones(2))
    with pytest.raises(UserError, match='does not exist'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'absent.pth'))


@pytest.mark.parametrize('content, said', [(b'', 'is damaged'), (b'hello', 'not a PyTorch or safetensors checkpoint')])
def test_a_broken_load_from_is_named(run_command, shapes, tmp_path, content, said):
    (tmp_path / 'weights.pth').write_bytes(content)
    code, printed = train(run_command, tmp_path / 'run', shapes, tmp_path / 'weights.pth')
    assert code == 1 and 'Traceback' not in printed
    assert "weights.pth'" in printed and said in printed


def test_load_from_of_another_size_is_refused(run_command, shapes, tmp_path):
    torch.save(hiera.Hiera(**dict(OFFICIAL, embed_dim=8)).state_dict(), tmp_path / 'narrow.pth')
    code, printed = train(run_command, tmp_path / 'run', shapes, tmp_path / 'narrow.pth')
    assert code == 1 and 'Traceback' not in printed
    assert "narrow.pth' holds a Hiera of no published size (images, 8 channels" in printed
