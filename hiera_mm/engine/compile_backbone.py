"""Compiles the backbone before a run."""

import time

from hiera_mm.errors import UserError
from hiera_mm.models import MaskedAutoencoder

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class CompileBackboneHook(Hook):
    """``torch.compile`` for the backbone, with static shapes, and a line in the log that says what it costs.

    Each new shape of the batch is compiled anew, up to torch's limit of eight, after which it runs as it is; so
    train on inputs of one size. Names of parameters stay as they are.

    Raises:
        UserError: for a masked autoencoder, whose backbone sees other shapes.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if isinstance(model, MaskedAutoencoder):
            raise UserError(
                "--compile is for models whose backbone takes whole inputs, which a masked autoencoder's does not; run "
                'it without.'
            )
        model.backbone.compile(dynamic=False)
        self.times: list[float] = []

    def _before_iter(self, runner: Runner, batch_idx: int, data_batch=None, mode: str = 'train') -> None:
        self.start = time.perf_counter()

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None, mode: str = 'train') -> None:
        if len(self.times) == 2:
            return
        self.times.append(time.perf_counter() - self.start)
        if len(self.times) == 2:
            first, second = self.times
            runner.logger.info(
                f'Compiled the backbone: the first iteration took {first:.1f} s, the second {second:.1f} s.'
            )
