"""How fast a trained model is on this machine in each format that it can be deployed in, and what that costs in
accuracy."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hiera_mm.checks.run import data_sets
from hiera_mm.engine.compiling import can_replay, compile_parts
from hiera_mm.engine.processes import process_group
from hiera_mm.engine.running import build_runner
from hiera_mm.engine.testing import prepare_test
from hiera_mm.errors import UserError
from hiera_mm.explain import describe
from hiera_mm.inference.export import export
from hiera_mm.inference.loading import config_for_testing, is_exported
from hiera_mm.models.half_precision import half_dtype, halve

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner

WARM_UPS, ROUNDS = 2, 3
"""Inputs that are predicted before the clock runs, and how often all formats take turns."""

CALIBRATION_FILES = 50

Load = Callable[..., Any]
"""``hiera_mm.load``."""


@dataclass
class Measured:
    """A format's speed and accuracy.

    Attributes:
        name: The format.
        seconds: For each input, the median of the rounds; empty if it could not be measured.
        metrics: On the test set; empty without one.
        size: Bytes of its file.
        fault: Why it could not be measured.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    metrics: Mapping[str, float] = field(default_factory=dict)
    size: int | None = None
    fault: str = ''

    @property
    def per_second(self) -> float:
        """Inputs a second."""
        return 1 / statistics.median(self.seconds)


@dataclass(frozen=True)
class Format:
    """A way to run a model.

    Attributes:
        name: For a person.
        ending: Of an exported file; empty for torch.
        int8: Whether it computes in 8-bit integers.
        half: Whether it computes in half precision.
        compiled: Whether torch compiles it.
    """

    name: str
    ending: str = ''
    int8: bool = False
    half: bool = False
    compiled: bool = False


FORMATS = {
    'pytorch': Format('PyTorch'),
    'half': Format('PyTorch, half precision', half=True),
    'compiled': Format('PyTorch, compiled', compiled=True),
    'onnx': Format('ONNX Runtime', '.onnx'),
    'openvino': Format('OpenVINO', '.xml'),
    'onnx-int8': Format('ONNX Runtime, INT8', '.onnx', int8=True),
    'openvino-int8': Format('OpenVINO, INT8', '.xml', int8=True),
}


def bench(
    load: Load,
    original: Any,
    source: str,
    names: Sequence[str],
    inputs: Sequence[str],
    device: str | None,
    trust: bool,
    scored: bool,
    say: Callable[[str], object],
) -> list[Measured]:
    """Measure a model in several formats, which take turns on the same inputs.

    Args:
        load: ``hiera_mm.load``.
        original: The model, loaded on the CPU; exported from, and asked for its data.
        source: The model's checkpoint.
        names: Keys of ``FORMATS``.
        inputs: Files to predict for.
        device: For torch; exported files run on the CPU.
        trust: As for ``hiera_mm.load``.
        scored: Whether to test each format on the test set.
        say: Is told what is going on.
    """
    with TemporaryDirectory(prefix='bench_') as folder:
        found, predictors = {}, {}
        for name in names:
            say(f'preparing {FORMATS[name].name}')
            found[name] = Measured(FORMATS[name].name)
            try:
                predictors[name], found[name].size = _prepared(
                    FORMATS[name], load, original, source, Path(folder), device, trust
                )
                for path in inputs[:WARM_UPS]:
                    predictors[name].predict(path)
            except Exception as error:  # Whatever a format can't do, the others can.
                found[name].fault = describe(error)
                predictors.pop(name, None)
                say(f'{FORMATS[name].name} is left out: {found[name].fault}')
        times: dict[str, list[list[float]]] = {name: [] for name in predictors}
        for number in range(ROUNDS):
            say(f'round {number + 1} of {ROUNDS}: {len(inputs)} inputs in {len(predictors)} formats')
            for name, predictor in predictors.items():
                times[name].append([_seconds(predictor, path) for path in inputs])
        tested = config_for_testing(original.trained)
        for name, measured in found.items():
            if name in times:
                measured.seconds = [statistics.median(values) for values in zip(*times[name], strict=True)]
            if name in predictors and scored:
                say(f'testing {measured.name}')
                try:
                    measured.metrics = _metrics(FORMATS[name], tested, source, Path(folder), trust)
                except Exception as error:
                    measured.fault = describe(error)
                    say(f'{measured.name} was not tested: {measured.fault}')
        return list(found.values())


def files_of(config: Config, part: str, count: int) -> list[str]:
    """Files of a part of the data that a config names, evenly spread; empty if they are not there."""
    init_default_scope(config.get('default_scope'))
    for _, dataset, kind in data_sets(config, f'{part}_dataloader'):
        if kind is None:
            continue
        try:
            built: Any = DATASETS.build(dict(copy.deepcopy(dataset), pipeline=[]))
            every = [built.get_data_info(i) for i in range(len(built))]
        except (OSError, UserError):
            continue
        paths = [info.get('img_path') or info.get('filename') or info.get('image') for info in every]
        paths = [str(path) for path in dict.fromkeys(paths) if path and Path(path).is_file()]
        return paths[:: max(1, len(paths) // count)][:count]
    return []


def _seconds(predictor: Any, path: str) -> float:
    start = time.perf_counter()
    predictor.predict(path)
    return time.perf_counter() - start


def _file(format_: Format, folder: Path) -> Path:
    return folder / f'model{"_int8" if format_.int8 else ""}{format_.ending}'


def _prepared(
    format_: Format, load: Load, original: Any, source: str, folder: Path, device: str | None, trust: bool
) -> tuple[Any, int | None]:
    """A predictor of a format, and the size of its file."""
    if not format_.ending:
        predictor = load(source, device=device, trust=trust, half=format_.half)
        if format_.compiled:
            model = predictor.trained.model
            compile_parts(model, can_replay(model))
        return predictor, None
    path = _file(format_, folder)
    calibration = files_of(original.trained.config, 'train', CALIBRATION_FILES) if format_.int8 else None
    if format_.int8 and not calibration:
        raise UserError('8-bit integers need images of the training set to be calibrated on, which are not here.')
    export(original, path, None, calibration)
    size = sum(file.stat().st_size for file in folder.glob(f'{path.stem}.*') if file.suffix in (path.suffix, '.bin'))
    return load(str(path), trust=trust), size


class _HalveHook(Hook):
    """Makes a model compute in half precision after its weights are loaded."""

    def before_test(self, runner: Runner) -> None:
        model: Any = runner.model
        halve(model)
        device, plain = next(model.parameters()).device, model.test_step

        def test_step(data: Any) -> Any:
            # Around each step, since mmengine's loop switches it off.
            with torch.autocast(device.type, half_dtype(device)):
                return plain(data)

        model.test_step = test_step


def _metrics(format_: Format, tested: Config, source: str, folder: Path, trust: bool) -> dict[str, float]:
    """The metrics of a format on the test set of a config; empty without one."""
    config = copy.deepcopy(tested)
    if config.get('test_dataloader') is None:
        return {}
    # One for all formats, as mmengine's visualizer keeps the first.
    config.work_dir = str(folder / 'tested')
    prepare_test(config, source)
    exported = str(_file(format_, folder))
    if format_.ending and is_exported(exported):
        config.load_from, config.model = None, dict(type='ExportedModel', file=exported, trust=trust)
        config.pop('data_preprocessor', None)
    with process_group(config):
        runner = build_runner(config)
        if format_.half:
            runner.register_hook(_HalveHook())
        return runner.test()
