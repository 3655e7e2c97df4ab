"""tools/slurm_train.sh under a stand-in for Slurm, which starts the tasks and tells them what Slurm tells."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from tests.helpers import ROOT, TINY, assert_explained, options, start

SRUN = """#!{python}
import os, subprocess, sys
options = [word for word in sys.argv[1:] if word.startswith('--')]
(count,) = [int(word.partition('=')[2]) for word in options if word.startswith('--ntasks=')]
command = sys.argv[1 + next(n for n, word in enumerate(sys.argv[1:]) if not word.startswith('-')):]
print('srun', *sys.argv[1:len(sys.argv) - len(command)], flush=True)
told = dict(SLURM_NTASKS=str(count), SLURM_NODELIST='here[1-2]', MASTER_PORT='{port}')
tasks = [
    subprocess.Popen(command, env=dict(os.environ, SLURM_PROCID=str(n), SLURM_LOCALID=str(n), **told))
    for n in range(count)
]
sys.exit(max(task.wait() for task in tasks))
"""
SCONTROL = '#!/bin/sh\n[ "$*" = "show hostnames here[1-2]" ] && echo localhost && echo elsewhere\n'


@pytest.fixture
def slurm(tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, text in (('srun', SRUN.format(python=sys.executable, port=port)), ('scontrol', SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def train(slurm, work_dir, shapes, *more, **environment):
    command = ['bash', ROOT / 'tools' / 'slurm_train.sh', 'part', 'name', TINY, work_dir, *options(shapes, *more)]
    path = f'{slurm}:{os.environ["PATH"]}'
    environment = dict(GPUS='2', GPUS_PER_NODE='0', CPUS_PER_TASK='1', OMP_NUM_THREADS='1', **environment)
    process = start(command, PATH=path, PYTHON=sys.executable, PYTHONPATH=str(ROOT), **environment)
    printed, _ = process.communicate(timeout=200)
    return process.returncode, printed


@pytest.mark.slow
def test_two_tasks_train_evaluate_and_go_on(slurm, shapes, tmp_path):
    more = ['default_hooks.checkpoint.interval=1', 'train_cfg.val_interval=2', 'param_scheduler=[]']
    code, printed = train(slurm, tmp_path / 'run', shapes, *more, SRUN_ARGS='--signal=USR1@120 --requeue')
    assert code == 0 and 'coco/bbox_mAP' in printed and 'Iter(train) [2/2]' in printed, printed
    asked = next(line for line in printed.splitlines() if line.startswith('srun '))
    assert '--partition=part --job-name=name --ntasks=2 --ntasks-per-node=2 --cpus-per-task=1' in asked
    assert '--signal=USR1@120 --requeue' in asked and 'gpu' not in asked
    code, printed = train(slurm, tmp_path / 'run', shapes, *more, 'train_cfg.max_iters=3')
    assert code == 0 and 'Iter(train) [3/3]' in printed and 'Iter(train) [2/3]' not in printed, printed


def test_gpus_are_asked_for(slurm, shapes, tmp_path):
    (slurm / 'srun').write_text('#!/bin/sh\necho "$@"\n')
    _, printed = train(slurm, tmp_path, shapes)
    assert '--gres' not in printed
    command = ['bash', ROOT / 'tools' / 'slurm_train.sh', 'part', 'name', TINY, tmp_path]
    environment = dict(os.environ, PATH=f'{slurm}:{os.environ["PATH"]}', GPUS='16')
    printed = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    assert '--gres=gpu:8 --ntasks=16 --ntasks-per-node=8 --cpus-per-task=8 --kill-on-bad-exit=1' in printed


def test_open_mpi_without_an_address_is_told(run_command, shapes, tmp_path, monkeypatch):
    for name, value in (('RANK', 0), ('LOCAL_RANK', 0), ('SIZE', 1)):
        monkeypatch.setenv(f'OMPI_COMM_WORLD_{name}', str(value))
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE'):
        monkeypatch.setenv(name, '0')
    monkeypatch.delenv('MASTER_ADDR', raising=False)
    code, printed = run_command(
        'train', TINY, '--verbose', '--launcher', 'mpi', '--work-dir', tmp_path, *options(shapes)
    )
    assert code == 1 and '--launcher mpi needs the address of the first machine; set MASTER_ADDR' in printed, printed


def test_more_processes_than_gpus_are_told(run_command, shapes, tmp_path, monkeypatch):
    for name, value in (('RANK', 2), ('LOCAL_RANK', 2), ('WORLD_SIZE', 4)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,5')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    result = run_command('train', TINY, '--verbose', '--launcher', 'pytorch', '--work-dir', tmp_path, *options(shapes))
    assert_explained(result, 'process 3 of this machine, but torch sees only 2 GPUs', 'CUDA_VISIBLE_DEVICES=4,5')
