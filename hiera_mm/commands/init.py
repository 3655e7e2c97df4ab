"""Write a config for the data in a folder, and say what became of each file in it.

hiera-mm init my_data
hiera-mm init --yolo my_data --out my_config.py

The folder may hold images with boxes, masks or classes, videos with classes or actions, or volumes. Files that have to
be written, such as YOLO's annotations in COCO's format or lists of a part, go to CONFIG_annotations beside the config.
The data stay where and as they are.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hiera_mm.first_config import Kind, Machine
    from hiera_mm.readers.found_sets import FoundSets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_arguments(parser)
    parser.add_argument('--out', default='my_config.py', help='the config to write (default: %(default)s)')


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the data are and what to begin with."""
    from hiera_mm.readers.found_sets import LAYOUTS

    layouts = parser.add_mutually_exclusive_group(required=True)
    layouts.add_argument('folder', nargs='?', metavar='FOLDER', help='folder with data in any layout below')
    for name, layout in LAYOUTS.items():
        layouts.add_argument(f'--{name}', metavar='FOLDER', help=f'with {layout.help}')
    shapes = parser.add_mutually_exclusive_group()
    shapes.add_argument('--boxes', action='store_true', help='train boxes, even if all objects have masks')
    shapes.add_argument(
        '--polygons', action='store_true', help='train polygons as masks, even if all have four corners'
    )
    parser.add_argument(
        '--size', choices=['t', 's', 'b', 'bp', 'l', 'h'], help='size of Hiera (default: by the memory of the GPU)'
    )
    parser.add_argument('--epochs', type=int, help='passes over the training set (default: by the task)')
    parser.add_argument(
        '--random-weights', action='store_true', help='start from random weights instead of published ones'
    )


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.program import command_line

    out = Path(arguments.out)
    write_config(arguments, out)
    print(f'The config is {out}. Next:')
    for command, of in (('check-data', out), ('train', out), ('report', f'work_dirs/{out.stem}')):
        print(f'  {command_line(command)} {of}')


def write_config(arguments: argparse.Namespace, out: Path) -> FoundSets:
    """Find the set, write its config, and print what was found."""
    from hiera_mm.atomic_write import atomic_write
    from hiera_mm.errors import UserError
    from hiera_mm.readers.found_sets import LAYOUTS, find_sets, layout_of
    from hiera_mm.readers.found_sets.channels import channel_settings

    if out.exists():
        raise UserError(f"'{out}' already exists; name another file with --out, or remove it.")
    if arguments.epochs is not None and arguments.epochs < 1:
        raise UserError(f'--epochs must be at least 1, but is {arguments.epochs}.')
    if out.suffix != '.py':
        raise UserError(f"The config '{out}' must have a name that ends in .py.")
    named = {name: getattr(arguments, name.replace('-', '_')) for name in LAYOUTS}
    layout = next((name for name, folder in named.items() if folder), None)
    folder = Path(named[layout] if layout else arguments.folder)
    annotations = annotations_of(out)
    layout = layout or layout_of(folder)
    shape = 'boxes' if arguments.boxes else 'polygons' if arguments.polygons else None
    found = find_sets(folder, layout, annotations, shape)
    if found.kind.startswith(('objects', 'images')):
        found.settings.update(channel_settings(found.parts['train'].images))
    try:
        text = _config(found, arguments)
        with atomic_write(out) as unfinished:
            unfinished.write_text(text, encoding='utf-8')
    except BaseException:
        # Without a config it would be in the way of the next attempt.
        shutil.rmtree(annotations, ignore_errors=True)
        raise
    named = dict(classes=found.classes) | {key: found.settings.get(key) for key in ('thing_classes', 'stuff_classes')}
    classes = ''.join(f', {key.replace("_", " ")} {", ".join(names)}' for key, names in named.items() if names)
    shapes = '; masks' if found.masks else '; boxes' if found.kind == 'objects' else ''
    print(f'{folder}: {LAYOUTS[layout].name}{classes}{shapes}')
    print('\n'.join(f'  {line}' for line in found.account))
    print(''.join(f'Note: {note}\n' for note in found.notes), end='')
    if annotations.is_dir():
        print(f'What had to be written for it is in {annotations}, on which the config depends.')
    return found


def _config(found: FoundSets, arguments: argparse.Namespace) -> str:
    from hiera_mm.errors import UserError
    from hiera_mm.first_config import KINDS, config_text

    kind, machine = KINDS[found.kind], this_machine()
    batch_size = min(kind.batch_size, len(found.parts['train'].images))
    size = arguments.size or _fitting_size(found, kind, machine, batch_size)
    if size not in kind.sizes:
        raise UserError(f'For {found.kind} there are the sizes {", ".join(kind.sizes)}, but not {size}.')
    return config_text(found, machine, size, batch_size, arguments.epochs, arguments.random_weights)


def annotations_of(out: Path) -> Path:
    """The folder for what has to be written for a config."""
    return out.resolve().parent / f'{out.stem}_annotations'


def this_machine() -> Machine:
    """The memory of the first GPU, and the number of processors."""
    from hiera_mm.first_config import Machine

    import torch

    memory = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
    return Machine(memory, os.cpu_count() or 1)


def _fitting_size(found: FoundSets, kind: Kind, machine: Machine, batch_size: int) -> str:
    """Hiera-B if a GPU has the memory to train it, else the smallest."""
    large = machine.gpu_memory is not None and _fits(found, machine, 'b', batch_size)
    return 'b' if large else kind.sizes[0]


def _fits(found: FoundSets, machine: Machine, size: str, batch_size: int) -> bool:
    """Whether the GPU has the memory for a batch in float32 without recomputing anything, by the plan of the config."""
    import tempfile

    # Before whatever needs its stand-ins.
    import hiera_mm.registration  # noqa: F401
    from hiera_mm.engine.training_plan import training_setups
    from hiera_mm.first_config import config_text
    from hiera_mm.settings import read_config
    from hiera_mm.tasks import task_of

    from mmengine.registry import init_default_scope

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'planned.py')
        path.write_text(config_text(found, machine, size, batch_size, None, random_weights=True), encoding='utf-8')
        config = read_config(str(path))
    init_default_scope(config.default_scope)
    task = task_of(config)
    setups = training_setups(config, task, task.input_shape(config), 1)
    plain = next(setup for setup in setups if not setup.autocast and not setup.with_cp)
    return plain.largest_batch(machine.gpu_memory or 0) >= batch_size
