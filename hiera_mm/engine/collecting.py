"""The folder in which several processes collect a metric's results."""

import os
import socket
import uuid

from hiera_mm.errors import UserError

from mmengine.dist import all_gather_object, barrier, broadcast_object_list, get_world_size, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class CollectInWorkDirHook(Hook):
    """Makes metrics that collect results in files do so next to the run's log; mmengine uses the current folder.

    Each metric of each run gets its own folder, since one process may already be at the next metric while another
    cleans up, and another run may collect at the same time.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the folder before hours of training rather than after them.

        Raises:
            UserError: if not all processes see the folder.
        """
        evaluators = [getattr(loop, 'evaluator', None) for loop in (runner._val_loop, runner._test_loop)]
        metrics = [metric for evaluator in evaluators if evaluator for metric in evaluator.metrics]
        if get_world_size() > 1 and any(metric.collect_device == 'cpu' for metric in metrics):
            _check_shared(runner.log_dir)

    def before_val(self, runner: Runner) -> None:
        _collect_in(runner.log_dir, runner.val_evaluator)

    def before_test(self, runner: Runner) -> None:
        _collect_in(runner.log_dir, runner.test_evaluator)


def _check_shared(folder: str) -> None:
    probe = os.path.join(folder, f'.shared_{_shared_random_name()}')
    if is_main_process():
        open(probe, 'w').close()
    barrier()
    seen = all_gather_object((os.path.exists(probe), socket.gethostname()))
    if is_main_process():
        os.remove(probe)
    for number, (there, machine) in enumerate(seen):
        if not there:
            raise UserError(
                f"Process {number} ({machine}) does not see what process 0 ({seen[0][1]}) writes to '{folder}', where "
                'metrics are collected: set --work-dir to storage that all machines share, or collect them over '
                "the network between GPUs: val_evaluator.collect_device='gpu'."
            )


def _shared_random_name() -> str:
    name = [uuid.uuid4().hex]
    broadcast_object_list(name)
    return name[0]


def _collect_in(folder: str, evaluator: Evaluator) -> None:
    run_name = _shared_random_name()
    for number, metric in enumerate(evaluator.metrics):
        if metric.collect_device == 'cpu' and metric.collect_dir is None:
            metric.collect_dir = os.path.join(folder, f'.collected_{run_name}_{number}')
