"""Where several processes put their parts of a metric's results together."""

import os

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class CollectInWorkDirHook(Hook):
    """Has metrics that collect by files do so in the work folder, where mmengine takes the current one.

    Each metric has a folder of its own, as one process may be at the next metric while the first one tidies up.
    """

    def before_val(self, runner: Runner) -> None:
        _collect_in(runner.work_dir, runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        _collect_in(runner.work_dir, runner.test_evaluator)


def _collect_in(folder: str, evaluator: Evaluator) -> None:
    for number, metric in enumerate(evaluator.metrics):
        if metric.collect_device == 'cpu' and metric.collect_dir is None:
            metric.collect_dir = os.path.join(folder, f'.collected_{number}')
