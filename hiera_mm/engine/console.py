"""What a person sees of a run: a few lines at its start, its progress, a row for each validation, and its end.

Everything else is in the log file. ``--verbose`` shows that as well.
"""

import contextlib
import logging
import re
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from datetime import timedelta
from numbers import Real
from typing import Any

from hiera_mm.complexity import count_parameters
from hiera_mm.engine.run_plan import duration, plan_of
from hiera_mm.replaced import replaced
from hiera_mm.weights.origin import recorded_origins

import mmengine.logging.logger
import pycocotools.coco
import pycocotools.cocoeval
import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

FOREIGN = (
    *('mmengine', 'mmcv', 'mmdet', 'mmaction', 'mmseg', 'monai', 'pycocotools', 'torch', 'torchvision', 'timm'),
    *('transformers', 'matplotlib'),
)
"""Packages whose messages go to the log file alone, unless they are errors."""

LINES_OF_PROGRESS, SECONDS_OF_SILENCE = 20, 10
"""In a run, where there is no terminal for a bar: at least so many lines, and one after so many seconds."""

METRICS = 4
"""Columns of the table of validations, where the terminal is wide enough."""

PLACE, CELL = 24, 16
"""Characters of a row's first column and, at least, of its others."""

DETAILS = re.compile(r'_(75|s|m|l)$')
"""Ends of the names of metrics that are left to the log: thresholds and sizes of COCO's."""


@contextlib.contextmanager
def console(verbose: bool) -> Iterator[list[Hook]]:
    """A context for a run, which gives the hooks that show it; with ``verbose`` everything is shown as it is logged."""
    if verbose:
        yield []
        return
    with _quiet():
        yield [ConsoleHook()]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Loggers show what this suite and the user's own code say in one line, without the time, and errors; all the rest
    goes to the log file."""
    plain = MMLogger.__init__

    def init(self: MMLogger, *args: Any, **named: Any) -> None:
        plain(self, *args, **named)
        _make_quiet(self, stack)

    with contextlib.ExitStack() as stack:
        for logger in list(MMLogger._instance_dict.values()):
            _make_quiet(logger, stack)
        stack.enter_context(replaced(MMLogger, '__init__', init))
        stack.enter_context(replaced(warnings, 'showwarning', _warn_in_the_log))
        # mmengine prints what has no logger.
        for module in (pycocotools.coco, pycocotools.cocoeval, mmengine.logging.logger):
            module.print = _print_in_the_log
            stack.callback(delattr, module, 'print')
        yield


def _make_quiet(logger: MMLogger, stack: contextlib.ExitStack) -> None:
    """Until the stack is left."""
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:
            stack.callback(handler.setFormatter, handler.formatter)
            stack.callback(handler.removeFilter, _is_for_a_person)
            handler.addFilter(_is_for_a_person)
            handler.setFormatter(logging.Formatter('%(message)s'))


def _is_for_a_person(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.ERROR:
        return True
    return '\n' not in record.getMessage() and _origin() not in FOREIGN


def _origin() -> str:
    """The package whose code says something just now."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and _only_passes_on(frame.f_globals.get('__name__', '')):
        frame = frame.f_back
    return frame.f_globals.get('__name__', '').partition('.')[0]


def _only_passes_on(module: str) -> bool:
    # compat's print_log stands in for mmengine's in some of its modules.
    return module in (__name__, 'logging', 'warnings', 'hiera_mm.compat') or module.startswith('mmengine.logging')


def _warn_in_the_log(message: Any, category: type, filename: str, lineno: int, *_: Any) -> None:
    text = ' '.join(str(message).split())
    MMLogger.get_current_instance().warning(f'{text} ({category.__name__}, {filename}:{lineno})')


def _print_in_the_log(*words: Any, **_: Any) -> None:
    MMLogger.get_current_instance().info(' '.join(map(str, words)))


