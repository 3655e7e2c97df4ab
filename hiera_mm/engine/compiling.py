"""Compiles the parts of a model that always work on the same shapes, and on a GPU replays them as CUDA graphs."""

import time
from collections import defaultdict
from typing import Any

import torch
import torch.nn as nn
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch._dynamo.utils import counters
from torch.distributed.tensor import DTensor

STATIC_PARTS = ('backbone', 'neck', 'rpn_head', 'cls_head')
"""The later parts of a detector work on a varying number of boxes."""

SETTLED = 2
"""Iterations after which nothing is compiled any more unless shapes change."""


@HOOKS.register_module()
class CompileHook(Hook):
    """``torch.compile`` for backbone, neck and dense heads, and for a masked autoencoder as a whole, with static shapes
    (``--compile``), and logs how long that takes. Parameter names don't change.

    On a GPU each part is replayed as a CUDA graph, forward and backward. Each new shape of a batch is compiled again,
    which is said, up to torch's limit of eight, and further shapes run uncompiled; so train on inputs of one size.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        accumulated = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        self.replays = can_replay(model) and accumulated == 1
        if can_replay(model) and accumulated > 1:
            runner.logger.info(
                f'Gradients are added up over {accumulated} iterations, and a CUDA graph would overwrite them in each, '
                'so the parts are compiled, but not replayed as CUDA graphs.'
            )
        self.before, self.made, self.told = counters['stats']['unique_graphs'], 0, False
        self.times: dict[str, list[float]] = defaultdict(list)
        self.parts = compile_parts(model, self.replays)

    def _before_iter(self, runner: Runner, batch_idx: int, data_batch=None, mode: str = 'train') -> None:
        self.start = time.perf_counter()

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None, mode: str = 'train') -> None:
        made, self.made = self.made, counters['stats']['unique_graphs'] - self.before
        times = self.times[mode]
        if len(times) < SETTLED:
            times.append(time.perf_counter() - self.start)
            if len(times) == SETTLED and len(self.times) == 1:
                runner.logger.info(self._report(*times))
        elif self.made > made and not self.told:
            self.told = True
            runner.logger.info(
                f'Inputs of another size or number were compiled anew, which makes {self.made} graphs by now and costs '
                'time again for each that is new; train on inputs of one size, with train_dataloader.drop_last=True.'
            )

    def _report(self, first: float, second: float) -> str:
        report = f'Compiled {", ".join(self.parts)} to {self.made} graphs: '
        report += f'the first iteration took {first:.1f} s, the second {second:.1f} s.'
        if self.replays:
            left_out = counters['inductor']['cudagraph_skips']
            report += f' They are replayed as CUDA graphs{f", but {left_out} can not be" if left_out else ""}.'
        return report


def can_replay(model: nn.Module) -> bool:
    """Whether CUDA graphs can replay parts of a model: on a GPU, with whole weights, which stay where they are."""
    return all(weight.device.type == 'cuda' and not isinstance(weight, DTensor) for weight in model.parameters())


def compile_parts(model: Any, replays: bool = False) -> list[str]:
    """Compile the parts of a model that have static shapes.

    Args:
        model: On its device.
        replays: Replay each part as a CUDA graph. What a part gives then lasts until the model is called again, so no
            gradients can be added up over several calls.

    Returns:
        The names of the parts.
    """
    how: dict[str, Any] = dict(dynamic=False)
    if replays:
        how['mode'] = 'reduce-overhead'
        # Otherwise the first part's maps would be lost when the second one is called without gradients.
        model.register_forward_pre_hook(_begin_step)
    if hasattr(model, 'compile_parts'):
        return model.compile_parts(**how)
    parts = [name for name in STATIC_PARTS if isinstance(getattr(model, name, None), nn.Module)]
    for name in parts:
        getattr(model, name).compile(**how)
    return parts


def _begin_step(*_: object) -> None:
    torch.compiler.cudagraph_mark_step_begin()
