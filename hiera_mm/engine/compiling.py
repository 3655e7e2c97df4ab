"""Compiles the parts of a model that always work on the same shapes."""

import time
from typing import Any

import torch.nn as nn
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch._dynamo.utils import counters

STATIC_PARTS = ('backbone', 'neck', 'rpn_head', 'cls_head')
"""The later parts of a detector work on a varying number of boxes."""


@HOOKS.register_module()
class CompileHook(Hook):
    """``torch.compile`` for backbone, neck and dense heads, and for a masked autoencoder as a whole, with static shapes
    (``--compile``), and logs how long that takes. Parameter names don't change.

    Each new shape of a batch is compiled again, up to torch's limit of eight, and further shapes run uncompiled; so
    train on inputs of one size.
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
    """Compile the parts of a model that have static shapes.

    Returns:
        The names of the parts.
    """
    if hasattr(model, 'compile_parts'):
        return model.compile_parts()
    parts = [name for name in STATIC_PARTS if isinstance(getattr(model, name, None), nn.Module)]
    for name in parts:
        getattr(model, name).compile(dynamic=False)
    return parts
