"""--amp: every task trains in half precision with the losses of float32, on a CPU in bfloat16."""

import json

import pytest
import torch

from tests.helpers import TINY, assert_explained, options
from tests.tools import test_exact_resume as tasks

TASKS = (tasks.detection, tasks.images, tasks.masked_images, tasks.videos, tasks.actions)
GPU = torch.cuda.is_available()
TYPES = ('float16', 'bfloat16') if GPU else ('bfloat16',)


def losses_of(folder):
    (log,) = folder.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return torch.tensor([line['loss'] for line in lines if 'loss' in line])


@pytest.mark.slow
@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize('task', TASKS)
def test_a_task_trains_with_the_losses_of_float32(run_command, tmp_path, task, dtype):
    tasks.write_configs(tmp_path, task, 0, 9)
    # A scale with which no step is skipped.
    options = [f'optim_wrapper.dtype={dtype}', *(['optim_wrapper.loss_scale=64.0'] if dtype == 'float16' else [])]
    for name, arguments in (('whole', []), ('half', ['--amp', '--cfg-options', *options])):
        code, printed = run_command('train', tmp_path / 'straight.py', '--work-dir', tmp_path / name, *arguments)
        assert code == 0, printed
        assert ('A matrix product in bfloat16 takes' in printed) == (name == 'half' and not GPU)
    whole, half = (losses_of(tmp_path / name) for name in ('whole', 'half'))
    assert len(whole) >= 2 and not torch.equal(whole, half)
    torch.testing.assert_close(half, whole, rtol=0.03, atol=0.01)


def test_a_checkpoint_is_tested_in_half_precision(run_command, shapes, tmp_path):
    code, printed = run_command(
        'train', TINY, '--amp', '--work-dir', tmp_path, *options(shapes, 'train_cfg.max_iters=2')
    )
    assert code == 0, printed
    more = options(shapes, 'test_cfg.fp16=True')
    code, printed = run_command('test', TINY, tmp_path / 'iter_2.pth', '--work-dir', tmp_path, *more)
    assert code == 0 and 'bbox_mAP' in printed, printed


@pytest.mark.skipif(GPU, reason='a GPU takes it')
def test_fp16_on_a_cpu_is_refused(run_command, shapes, tmp_path):
    more = options(shapes, 'optim_wrapper.dtype=float16')
    result = run_command('train', TINY, '--amp', '--work-dir', tmp_path, *more)
    assert_explained(result, "Half precision on a CPU is bfloat16, but optim_wrapper.dtype is 'float16'; leave it")
