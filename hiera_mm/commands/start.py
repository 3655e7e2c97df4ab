"""Go from a folder of data to a trained model, a report and predictions, in one command.

hiera-mm start my_data
hiera-mm start my_data --minutes 60 --out my_config.py

Does what these would do: init, check-data, rehearse, train, report, predict. The epochs are as many as fit into the
minutes. The same command again goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.commands.init import add_data_arguments, annotations_of, this_machine, write_config
from hiera_mm.errors import UserError
from hiera_mm.program import command_line

if TYPE_CHECKING:
    from hiera_mm.readers.found_sets import FoundSets

MINUTES_ON_CPU, MINUTES_ON_GPU = 6, 60
"""How long training takes at most, by default."""

LOADING = 1.3
"""How much longer a step takes with loading its data, roughly."""

FORWARD = 1 / 3
"""A forward pass, as a share of a step of training."""

VALIDATIONS = 20
"""At most so many are in a run that counts iterations."""

PREDICTED, PREDICTED_VIDEOS = 20, 3
"""How many inputs are predicted for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_arguments(parser)
    parser.add_argument('--out', default='my_config.py', help='the config to write (default: %(default)s)')
    parser.add_argument(
        '--minutes',
        type=float,
        help=f'how long to train at most (default: {MINUTES_ON_CPU}, on a GPU {MINUTES_ON_GPU}); --epochs overrides it',
    )


def run(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out)
    if arguments.minutes is not None and arguments.minutes <= 0:
        raise UserError(f'--minutes must be above 0, but is {arguments.minutes:g}.')
    state = State(Path('work_dirs', out.stem), out)
    if out.exists():
        state.read()
        print(f'{out} is there already, and is used.')
    else:
        _begin(arguments, out, state)
    for name, words in _stages(out, state):
        if name in state.finished:
            continue
        print(f'\n== {command_line(" ".join(map(str, words)))}', flush=True)
        code = subprocess.run([sys.executable, '-m', 'hiera_mm', *map(str, words)]).returncode
        if code:
            print(f'\nThis step failed ({name}); once its cause is gone, the same command goes on here.')
            return code
        state.finish(name)
    _end(state)
    return 0


