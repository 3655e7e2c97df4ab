"""The runner that a config names."""

from hiera_mm.engine.running import build_runner
from hiera_mm.errors import UserError

import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from tests.helpers import TINY, forget_earlier_runs, options, shapes_options


@RUNNERS.register_module()
class RunnerOfATest(Runner):
    """Only its name differs."""


@pytest.fixture
def config(tmp_path):
    forget_earlier_runs()
    config = Config.fromfile(TINY)
    config.work_dir = str(tmp_path)
    return config


def test_it_is_mmengines_by_default(config):
    assert type(build_runner(config)) is Runner


def test_the_config_may_name_another(config):
    config.runner_type = 'RunnerOfATest'
    assert type(build_runner(config)) is RunnerOfATest


def test_a_strategy_that_the_runner_would_ignore_is_refused(config):
    config.strategy = dict(type='SingleDeviceStrategy')
    with pytest.raises(UserError, match="sets 'strategy', .*runner_type = 'FlexibleRunner'"):
        build_runner(config)


@pytest.mark.slow
def test_a_flexible_runner_trains_and_tests(run_command, shapes, tmp_path):
    runner = ['runner_type=FlexibleRunner', 'strategy.type=SingleDeviceStrategy']
    settings = [*shapes_options(shapes), *runner]
    code, printed = run_command('train', TINY, '--work-dir', tmp_path, *settings)
    assert code == 0 and 'coco/bbox_mAP' in printed, printed
    checkpoint = tmp_path / (tmp_path / 'last_checkpoint').read_text()
    code, printed = run_command('test', TINY, checkpoint, '--work-dir', tmp_path / 'test', *settings)
    assert code == 0 and 'coco/bbox_mAP' in printed, printed


NOTE = """
from pathlib import Path
import cv2, torch
from mmdet.registry import TRANSFORMS

@TRANSFORMS.register_module()
class NoteThreads:
    def __init__(self, path):
        self.path = path

    def __call__(self, results):
        Path(self.path).write_text(f'{cv2.getNumThreads()} {torch.get_num_threads()}')
        return results
"""


def test_a_data_loading_process_takes_one_core(run_command, config, shapes, tmp_path, monkeypatch):
    (tmp_path / 'note_threads.py').write_text(NOTE)
    monkeypatch.syspath_prepend(tmp_path)
    config.custom_imports.imports.append('note_threads')
    config.train_dataloader.num_workers = 1
    config.train_dataloader.dataset.pipeline.append(dict(type='NoteThreads', path=str(tmp_path / 'threads')))
    config.dump(tmp_path / 'mine.py')
    more = options(shapes, 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')
    code, printed = run_command('train', tmp_path / 'mine.py', '--work-dir', tmp_path / 'run', *more)
    assert code == 0, printed
    assert (tmp_path / 'threads').read_text() == '1 1'
