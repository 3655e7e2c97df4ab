"""The config that a new set begins with: what ``hiera-mm init`` writes for each kind of set."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.readers.found_sets import FoundPart, FoundSets

STRIDE = 32
"""Sides of images are multiples of this many pixels, those of a mask unit."""

LICENCE = "Meta's weights, CC BY-NC 4.0 (no commercial use), downloaded on first use; None for random ones."

SMALL_IMAGES = """
# Small images have smaller and fewer objects: smaller anchors, fewer regions for the heads.
if max(image_size if isinstance(image_size, list | tuple) else [image_size]) <= 256:
    model = dict(
        rpn_head=dict(anchor_generator=dict(scales=[4])),
        train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64))),
        test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
    )
"""

ONE_VIEW = """
# One view of each video in testing instead of 15, which take 15 times as long: leave this out on a GPU.
test_dataloader = dict(dataset=dict(pipeline=_base_.val_pipeline))
"""


class Machine(NamedTuple):
    """What a config is chosen for.

    Attributes:
        gpu_memory: Bytes of the first GPU; None without one.
        cpus: Number of processors.
    """

    gpu_memory: int | None
    cpus: int


class Sides(NamedTuple):
    """Sides of inputs in pixels: the smallest, the largest, and the largest without a GPU."""

    least: int
    most: int
    most_on_cpu: int


class Kind(NamedTuple):
    """What a set of a kind begins with.

    Attributes:
        base: The shipped config, with a place for the size.
        sizes: The sizes of Hiera that there are, the smallest first.
        weights: Names of published weights by size; under '' those of the others.
        page: The documentation.
        batch_size, epochs: Of the first run.
        rate, random_rate: Learning rates from published and from random weights.
        sides: Of images; None for volumes.
        square: Whether ``image_size`` is one number.
        prefix: The key of the inputs' folder in ``data_prefix``; None where it is the only one.
        more: What follows the settings, by the machine.
    """

    base: str
    sizes: tuple[str, ...]
    weights: Mapping[str, str]
    page: str
    batch_size: int
    epochs: int
    rate: str
    random_rate: str
    sides: Sides | None
    square: bool = True
    prefix: str | None = None
    more: Callable[[Machine], str] = lambda machine: ''


SIZES, CLIP_SIZES = ('t', 's', 'b', 'bp', 'l', 'h'), ('b', 'bp', 'l', 'h')


def _one_view(machine: Machine) -> str:
    return '' if machine.gpu_memory else ONE_VIEW


def _objects(heads: str) -> Kind:
    weights = {'': 'hiera_{size}.mae_in1k'}
    sides = Sides(128, 1024, 512)
    base = heads + '_hiera_{size}'
    return Kind(
        base, SIZES, weights, 'own_data', 4, 50, '1e-4', '6e-4', sides, square=False, more=lambda machine: SMALL_IMAGES
    )


def _actions(prefix: str) -> Kind:
    weights = {'': 'hiera_{size}_16x224.mae_k400_ft_k400'}
    sides = Sides(224, 224, 128)
    # SGD's, of the recipe's 3.6 for 128 clips.
    return Kind('ava_hiera_{size}', CLIP_SIZES, weights, 'action_detection', 4, 10, '0.1', '0.1', sides, prefix=prefix)


KINDS = {
    'objects': _objects('faster_rcnn'),
    'objects with masks': _objects('mask_rcnn'),
    'images with things and stuff': Kind(
        base='mask2former_hiera_{size}_coco_panoptic',
        sizes=('t', 'b', 'l'),
        weights={'': 'hiera_{size}.mae_in1k'},
        page='panoptic',
        batch_size=2,
        epochs=50,
        rate='1e-4',
        random_rate='3e-4',
        sides=Sides(128, 1024, 256),
        square=False,
        prefix='img',
    ),
    'images with masks': Kind(
        base='segformer_hiera_{size}_ade20k',
        sizes=('t', 's', 'b', 'bp', 'l'),
        weights={'': 'hiera_{size}.mae_in1k'},
        page='segmentation',
        batch_size=4,
        epochs=50,
        rate='1e-4',
        random_rate='6e-4',
        sides=Sides(64, 512, 256),
        square=False,
        prefix='img_path',
    ),
    'images with a class': Kind(
        base='in1k_hiera_{size}',
        sizes=SIZES,
        weights={'': 'hiera_{size}.mae_in1k_ft_in1k'},
        page='classification',
        batch_size=16,
        epochs=30,
        rate='1e-4',
        random_rate='1e-3',
        sides=Sides(64, 224, 224),
    ),
    'videos with a class': Kind(
        base='k400_hiera_{size}',
        sizes=CLIP_SIZES,
        weights={'': 'hiera_{size}_16x224.mae_k400_ft_k400'},
        page='video',
        batch_size=4,
        epochs=20,
        rate='1e-4',
        random_rate='1e-3',
        sides=Sides(224, 224, 128),
        more=_one_view,
    ),
    'persons with actions in videos': _actions('video'),
    'persons with actions in frames': _actions('img'),
    'volumes with labels': Kind(
        base='unetr_hiera_{size}_btcv',
        sizes=('t', 'b'),
        weights={'': 'hiera_t.mae_in1k', 'b': 'hiera_b_16x224.mae_k400'},
        page='volumes',
        batch_size=1,
        epochs=200,
        rate='1e-4',
        random_rate='1e-3',
        sides=None,
    ),
    'images without labels': Kind(
        base='mae_hiera_{size}',
        sizes=SIZES,
        weights={'': 'hiera_{size}.mae_in1k'},
        page='mae',
        batch_size=16,
        epochs=100,
        rate='1e-4',
        random_rate='1e-3',
        sides=Sides(64, 224, 224),
    ),
    'videos without labels': Kind(
        base='mae_hiera_{size}_k400',
        sizes=CLIP_SIZES,
        weights={'': 'hiera_{size}_16x224.mae_k400'},
        page='mae',
        batch_size=4,
        epochs=100,
        rate='1e-4',
        random_rate='1e-3',
        sides=Sides(224, 224, 128),
    ),
}
"""By what :attr:`hiera_mm.readers.found_sets.FoundSets.kind` says."""


def config_text(
    found: FoundSets, machine: Machine, size: str, batch_size: int, epochs: int | None, random_weights: bool
) -> str:
    """The config for a set.

    Args:
        found: The set.
        machine: For which it is.
        size: Of Hiera; one of the kind's.
        batch_size: Inputs for each process.
        epochs: Passes over the training part; None for the kind's.
        random_weights: Whether to start from random weights.
    """
    kind = KINDS[found.kind]
    root = _root(found)
    images = sum(len(part.images) for part in found.parts.values())
    side = _side(found.parts['train'], kind.sides, machine) if kind.sides else 0
    settings: dict[str, Any] = dict(data_root=f'{str(root).rstrip("/")}/')
    if found.classes:
        settings['classes'] = found.classes
    settings |= {name: _inside(value, root) for name, value in found.settings.items()}
    for part, content in found.parts.items():
        settings |= _files(part, content, kind, root)
    if kind.sides:
        settings['image_size'] = side if kind.square else (side, side)
    settings |= dict(batch_size=batch_size, num_workers=min(4, machine.cpus), epochs=epochs or kind.epochs)
    lines = [f'{name} = {value!r}' for name, value in settings.items()]
    lines.append(f'learning_rate = {kind.random_rate if random_weights else kind.rate}')
    weights = None if random_weights else weights_of(kind, size)
    return (
        f'# {found.folder}: {found.kind}, {images} in all; written by hiera-mm init.\n'
        f'# The settings at the top are explained in docs/own_data.md, the task in docs/{kind.page}.md.\n'
        f"_base_ = 'hiera_mm::{kind.base.format(size=size)}.py'\n\n"
        + '\n'.join(lines)
        + f'\n# {LICENCE}\nweights = {weights!r}\n'
        + kind.more(machine)
    )


def weights_of(kind: Kind, size: str) -> str:
    """The published weights that a kind begins with."""
    return kind.weights.get(size, kind.weights['']).format(size=size)


def _root(found: FoundSets) -> Path:
    """The folder that all files of a set lie in."""
    places = [
        place.resolve()
        for part in found.parts.values()
        for place in (part.ann_file and part.ann_file.parent, part.folder, *part.beside.values())
        if place
    ]
    return Path(os.path.commonpath([*places, *(v.resolve() for v in found.settings.values() if isinstance(v, Path))]))


def _inside(value: Any, root: Path) -> Any:
    """A path as the settings have it: relative to ``data_root``."""
    if not isinstance(value, Path):
        return value
    inner = value.resolve().relative_to(root).as_posix()
    return f'{inner}/' if value.is_dir() else inner


def _files(name: str, part: FoundPart, kind: Kind, root: Path) -> dict[str, Any]:
    files = {f'{name}_{key}': _inside(path, root) for key, path in part.beside.items() if key.endswith('_file')}
    others = {key: _inside(path, root) for key, path in part.beside.items() if not key.endswith('_file')}
    settings: dict[str, Any] = {}
    if part.ann_file:
        settings[f'{name}_ann_file'] = _inside(part.ann_file, root)
    folder = _inside(part.folder, root)
    settings |= files
    if kind.sides:
        # AVA's config has frames, whose key must go where there are videos.
        gone = {'_delete_': True} if kind.prefix == 'video' else {}
        settings[f'{name}_data_prefix'] = {**gone, kind.prefix: folder, **others} if kind.prefix else folder
    return settings


def _side(part: FoundPart, sides: Sides, machine: Machine) -> int:
    """The longer side of 90 % of the images, rounded and limited."""
    most = sides.most if machine.gpu_memory else sides.most_on_cpu
    if not part.longest_sides:
        return most
    longest = sorted(part.longest_sides)[len(part.longest_sides) * 9 // 10]
    return min(max(-(-longest // STRIDE) * STRIDE, min(sides.least, most)), most)
