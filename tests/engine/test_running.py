"""The runner that a config names."""

from hiera_mm.engine.running import build_runner
from hiera_mm.errors import UserError

import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from tests.helpers import TINY, forget_earlier_runs, shapes_options


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
def test_a_flexible_runner_trains_and_tests(run_tool, shapes, tmp_path):
    runner = ['runner_type=FlexibleRunner', 'strategy.type=SingleDeviceStrategy']
    options = [*shapes_options(shapes), *runner]
    code, printed = run_tool('train.py', TINY, '--work-dir', tmp_path, *options)
    assert code == 0 and 'coco/bbox_mAP' in printed, printed
    checkpoint = tmp_path / (tmp_path / 'last_checkpoint').read_text()
    code, printed = run_tool('test.py', TINY, checkpoint, '--work-dir', tmp_path / 'test', *options)
    assert code == 0 and 'coco/bbox_mAP' in printed, printed
