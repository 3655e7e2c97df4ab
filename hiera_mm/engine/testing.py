"""Prepares a config for testing a checkpoint, and tests with predictions."""

from hiera_mm.engine.running import COMMON_HOOKS, add_hooks
from hiera_mm.evaluation.dump import WholeDump

from mmengine.config import Config
from mmengine.runner import Runner


def prepare_test(config: Config, checkpoint: str) -> None:
    """Make the runner of a config load a checkpoint, which must contain the whole model."""
    config.default_hooks.fit_checkpoint = dict(type='FitCheckpointHook', complete=True)
    add_hooks(config, COMMON_HOOKS)
    # The checkpoint contains the backbone, so nothing needs to be downloaded.
    config.model.backbone.init_cfg = None
    # load_from is read after hooks with weights of their own, such as EMAHook, have been set up.
    config.load_from, config.resume = checkpoint, False


def run_with_predictions(runner: Runner, dump_type: type[WholeDump], path: str) -> dict[str, float]:
    """Test, and write all predictions to a pickle.

    Args:
        runner: A runner with a test set.
        dump_type: The metric that writes them, see :attr:`hiera_mm.tasks.task.Task.dump`.
        path: The file to write.

    Returns:
        The metrics.

    Raises:
        UserError: if the file could not be written; the metrics are still printed.
    """
    dump = dump_type(out_file_path=path)
    dump.dataset_meta = getattr(runner.test_dataloader.dataset, 'metainfo', None)
    runner.test_evaluator.metrics.append(dump)
    metrics = runner.test()
    dump.raise_fault()
    return metrics
