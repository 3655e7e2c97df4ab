"""A two-stage detector's training step, taken apart."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

from hiera_mm.config import in_scope
from hiera_mm.errors import UserError

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import Tensor

from benchmarks.measure import finish

PARTS = ('data', 'backbone', 'neck', 'RPN head', 'RoI heads', 'optimiser')
Seconds = dict[tuple[str, str], list[float]]


def time_parts(config: Config, repeats: int, device: str) -> dict[str, tuple[float, float | None]]:
    """Medians in seconds of the parts of a training step: ``{part: (forward, backward)}``.

    Data is read in this process, so it comes before the step instead of beside it. Between backbone, neck and heads
    the graph is cut, which changes neither what is computed nor how often.

    Args:
        config: Of a two-stage detector whose training data is there.
        repeats: Steps that count, after one that doesn't.
        device: ``'cpu'`` or ``'cuda'``.

    Raises:
        UserError: for a model that is no such detector.
    """
    if not {'neck', 'rpn_head', 'roi_head'} <= set(config.model):
        raise UserError(f"'{config.filename}' is no two-stage detector with a neck; its step can't be taken apart.")
    config.model.backbone.init_cfg = None
    config.train_dataloader.update(num_workers=0, persistent_workers=False)
    config.train_dataloader.pop('prefetch_factor', None)
    with in_scope(config):
        loader = iter(Runner.build_dataloader(config.train_dataloader, seed=0))
        model = MODELS.build(config.model).to(device).train()
        optimizer = build_optim_wrapper(model, dict(config.optim_wrapper, type='OptimWrapper'))
    seconds: Seconds = defaultdict(list)
    for _ in range(repeats + 1):
        _step(model, loader, optimizer, partial(_timed, seconds, device))
    return {part: tuple(_median(seconds.get((part, way))) for way in ('forward', 'backward')) for part in PARTS}


def _step(model: nn.Module, loader: Iterator, optimizer: OptimWrapper, timed: Callable) -> None:
    with timed('data', 'forward'):
        data = model.data_preprocessor(next(loader), training=True)
    with timed('backbone', 'forward'):
        maps = model.backbone(data['inputs'])
    cut_maps = [_cut(x) for x in maps]
    with timed('neck', 'forward'):
        pyramid = model.neck(cut_maps)
    cut_pyramid = [_cut(x) for x in pyramid]
    with (
        patch.object(model, 'extract_feat', lambda _: cut_pyramid),
        patch.object(model.rpn_head, 'loss_and_predict', timed('RPN head', 'forward')(model.rpn_head.loss_and_predict)),
        patch.object(model.roi_head, 'loss', timed('RoI heads', 'forward')(model.roi_head.loss)),
    ):
        losses = model.loss(data['inputs'], data['data_samples'])

    of_rpn = {name: loss for name, loss in losses.items() if 'rpn' in name}
    of_regions = {name: loss for name, loss in losses.items() if 'rpn' not in name}
    for part, own in (('RPN head', of_rpn), ('RoI heads', of_regions)):
        with timed(part, 'backward'):
            model.parse_losses(own)[0].backward()
    with timed('neck', 'backward'):
        torch.autograd.backward(pyramid, [x.grad for x in cut_pyramid])
    with timed('backbone', 'backward'):
        torch.autograd.backward(maps, [x.grad for x in cut_maps])
    with timed('optimiser', 'forward'):
        optimizer.step()
        optimizer.zero_grad()


def _cut(features: Tensor) -> Tensor:
    """The same numbers as a new leaf of the graph."""
    return features.detach().requires_grad_()


@contextmanager
def _timed(seconds: Seconds, device: str, part: str, way: str) -> Iterator[None]:
    finish(device)
    start = time.perf_counter()
    yield
    finish(device)
    seconds[part, way].append(time.perf_counter() - start)


def _median(times: list[float] | None) -> float | None:
    """Without the first, which warms up."""
    return None if times is None else statistics.median(times[1:])
