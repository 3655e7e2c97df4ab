"""Two machines, as network namespaces with a cable between them, that train with two processes each."""

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from tests.helpers import NO_VALIDATION, ROOT, TINY, options, read_until, start_two

MACHINES = [f'hiera{os.getpid()}{name}' for name in 'ab']
ADDRESSES = ['10.87.23.1', '10.87.23.2']
AT_ONCE = 30
"""Seconds within which all processes are to end."""


def ip(*arguments):
    return subprocess.run(['ip', *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def machines():
    if os.geteuid() != 0 or shutil.which('ip') is None:
        pytest.skip('making network namespaces needs root and the program ip')
    ends = [f'{machine[-10:]}0' for machine in MACHINES]
    with contextlib.ExitStack() as at_the_end:
        for machine in MACHINES:
            try:
                ip('netns', 'add', machine)
            except subprocess.CalledProcessError as error:
                pytest.skip(f'network namespaces are not allowed here: {error.stderr.strip()}')
            at_the_end.callback(ip, 'netns', 'del', machine)
        ip('link', 'add', ends[0], 'netns', MACHINES[0], 'type', 'veth', 'peer', 'name', ends[1], 'netns', MACHINES[1])
        for machine, end, address in zip(MACHINES, ends, ADDRESSES, strict=True):
            ip('-n', machine, 'address', 'add', f'{address}/24', 'dev', end)
            ip('-n', machine, 'link', 'set', end, 'up')
            ip('-n', machine, 'link', 'set', 'lo', 'up')
        yield ends


def start_on(number, *arguments, before='true', **environment):
    """Training on one of the machines, after a command there."""
    environment = dict(NNODES='2', NODE_RANK=str(number), MASTER_ADDR=ADDRESSES[0], **environment)
    inside = ['ip', 'netns', 'exec', MACHINES[number], 'sh', '-c', f'{before} && exec "$@"', 'sh']
    return start_two('train', [TINY, '2', *arguments], inside=inside, **environment)


def ended(processes, seconds):
    return [process.communicate(timeout=seconds)[0] for process in processes]


@pytest.mark.slow
def test_they_train_evaluate_and_go_on_after_one_is_killed(machines, shapes, tmp_path):
    run = ['--work-dir', tmp_path / 'run', '--resume']
    long = ['train_cfg.max_iters=3000', 'default_hooks.checkpoint.interval=1', 'param_scheduler=[]', *NO_VALIDATION]
    both = [start_on(number, *run, *options(shapes, *long)) for number in (0, 1)]
    read_until(both[0], '3/3000]')
    # All of its processes, or the launcher's death would tell the others to save and end.
    for number in ip('netns', 'pids', MACHINES[1]).split():
        os.kill(int(number), signal.SIGKILL)
    printed, _ = both[0].communicate(timeout=AT_ONCE)
    both[1].communicate()
    assert both[0].returncode not in (0, None) and 'because another process of this run ended' in printed, printed
    saved = max(int(path.stem.split('_')[1]) for path in (tmp_path / 'run').glob('iter_*.pth'))
    length = [f'train_cfg.max_iters={saved + 2}', f'train_cfg.val_interval={saved + 2}', 'param_scheduler=[]']
    both = [start_on(number, *run, *options(shapes, *length)) for number in (0, 1)]
    printed, other = ended(both, 200)
    assert [process.returncode for process in both] == [0, 0], printed + other
    assert f'Iter(train) [{saved + 2}/{saved + 2}]' in printed and 'coco/bbox_mAP' in printed, printed
    assert f'Iter(train) [{saved}/{saved + 2}]' not in printed


@pytest.mark.slow
def test_a_machine_that_is_no_longer_reached_is_told_after_the_timeout(machines, shapes, tmp_path):
    long = ['train_cfg.max_iters=3000', 'param_scheduler=[]', 'env_cfg.dist_cfg.timeout=15', *NO_VALIDATION]
    both = [start_on(number, '--work-dir', tmp_path / 'run', *options(shapes, *long)) for number in (0, 1)]
    read_until(both[0], '2/3000]')
    ip('-n', MACHINES[1], 'link', 'set', machines[1], 'down')
    for printed in ended(both, 15 + AT_ONCE):
        assert 'because another process of this run ended or hangs' in printed, printed


@pytest.mark.slow
def test_a_work_folder_that_is_not_shared_is_told(machines, shapes, tmp_path):
    folder = tmp_path / 'run'
    folder.mkdir()
    own = dict(before=f'mount -t tmpfs none {folder}')
    more = ['default_hooks.checkpoint.interval=1', 'param_scheduler=[]']
    first = ['--work-dir', folder, *options(shapes, *more)]
    both = [start_on(0, *first), start_on(1, *first, **own)]
    for printed in ended(both, 100):
        assert '(' in printed and f"writes to '{folder}" in printed and 'set --work-dir to storage' in printed, printed
    # Without an evaluation they can train, but only one has what the others are to go on from.
    first += NO_VALIDATION
    both = [start_on(0, *first), start_on(1, *first, **own)]
    printed = ended(both, 100)
    assert [process.returncode for process in both] == [0, 0], printed
    first += ['train_cfg.max_iters=3', '--resume']
    both = [start_on(0, *first), start_on(1, *first, **own)]
    for printed in ended(both, 100):
        assert 'resumes from iteration 2 of' in printed and 'starts from the beginning. Give all' in printed, printed


@pytest.mark.slow
def test_processes_that_torchrun_starts_again_go_on_from_what_this_run_saved(run_command, shapes, tmp_path):
    """And not from what an earlier run left in the folder."""
    code, printed = run_command(
        'train', TINY, '--verbose', '--work-dir', tmp_path / 'run', *options(shapes, *NO_VALIDATION)
    )
    assert code == 0, printed
    (tmp_path / 'run' / 'iter_2.pth').rename(tmp_path / 'run' / 'iter_6.pth')
    (tmp_path / 'once.py').write_text(ONCE)
    config = tmp_path / 'mine.py'
    config.write_text(
        f"_base_ = '{TINY}'\ncustom_imports = dict(imports=['hiera_mm', 'once'], allow_failed_imports=False)\n"
        f"custom_hooks = [dict(type='KilledOnceHook', note={str(tmp_path / 'note')!r})]\n"
    )
    more = ['train_cfg.max_iters=4', 'default_hooks.checkpoint.interval=1', 'param_scheduler=[]', *NO_VALIDATION]
    arguments = [config, '2', '--work-dir', tmp_path / 'run', *options(shapes, *more)]
    process = start_two('train', arguments, PYTHONPATH=f'{ROOT}:{tmp_path}', MAX_RESTARTS='1')
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 0 and (tmp_path / 'note').exists(), printed
    iterations = [line.split('Iter(train) [')[1][0] for line in printed.splitlines() if 'Iter(train) [' in line]
    assert iterations[-1] == '4' and iterations.count('1') == 1 and iterations.count('4') == 1, printed


ONCE = """
import os, pathlib, signal, time
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class KilledOnceHook(Hook):
    def __init__(self, note):
        self.note = pathlib.Path(note)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2 and get_rank() == 1 and not self.note.exists():
            self.note.touch()
            while not pathlib.Path(runner.work_dir, 'iter_2.pth').exists():
                time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)
"""
