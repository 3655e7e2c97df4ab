"""The plan in the log agrees with the run."""

import re

from tests.helpers import TINY, shapes_options


def test_the_plan_says_what_the_run_then_does(run_tool, shapes, tmp_path):
    options = [*shapes_options(shapes), 'train_cfg.max_iters=24', 'train_cfg.val_interval=24']
    options += ['default_hooks.checkpoint.interval=12', 'default_hooks.logger.interval=10']
    code, printed = run_tool('train.py', TINY, '--work-dir', tmp_path, *options)
    assert code == 0, printed
    assert '8 pictures or clips, 2 an iteration: 24 iterations are 6 epochs' in printed
    assert 'validation every 24 iterations' in printed and 'checkpoint every 12 iterations' in printed
    assert len(list(tmp_path.glob('iter_*.pth'))) == 2
    assert re.search(r'[\d.]+ s an iteration: about \d+ seconds left, validations and checkpoints not counted', printed)