class ConsoleHook(Hook):
    """Prints what a run is at its start, its progress where there is no terminal for a bar, a row for each validation,
    and what came out of it."""

    # After the hooks that load weights and keep the best checkpoint.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.table: Table | None = None
        self.best: dict[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        self.began, self.first = time.monotonic(), runner.iter
        self.told = self.began
        # A resumed run has a best validation already.
        self.best = _info(runner, 'best_score')
        first, *others = plan_of(runner)
        _tell_all(dict(data=_data(runner), **_what_runs(runner), plan=first))
        for line in others:
            _tell(f'{"":9}{line}')
        _tell_all(dict(log=f'{runner.log_dir}; --verbose shows it'))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        done, total = runner.iter + 1, runner.max_iters
        now = time.monotonic()
        due = done % max(1, total // LINES_OF_PROGRESS) == 0 or now - self.told > SECONDS_OF_SILENCE
        if sys.stdout.isatty() or not is_main_process() or not due:
            return
        self.told = now
        left = (now - self.began) / (done - self.first) * (total - done)
        rate = max(group['lr'] for group in runner.optim_wrapper.param_groups)
        loss = float((outputs or {}).get('loss', float('nan')))
        # In the form of mmengine's log, which people and scripts know.
        place = f'Iter(train) [{done:>{len(str(total))}}/{total}]'
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            batches = len(runner.train_dataloader)
            place = f'Epoch(train) [{runner.epoch + 1}][{batch_idx + 1:>{len(str(batches))}}/{batches}]'
        print(f'{place}  lr: {rate:.3g}  eta: {timedelta(seconds=round(left))}  loss: {loss:.4f}', flush=True)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not metrics or not is_main_process():
            return
        keys = _keys_of_the_best(runner)
        self.table = self.table or Table([*keys, *metrics], metrics)
        scores = _info(runner, 'best_score')
        mark, self.best = ('best' if scores != self.best else ''), scores
        print(self.table.row(_place(runner), metrics, mark), flush=True)

    def after_train(self, runner: Runner) -> None:
        best = ' and '.join(map(str, _info(runner, 'best_ckpt').values()))
        found = f'the best by validation is {best}' if best else f'the checkpoints are in {runner.work_dir}'
        _tell(f'Trained in {duration(time.monotonic() - self.began)}; {found}.')

    def before_test(self, runner: Runner) -> None:
        data = f'{len(runner.test_dataloader.dataset)} to test'
        _tell_all(dict(data=data, **_what_runs(runner), log=runner.log_dir))

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        for name, value in (metrics or {}).items():
            _tell(f'{name}: {value:.4f}' if isinstance(value, Real) else f'{name}: {value}')


class Table:
    """Rows of metrics with the change against the row before, below one heading."""

    def __init__(self, wanted: list[str], metrics: Mapping[str, Any]) -> None:
        numbers = [
            name for name in dict.fromkeys(wanted) if isinstance(metrics.get(name), Real) and not DETAILS.search(name)
        ]
        columns = shutil.get_terminal_size((100, 24)).columns
        self.names = numbers[: max(1, min(METRICS, (columns - PLACE) // (CELL + 2)))]
        self.before: dict[str, float] = {}

    def row(self, place: str, metrics: Mapping[str, float], mark: str) -> str:
        """A line; the first one comes with the heading above it."""
        width = max(CELL, *map(len, self.names)) if self.names else CELL
        cells = []
        for name in self.names:
            value, before = metrics.get(name, float('nan')), self.before.get(name)
            cells.append(f'{value:.3f}' + ('' if before is None else f' ({value - before:+.3f})'))
        words = f'{place}, {mark}' if mark else place
        line = f'{words:{PLACE}}' + ''.join(f'{cell:>{width + 2}}' for cell in cells)
        heading = f'{"validation":{PLACE}}' + ''.join(f'{name:>{width + 2}}' for name in self.names)
        first, self.before = not self.before, {name: metrics.get(name, float('nan')) for name in self.names}
        return f'{heading}\n{line}' if first else line


def _place(runner: Runner) -> str:
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    return f'epoch {runner.epoch}' if by_epoch else f'iteration {runner.iter}'


def _data(runner: Runner) -> str:
    parts = [f'{len(runner.train_dataloader.dataset)} to train']
    if runner.val_loop is not None:
        parts.append(f'{len(runner.val_dataloader.dataset)} to validate')
    classes = (getattr(runner.train_dataloader.dataset, 'metainfo', None) or {}).get('classes') or ()
    return ', '.join([*parts, f'{len(classes)} classes'] if classes else parts)


def _what_runs(runner: Runner) -> dict[str, str]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    parameter = next(model.parameters(), None)
    if parameter is None:
        # An exported file has its weights in itself.
        return dict(model=f'exported, {runner.cfg.model.get("file", "")}', device=_device(torch.device('cpu'), runner))
    given = runner.cfg.model.get('backbone') or {}
    arch = given.get('arch')
    size = f'-{arch.upper()}' if isinstance(arch, str) else ''
    kind = f'{type(model).__name__} with Hiera{size}' if given.get('type') == 'Hiera' else type(model).__name__
    origins = ', '.join(f'{one["source"]} ({one["licence"] or "licence unknown"})' for one in recorded_origins(model))
    loaded = runner.cfg.get('load_from')
    weights = origins or 'random'
    if loaded:
        weights = f'{loaded}, resumed' if runner.cfg.get('resume') else f'{loaded}'
    return dict(
        model=f'{kind}, {count_parameters(model) / 1e6:.1f} M parameters',
        weights=weights,
        device=_device(parameter.device, runner),
    )


def _device(device: torch.device, runner: Runner) -> str:
    threads = torch.get_num_threads()
    cpu = f'CPU, {threads} thread{"s" * (threads > 1)}'
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else cpu
    several = f'{get_world_size()} processes with {name} each' if get_world_size() > 1 else name
    wrapper = str(runner.cfg.get('optim_wrapper', {}).get('type', ''))
    return f'{several}, mixed precision' if wrapper.startswith('Amp') else several


def _keys_of_the_best(runner: Runner) -> list[str]:
    found = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and hook.save_best]
    return [key for hook in found for key in (getattr(hook, 'key_indicators', None) or []) if key]


def _info(runner: Runner, name: str) -> dict[str, Any]:
    """What CheckpointHook tells of the best validation, of each metric if there are several."""
    return {key: value for key, value in runner.message_hub.runtime_info.items() if key.startswith(name) and value}


def _tell_all(lines: Mapping[str, str]) -> None:
    for name, text in lines.items():
        _tell(f'{name:9}{text}')


def _tell(text: str) -> None:
    if is_main_process():
        print(text, flush=True)
