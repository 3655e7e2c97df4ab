"""Compiles the parts of a model whose shapes are always the same."""

import time
from typing import Any

import torch.nn as nn
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch._dynamo.utils import counters

PARTS = ('backbone', 'neck', 'rpn_head', 'cls_head')
"""What comes after them in a detector works on as many boxes as there are in a picture."""


@HOOKS.register_module()
class CompileHook(Hook):
    """``torch.compile`` for backbone, neck and dense heads, and for a masked autoencoder as a whole, with static shapes
    (``--compile``), and a line in the log that says what it costs. Names of parameters stay as they are.

    Each new shape of the batch is compiled anew, up to torch's limit of eight, after which it runs as it is; so train
    on inputs of one size.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.parts = compile_parts(model)
        self.times: list[float] = []
        self.graphs = counters['stats']['unique_graphs']

    def _before_iter(self, runner: Runner, batch_idx: int, data_batch=None, mode: str = 'train') -> None:
        self.start = time.perf_counter()

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None, mode: str = 'train') -> None:
        if len(self.times) == 2:
            return
        self.times.append(time.perf_counter() - self.start)
        if len(self.times) == 2:
            first, second = self.times
            runner.logger.info(
                f'Compiled {", ".join(self.parts)} to {counters["stats"]["unique_graphs"] - self.graphs} graphs: the '
                f'first iteration took {first:.1f} s, the second {second:.1f} s.'
            )


def compile_parts(model: Any) -> list[str]:
    """Compile what has static shapes.

    Returns:
        The names of the parts.
    """
    if hasattr(model, 'compile_parts'):
        return model.compile_parts()
    parts = [name for name in PARTS if isinstance(getattr(model, name, None), nn.Module)]
    for name in parts:
        getattr(model, name).compile(dynamic=False)
    return parts
