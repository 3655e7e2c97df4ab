"""Training and testing in two processes: whatever happens to one ends both, in a sentence, and nothing is left."""

import os
import pickle
import signal
import socket
import time

import pytest
import torch

from tests.helpers import NO_VALIDATION, TINY, assert_same_weights, options, read_until, start_two

LONG = ['train_cfg.max_iters=3000', 'default_hooks.checkpoint.interval=1', 'param_scheduler=[]', *NO_VALIDATION]
AT_ONCE = 30
"""Seconds within which all processes are to end."""

FAULT = """
import os, signal
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class FaultHook(Hook):
    def __init__(self, kind):
        self.kind = kind

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2 and get_rank() == 1:
            print('the fault happens', flush=True)
            getattr(self, self.kind)(runner)

    def invalid(self, runner):
        for parameter in runner.model.parameters():
            parameter.data.fill_(float('nan'))

    def missing(self, runner):
        open('pictures/gone.jpg')

    def killed(self, runner):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def assert_nothing_is_left(process, folder):
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    left = [path.name for path in folder.rglob('*') if 'unfinished' in path.name or path.name.startswith('.collected')]
    assert not left


@pytest.mark.slow
@pytest.mark.parametrize(
    'kind, said',
    [
        ('invalid', 'The loss became invalid at iteration 3 (loss = nan'),
        ('missing', "The image 'pictures/gone.jpg' is missing"),
        ('killed', 'because another process of this run ended'),
    ],
)
def test_a_fault_in_one_process_ends_both_at_once(shapes, tmp_path, kind, said):
    (tmp_path / 'fault.py').write_text(FAULT)
    config = tmp_path / 'mine.py'
    config.write_text(
        f"_base_ = '{TINY}'\ncustom_imports = dict(imports=['hiera_mm', 'fault'], allow_failed_imports=False)\n"
        f"custom_hooks = [dict(type='FaultHook', kind='{kind}')]\n"
    )
    arguments = [config, '2', '--work-dir', tmp_path / 'run', *options(shapes, *LONG)]
    process = start_two('train', arguments, PYTHONPATH=str(tmp_path))
    read_until(process, 'the fault happens')
    rest, _ = process.communicate(timeout=AT_ONCE)
    assert process.returncode not in (0, None) and said in rest, rest
    assert_nothing_is_left(process, tmp_path / 'run')
    # What was saved before is whole and holds numbers.
    state = torch.load(tmp_path / 'run' / 'iter_2.pth', weights_only=False)['state_dict']
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert not (tmp_path / 'run' / 'iter_3.pth').exists()


@pytest.mark.slow
def test_the_run_ends_and_is_saved_when_its_launcher_is_killed(shapes, tmp_path):
    process = start_two('train', [TINY, '2', '--work-dir', tmp_path / 'run', *options(shapes, *LONG)])
    read_until(process, '2/3000]')
    process.kill()
    rest, _ = process.communicate(timeout=AT_ONCE)
    end = time.monotonic() + AT_ONCE
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    assert_nothing_is_left(process, tmp_path / 'run')
    assert 'SIGTERM ended the run at iteration' in rest
    assert (tmp_path / 'run' / 'interrupted.pth').exists()


def test_a_port_that_is_in_use_is_named(shapes, tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = str(server.getsockname()[1])
        process = start_two('train', [TINY, '2', *options(shapes)], PORT=port)
        printed, _ = process.communicate(timeout=AT_ONCE)
    assert process.returncode == 1
    assert printed == (
        f'Error: port {port} is in use on this machine; set PORT to another one, on all machines the same.\n'
    )


@pytest.mark.slow
def test_pictures_that_can_not_be_shared_evenly_are_evaluated_once_each(run_command, shapes, tmp_path):
    """Three pictures for two processes."""
    code, printed = run_command('train', TINY, '--verbose', '--work-dir', tmp_path / 'run', *options(shapes))
    assert code == 0, printed
    checkpoint = tmp_path / 'run' / 'iter_2.pth'
    more = options(shapes, 'test_dataloader.dataset.indices=3', 'model.test_cfg.rcnn.score_thr=0.0')
    arguments = ['--work-dir', tmp_path / 'one', '--out', tmp_path / 'one.pkl', *more]
    code, printed = run_command('test', TINY, checkpoint, *arguments)
    assert code == 0, printed
    arguments = ['--work-dir', tmp_path / 'two', '--out', tmp_path / 'two.pkl', *more]
    process = start_two('test', [TINY, checkpoint, '2', *arguments])
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 0, printed
    assert_nothing_is_left(process, tmp_path / 'two')
    one, two = (pickle.loads((tmp_path / f'{name}.pkl').read_bytes()) for name in ('one', 'two'))
    assert [each['img_id'] for each in one] == [each['img_id'] for each in two]
    assert len(one) == 3
    for alone, together in zip(one, two, strict=True):
        assert torch.allclose(alone['pred_instances']['bboxes'], together['pred_instances']['bboxes'], atol=1e-3)


@pytest.mark.slow
def test_two_processes_are_told_to_end_save_and_go_on_to_the_bit(shapes, tmp_path):
    """All of them are told, and torchrun tells them once more."""
    more = [
        'default_hooks.checkpoint.interval=1000',
        'model.backbone.drop_path_rate=0.3',
        'param_scheduler=[]',
        *NO_VALIDATION,
        'randomness.seed=3',
    ]
    process = start_two(
        'train', [TINY, '2', '--work-dir', tmp_path / 'run', *options(shapes, 'train_cfg.max_iters=3000', *more)]
    )
    read_until(process, '2/3000]')
    os.killpg(process.pid, signal.SIGTERM)
    rest, _ = process.communicate(timeout=90)
    assert 'SIGTERM ended the run at iteration' in rest, rest
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    saved = torch.load(tmp_path / 'run' / 'interrupted.pth', weights_only=False)
    assert len(saved['random_states']) == 2
    last = saved['meta']['iter'] + 2
    for name, resume in (('run', ['--resume']), ('straight', [])):
        arguments = ['--work-dir', tmp_path / name, *resume]
        process = start_two('train', [TINY, '2', *arguments, *options(shapes, f'train_cfg.max_iters={last}', *more)])
        printed, _ = process.communicate(timeout=200)
        assert process.returncode == 0, printed
    assert_same_weights(*(tmp_path / name / f'iter_{last}.pth' for name in ('run', 'straight')))
