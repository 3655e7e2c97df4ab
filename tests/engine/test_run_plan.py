"""The plan in the log agrees with the run."""

import itertools
import logging
import re
from types import SimpleNamespace

from hiera_mm.engine.run_plan import TIMED_ITERATIONS, RunPlanHook

import pytest

from tests.helpers import TINY, shapes_options


def test_the_plan_says_what_the_run_then_does(run_command, shapes, tmp_path):
    options = [*shapes_options(shapes), 'train_cfg.max_iters=24', 'train_cfg.val_interval=24']
    options += ['default_hooks.checkpoint.interval=12', 'default_hooks.logger.interval=10']
    code, printed = run_command('train', TINY, '--work-dir', tmp_path, *options)
    assert code == 0, printed
    assert '8 images or clips, 2 per iteration: 24 iterations are 6 epochs' in printed
    assert 'validation every 24 iterations' in printed and 'checkpoint every 12 iterations' in printed
    assert len(list(tmp_path.glob('iter_*.pth'))) == 2
    assert re.search(
        r'[\d.]+ s per iteration: about \d+ seconds left, validations and checkpoints not counted', printed
    )


@pytest.mark.parametrize('waits', [0.01, 0.3])
def test_a_run_that_waits_for_its_data_is_told(caplog, monkeypatch, waits):
    clock = itertools.count()
    # Two looks at the clock an iteration: after the wait, and after the step of a second.
    times = [number * (1 + waits) + end for number in range(TIMED_ITERATIONS) for end in (waits, 1 + waits)]
    monkeypatch.setattr('hiera_mm.engine.run_plan.time.monotonic', lambda: times[next(clock)])
    logger = logging.getLogger('waits')
    loader = SimpleNamespace(num_workers=3)
    runner = SimpleNamespace(max_iters=100, iter=19, logger=logger, train_dataloader=loader)
    hook = RunPlanHook()
    with caplog.at_level('INFO', logger='waits'):
        for _ in range(TIMED_ITERATIONS):
            hook.before_train_iter(runner, 0)
            hook.after_train_iter(runner, 0)
    said = 'of that is spent waiting for data: train_dataloader.num_workers is 3' in caplog.text
    assert said == (waits == 0.3) and 's per iteration' in caplog.text