class State:
    """What is finished, in a file beside the run.

    Args:
        folder: The run's folder.
        config: The config, whose changes make the finished steps worthless.

    Attributes:
        finished: The names of the finished steps.
        data: What the later steps need to know of the data.
    """

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder, self.config, self.file = folder, config, folder / 'start.json'
        self.finished: list[str] = []
        self.data: dict[str, Any] = {}

    def read(self) -> None:
        """Read the file.

        Raises:
            UserError: if the config was not begun by ``start``, or if it was changed after its training.
        """
        try:
            content = json.loads(self.file.read_text(encoding='utf-8'))
            self.finished, self.data, config = content['finished'], content['data'], content['config']
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"'{self.config}' exists, but nothing says how far '{command_line('start')}' was with it "
                f"('{self.file}' is missing or damaged); go on with '{command_line('train')} {self.config}', or name "
                'another config with --out.'
            ) from error
        if config != self._config() and 'training' in self.finished:
            raise UserError(
                f"'{self.config}' was changed after its training; train it again by '{command_line('train')} "
                f"{self.config} --overwrite', or start another with --out."
            )
        if config != self._config():
            self.finished = []
            self.write()

    def finish(self, name: str) -> None:
        """Note that a step is finished."""
        self.finished.append(name)
        self.write()

    def write(self) -> None:
        """Write the file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = dict(config=self._config(), finished=self.finished, data=self.data)
        with atomic_write(self.file) as unfinished:
            unfinished.write_text(json.dumps(content, indent=1), encoding='utf-8')

    def _config(self) -> str:
        return hashlib.sha256(self.config.read_bytes()).hexdigest()


def _begin(arguments: argparse.Namespace, out: Path, state: State) -> None:
    """Write the config, with as many epochs as fit into the minutes."""
    if any(state.folder.glob('*.pth')):
        raise UserError(f"'{state.folder}' holds an earlier run; name another config with --out.")
    found = write_config(arguments, out)
    try:
        if arguments.epochs is None:
            minutes = arguments.minutes or (MINUTES_ON_GPU if this_machine().gpu_memory else MINUTES_ON_CPU)
            _fit_epochs(out, _sizes(found), minutes)
        state.data = _data(found, state.folder)
        state.write()
    except BaseException:
        # Half begun, it would be taken for a config of the user's own.
        out.unlink(missing_ok=True)
        shutil.rmtree(annotations_of(out), ignore_errors=True)
        raise


def _sizes(found: FoundSets) -> dict[str, int]:
    """How many samples each part has: inputs, or for actions annotated seconds."""
    from hiera_mm.readers.ava_files import read_rows

    if 'actions' not in found.kind:
        return {name: len(part.images) for name, part in found.parts.items()}
    return {name: len({row.key for row in read_rows(part.ann_file or '')}) for name, part in found.parts.items()}


def _fit_epochs(config: Path, sizes: Mapping[str, int], minutes: float) -> None:
    """Reduce the epochs of a config to those that a run of so many minutes has, and say so."""
    from hiera_mm.engine.run_plan import duration

    seconds, by_epoch, epochs = _costs(str(config), sizes)
    affordable = minutes * 60 / seconds
    if affordable >= epochs:
        print(f'Training takes about {duration(epochs * seconds)} on this machine.')
        return
    chosen = max(1, math.floor(affordable)) if by_epoch else max(0.1, round(affordable, 1))
    text = config.read_text(encoding='utf-8')
    reason = f'# {epochs:g} would take about {duration(epochs * seconds)} on this machine.'
    with atomic_write(config) as unfinished:
        unfinished.write_text(re.sub(r'(?m)^epochs = .*$', f'epochs = {chosen}  {reason}', text), encoding='utf-8')
    print(
        f'{epochs:g} epochs would take about {duration(epochs * seconds)} on this machine, so {chosen:g} are trained, '
        f'in about {duration(chosen * seconds)}; for more, set epochs in {config} or --minutes.'
    )


def _costs(path: str, sizes: Mapping[str, int]) -> tuple[float, bool, float]:
    """Seconds of an epoch with its validation, whether the run counts epochs, and how many it has."""
    from hiera_mm.engine.training_memory import train_steps
    from hiera_mm.engine.training_plan import training_setups
    from hiera_mm.settings import read_config
    from hiera_mm.tasks import task_of

    from mmengine.registry import init_default_scope

    config = read_config(path)
    init_default_scope(config.default_scope)
    task = task_of(config)
    batch = config.train_dataloader.batch_size
    _, shape = task.complexity(config.model, task.input_shape(config))
    repeats = next(iter(training_setups(config, task, shape, 1))).repeats
    step = train_steps(config, task, shape, batch) / batch * LOADING
    by_epoch = 'Epoch' in config.train_cfg.get('type', '') or config.train_cfg.get('max_iters') is None
    epochs = config.epochs
    validated = step * FORWARD * sizes.get('val', 0) * (1 if by_epoch else min(1, VALIDATIONS / epochs))
    return step * repeats * sizes['train'] + validated, by_epoch, epochs


def _data(found: FoundSets, folder: Path) -> dict[str, Any]:
    """What the last steps need: inputs to predict for, and persons for actions."""
    part = found.parts.get('test') or found.parts.get('val') or found.parts['train']
    data: dict[str, Any] = dict(kind=found.kind, inputs=part.images[:PREDICTED])
    if found.kind == 'persons with actions in videos':
        data['inputs'] = part.images[:PREDICTED_VIDEOS]
        data['boxes'] = [
            str(path)
            for path in (_write_boxes(Path(video), part.ann_file, found.settings, folder) for video in data['inputs'])
        ]
    elif 'videos' in found.kind:
        data['inputs'] = part.images[:PREDICTED_VIDEOS]
    elif 'channels' in found.settings:
        # Of volumes with several files, the list knows which belong together.
        data['inputs'] = [str(part.ann_file)]
    return data


def _write_boxes(video: Path, table: Path | None, settings: Mapping[str, Any], folder: Path) -> Path:
    """The annotated persons of a video, in pixels by second, as predicting actions needs persons."""
    from hiera_mm.readers.ava_files import read_rows
    from hiera_mm.readers.videos import open_video

    height, width = open_video(video).frames([0])[0].shape[:2]
    boxes: dict[str, list[list[float]]] = {}
    for row in read_rows(table or ''):
        if row.video_id == video.stem:
            x1, y1, x2, y2 = row.box
            box = [x1 * width, y1 * height, x2 * width, y2 * height]
            persons = boxes.setdefault(str(row.timestamp - settings['timestamp_start']), [])
            if box not in persons:
                persons.append(box)
    path = folder / 'persons' / f'{video.stem}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(boxes), encoding='utf-8')
    return path


def _stages(config: Path, state: State) -> Iterator[tuple[str, Sequence[object]]]:
    """The names and words of the commands."""
    folder, kind = state.folder, state.data['kind']
    yield 'check', ('check-data', config)
    yield 'rehearsal', ('rehearse', config)
    half = ['--amp'] if this_machine().gpu_memory else []
    yield 'training', ('train', config, *half, *(['--resume'] if any(folder.glob('*.pth')) else []))
    yield 'report', ('report', folder)
    results = folder / 'predictions'
    if 'boxes' in state.data:
        for video, boxes in zip(state.data['inputs'], state.data['boxes'], strict=True):
            name = Path(video).stem
            yield f'predictions for {name}', ('predict', folder, video, '--boxes', boxes, '--out-dir', results)
    elif 'frames' not in kind:
        yield 'predictions', ('predict', folder, *state.data['inputs'], '--out-dir', results)


def _end(state: State) -> None:
    print('\nFinished:')
    found = {
        'the config, to change and train again': state.config,
        'the report': state.folder / 'report.html',
        'predictions': state.folder / 'predictions',
    }
    for what, path in found.items():
        if path.exists():
            print(f'  {path}: {what}')
    print(f'More: {command_line("predict")} {state.folder} YOUR_FILES')
