"""Where several processes put their parts of a metric's results together."""

import os
import uuid

from mmengine.dist import broadcast_object_list
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class CollectInWorkDirHook(Hook):
    """Has metrics that collect by files do so beside the run's log, where mmengine takes the current folder.

    Each metric of each run has a folder of its own: one process may be at the next metric while the first one tidies
    up, and another run may be at the same place.
    """

    def before_val(self, runner: Runner) -> None:
        _collect_in(runner.log_dir, runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        _collect_in(runner.log_dir, runner.test_evaluator)


def _collect_in(folder: str, evaluator: Evaluator) -> None:
    of_this_run = [uuid.uuid4().hex]
    broadcast_object_list(of_this_run)
    for number, metric in enumerate(evaluator.metrics):
        if metric.collect_device == 'cpu' and metric.collect_dir is None:
            metric.collect_dir = os.path.join(folder, f'.collected_{of_this_run[0]}_{number}')
