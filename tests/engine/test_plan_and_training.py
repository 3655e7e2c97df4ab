"""What the plan says of a config that init wrote is what training then does: iterations and rate exactly, the memory of
tensors within 15 %."""

import re

from hiera_mm.engine.run_length import set_run_length
from hiera_mm.engine.running import build_runner, prepare_training
from hiera_mm.engine.training_memory import AllocatedMemory
from hiera_mm.engine.training_plan import training_setups
from hiera_mm.models.cpu import plain
from hiera_mm.settings import read_config
from hiera_mm.tasks import task_of

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope

OPTIONS = dict(
    # Of smaller images the plan counts more regions with masks than untrained detectors find.
    images='image_size=(256,256)',
    masks='image_size=(128,128)',
    panoptic='image_size=(128,128)',
    classes='image_size=128',
    volumes='batch_size=1',
    motion='batch_size=2',
    actions='batch_size=2',
)


class Measured(Exception):
    pass


class MeasureHook(Hook):
    """Measures the second iteration, when the optimizer has its states."""

    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1:
            states = [value for state in runner.optim_wrapper.optimizer.state.values() for value in state.values()]
            held = [value for value in states if isinstance(value, torch.Tensor)]
            self.memory = AllocatedMemory([*runner.model.parameters(), *held])
            self.memory.__enter__()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 1:
            self.memory.__exit__(None, None, None)
            raise Measured


@pytest.mark.slow
@pytest.mark.parametrize('kind', OPTIONS)
def test_the_plan_of_a_first_config_is_what_training_does(run_command, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    for words in (('make-data', 'set', '--kind', kind, '--train', 33, '--val', 2), ('init', 'set', '--random-weights')):
        code, printed = run_command(*words)
        assert code == 0, printed
    options = [OPTIONS[kind], 'num_workers=0']
    code, printed = run_command('plan', 'my_config.py', '--cfg-options', *options)
    said = ' '.join(printed.split())
    assert code == 0, printed
    config = read_config('my_config.py', options)
    task = task_of(config)
    set_run_length(config, task, 'my_config.py', options)
    config.work_dir = 'run'
    init_default_scope(config.default_scope)
    _, shape = task.complexity(config.model, task.input_shape(config))
    setup = next(one for one in training_setups(config, task, shape, 1) if not one.autocast and not one.with_cp)
    planned = setup.memory.peak(config.train_dataloader.batch_size * setup.repeats)
    prepare_training(config)
    runner, measure = build_runner(config), MeasureHook()
    runner.register_hook(measure)
    with plain(), pytest.raises(Measured):
        runner.train()
    assert planned == pytest.approx(measure.memory.peak, rel=0.15)
    iterations = re.search(r'The run has (\d+) iterations|samples are (\d+) iterations', said)
    assert int(iterations[1] or iterations[2]) == runner.max_iters
    rate = float(re.search(r'learning rate (\S+), as your config sets it', said)[1])
    assert rate == config.optim_wrapper.optimizer.lr
    # A float32 column of the table.
    assert f'{setup.peak(config.train_dataloader.batch_size) / 2**30:.2f}' in said
