"""The runner that a config names."""

from hiera_mm.engine.running import begin_folder, build_runner
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


@pytest.mark.parametrize(
    'name, earlier',
    [
        ('epoch_3.pth', True),
        ('iter_12.pth', True),
        ('best_coco_bbox_mAP_iter_9.pth', True),
        ('interrupted.pth', True),
        ('my_own.pth', False),
        ('epoch_3.txt', False),
        ('last_checkpoint', False),
    ],
)
def test_an_earlier_run_is_replaced_only_if_that_is_asked_for(config, tmp_path, name, earlier):
    assert begin_folder(config, overwrite=False) == []
    (tmp_path / name).write_text('')
    if not earlier:
        assert begin_folder(config, overwrite=False) == begin_folder(config, overwrite=True) == []
        return
    with pytest.raises(UserError, match=f'holds an earlier run .*{name}.*--resume.*--overwrite.*--work-dir'):
        begin_folder(config, overwrite=False)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / name))
    assert [path.name for path in begin_folder(config, overwrite=True)] == [name, 'last_checkpoint']


def test_a_checkpoint_that_the_run_starts_from_is_not_replaced(config, tmp_path):
    (tmp_path / 'epoch_3.pth').write_text('')
    config.load_from = str(tmp_path / 'epoch_3.pth')
    with pytest.raises(UserError, match="starts from '.*epoch_3.pth', which --overwrite would remove"):
        begin_folder(config, overwrite=True)


def test_a_backbone_that_the_run_starts_from_is_not_replaced(config, tmp_path):
    (tmp_path / 'epoch_3.pth').write_text('')
    config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'epoch_3.pth'))
    with pytest.raises(UserError, match='which --overwrite would remove'):
        begin_folder(config, overwrite=True)


def test_checkpoints_in_another_folder_or_by_another_name_are_an_earlier_run_too(config, tmp_path):
    config.work_dir, elsewhere = str(tmp_path / 'run'), tmp_path / 'elsewhere'
    for folder in (tmp_path / 'run', elsewhere):
        folder.mkdir()
    (elsewhere / 'step-12.pth').write_text('')
    (elsewhere / 'best_acc_iter_9.pth').write_text('')
    (tmp_path / 'run' / 'last_checkpoint').write_text(str(elsewhere / 'step-12.pth'))
    with pytest.raises(UserError, match='holds an earlier run .*best_acc_iter_9.pth, step-12.pth'):
        begin_folder(config, overwrite=False)
    removed = {path.name for path in begin_folder(config, overwrite=True)}
    assert removed == {'best_acc_iter_9.pth', 'step-12.pth', 'last_checkpoint'}


def test_processes_that_the_launcher_starts_again_go_on(config, tmp_path, monkeypatch):
    (tmp_path / 'epoch_3.pth').write_text('')
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '1')
    assert begin_folder(config, overwrite=False) == []


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
