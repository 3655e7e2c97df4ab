"""The same config means the same to hiera-mm, mmengine's runner, and mmdet's and mmaction2's own tools."""

import os
import subprocess
import sys

from hiera_mm.engine.run_length import set_run_length
from hiera_mm.errors import UserError
from hiera_mm.settings import read_config
from hiera_mm.tasks import task_of

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from tests.coloured import draw, write
from tests.test_settings import TABLE, VALUES
from tests.tools.test_init import MASKS, SMALL

TOP = """_base_ = __import__('hiera_mm').CONFIGS + '/mask_rcnn_hiera_t.py'
data_root = '{folder}/'
classes = ('cat', 'dog')
train_ann_file, train_data_prefix = 'train.json', 'train/'
val_ann_file, val_data_prefix = 'val.json', 'val/'
image_size = (128, 128)
batch_size = 2
learning_rate = 2e-4
{length}
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('coloured') / 'set'
    write(folder, draw(folder, pictures=10))
    return folder


@pytest.fixture
def written(folder, tmp_path):
    def make(length):
        path = tmp_path / 'mine.py'
        model = SMALL.format(masks=MASKS).replace('max_iters = 2\n', '')
        path.write_text(TOP.format(folder=folder, length=length) + model)
        return path

    return make


@pytest.mark.parametrize('base', TABLE)
def test_mmengine_reads_what_this_suite_reads(tmp_path, base):
    names = [name for name, cell in TABLE[base].items() if isinstance(cell, dict)]
    path = tmp_path / 'mine.py'
    lines = [f"_base_ = 'hiera_mm::{base}.py'", *(f'{name} = {VALUES[name]!r}' for name in names)]
    path.write_text('\n'.join(lines))
    assert Config.fromfile(path).to_dict() == read_config(str(path)).to_dict()


LENGTHS = ['epochs = 1', 'epochs = 4', 'epochs = 0.4', 'max_iters = 1', 'max_iters = 3', 'max_iters = 40']


def run_of(config):
    """Lengths, intervals and schedules of a run, which ends before its first iteration."""
    seen = {}

    def stop(self):
        runner = self.runner
        seen.update(
            length=runner.max_iters,
            validation=runner.val_interval,
            saving=[hook.interval for hook in runner.hooks if isinstance(hook, CheckpointHook)],
            ends=[(type(s).__name__, s.begin, s.end, getattr(s, 'milestones', None)) for s in runner.param_schedulers],
            rate=max(group['lr'] for group in runner.optim_wrapper.param_groups),
            batch=runner.train_dataloader.batch_size,
            classes=runner.train_dataloader.dataset.metainfo['classes'],
        )
        raise StopIteration

    runner = Runner.from_cfg(config)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StopIteration):
        patch.setattr('mmengine.runner.IterBasedTrainLoop.run', stop)
        runner.train()
    return seen


@pytest.mark.parametrize('length', LENGTHS)
def test_a_runner_of_mmengine_runs_as_hiera_mm_train(written, tmp_path, length):
    path = written(length)
    ours = read_config(str(path))
    set_run_length(ours, task_of(ours), str(path))
    theirs = Config.fromfile(path)
    runs = []
    for number, config in enumerate((ours, theirs)):
        config.work_dir, config.experiment_name = str(tmp_path / str(number)), f'{length} {number} {tmp_path}'
        runs.append(run_of(config))
    assert runs[0] == runs[1]
    assert runs[0]['batch'] == 2 and runs[0]['classes'] == ('cat', 'dog')
    number = float(length.split()[-1])
    assert runs[0]['length'] == (max(1, round(5 * number)) if length.startswith('epochs') else number)


@pytest.mark.parametrize('option', [dict(batch_size=3), dict(epochs=9), dict(learning_rate=1.0), dict(data_root='/x/')])
def test_an_option_of_another_tool_that_comes_too_late_is_refused(written, tmp_path, option):
    config = Config.fromfile(written('epochs = 1'))
    config.merge_from_dict(option)
    config.work_dir, config.experiment_name = str(tmp_path / 'run'), f'{option} {tmp_path}'
    (name,) = option
    with pytest.raises(UserError, match=f"'{name}' at the top of the config was changed from"):
        Runner.from_cfg(config).train()


def test_an_option_of_another_tool_in_its_long_form_is_taken(written, tmp_path):
    config = Config.fromfile(written('epochs = 4'))
    config.merge_from_dict({'train_cfg.max_iters': 3, 'train_dataloader.batch_size': 1})
    config.work_dir, config.experiment_name = str(tmp_path / 'run'), f'long {tmp_path}'
    run = run_of(config)
    assert (run['length'], run['batch']) == (3, 1)


@pytest.mark.slow
@pytest.mark.parametrize('first', ['', 'import hiera_mm; '])
def test_mmdets_own_training_tool_has_the_settings(written, tmp_path, first):
    """In a process that knows nothing of this suite before it reads the config."""
    path = written('max_iters = 2')
    tool = 'import mmdet, os; path = os.path.join(os.path.dirname(mmdet.__file__), ".mim/tools/train.py"); '
    program = (
        f'{first}{tool}import sys, runpy; sys.argv = [path, *sys.argv[1:]]; runpy.run_path(path, run_name="__main__")'
    )
    options = [str(path), '--work-dir', str(tmp_path / 'run')]
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    done = subprocess.run([sys.executable, '-c', program, *options], capture_output=True, text=True, env=environment)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-3000:]
    assert '10 images or clips, 2 per iteration: 2 iterations' in printed and 'learning rate 0.0002' in printed
    assert 'coco/bbox_mAP' in printed
