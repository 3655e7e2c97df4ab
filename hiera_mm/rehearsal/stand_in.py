"""Data that stand in for those of a config which are not there: drawn in its own formats, with its own classes, at its
own paths below another folder.
"""

import importlib.util
import json
import pickle
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hiera_mm.checks.fault import class_of, classes_of, unwrapped
from hiera_mm.checks.run import LOADERS
from hiera_mm.config import evaluators_of
from hiera_mm.datasets.images import ImageDataset
from hiera_mm.datasets.volumes import VolumeDataset
from hiera_mm.readers.ava_files import frame_key, read_proposals, read_rows
from hiera_mm.readers.videos import open_video
from hiera_mm.readers.write_video import write_video
from hiera_mm.synthetic.actions import ACTIONS, RATE, action_list, make_acting_shapes
from hiera_mm.synthetic.motions import MOTIONS, draw_frames
from hiera_mm.synthetic.shapes import draw_scene
from hiera_mm.synthetic.volumes import NAMES as OF_VOLUMES
from hiera_mm.synthetic.volumes import draw_volume, save_volume

import mmcv
import numpy as np
from mmaction.datasets import AVADataset, VideoDataset
from mmdet.datasets import CocoDataset, CocoPanopticDataset
from mmengine.config import Config, ConfigDict

EVALUATORS = ('val_evaluator', 'test_evaluator')
FILES = ('ann_file', 'label_file', 'exclude_file', 'proposal_file')

FRAMES = (72, 10)
"""Of the videos in turn: longer, and shorter than a clip."""


def can_stand_in(config: Config) -> bool:
    """Whether nothing that the data loaders of a config name is there, and all of it can be drawn."""
    for _, dataset in _datasets(config):
        kind = class_of(dataset, config.get('default_scope'))
        if any(path.exists() for path in _paths(dataset)) or (kind is not None and _artist_of(kind) is None):
            return False
    return True


def draw(config: Config, folder: Path) -> None:
    """Draw data for all loaders below ``folder``, and change their paths and those of the evaluators to there."""
    drawn: set[str] = set()
    for loader, dataset in _datasets(config):
        _move(dataset, folder)
        # The parts of a list of volumes lie in one file.
        place = str([*map(str, _paths(dataset)), dataset.get('data_list_key')])
        draw_set = _artist_of(class_of(dataset, config.get('default_scope')))
        if place not in drawn and draw_set is not None:
            batch = config[loader].get('batch_size', 1)
            # A whole batch and a smaller last one.
            draw_set(dataset, config.model, batch + max(1, batch // 2), np.random.default_rng(len(drawn)))
        drawn.add(place)
    for key in EVALUATORS:
        for evaluator in evaluators_of(config, key):
            _move(evaluator, folder)


def _datasets(config: Config) -> Iterator[tuple[str, ConfigDict]]:
    for loader in LOADERS:
        if config.get(loader) is not None:
            yield from ((loader, part) for _, part in unwrapped(loader, config[loader].dataset))


def _paths(dataset: ConfigDict) -> Iterator[Path]:
    root = dataset.get('data_root') or ''
    named = [dataset.get(key) for key in FILES] + [*dataset.get('data_prefix', {}).values()]
    yield from (Path(root, name) for name in named if name)
    if root:
        yield Path(root)


def _move(part: ConfigDict, folder: Path) -> None:
    """Put the paths of a data set or an evaluator below ``folder``."""

    def moved(path: str) -> str:
        # Loaders that share a dict come here more than once.
        if Path(path).is_relative_to(folder):
            return path
        inside = [step for step in Path(path).parts if step not in ('..', '/')]
        # A folder's last slash matters where names are put together by adding them.
        return str(folder.joinpath(*inside)) + ('/' if path.endswith('/') else '')

    root = part.get('data_root')
    if root:
        part.data_root = moved(root)
    names = {key: part.get(key) for key in FILES} | {
        ('data_prefix', k): v for k, v in part.get('data_prefix', {}).items()
    }
    for key, path in names.items():
        if path and (not root or Path(path).is_absolute()):
            holder, name = (part.data_prefix, key[1]) if isinstance(key, tuple) else (part, key)
            holder[name] = moved(path)


def _artist_of(kind: type | None) -> Callable | None:
    """What draws a data set of this type, None if nothing can."""
    artists = {
        CocoDataset: _draw_coco,
        ImageDataset: _draw_images,
        AVADataset: _draw_ava,
        VideoDataset: _draw_videos,
        VolumeDataset: _draw_volumes,
    }
    if importlib.util.find_spec('mmseg') is not None:
        from hiera_mm.checks.masks import reads_masks

        if isinstance(kind, type) and reads_masks(kind):
            return _draw_masks
    for base, artist in artists.items():
        # Panoptic sets have a format of their own, which is not drawn.
        if isinstance(kind, type) and issubclass(kind, base) and not issubclass(kind, CocoPanopticDataset):
            return artist
    return None


def _draw_coco(dataset: ConfigDict, model: ConfigDict, count: int, random: np.random.Generator) -> None:
    classes = classes_of(dataset, class_of(dataset, 'mmdet'))
    root, folder = _root_and_folder(dataset, 'img')
    images: list[dict] = []
    annotations: list[dict] = []
    for number in range(1, count + 1):
        picture, objects = draw_scene(random)
        name = f'{_label(dataset)}_{number:012d}.jpg'
        mmcv.imwrite(picture, folder / name)
        images.append(dict(id=number, file_name=name, height=picture.shape[0], width=picture.shape[1]))
        for entry in objects:
            category = int(random.integers(len(classes))) + 1
            annotations.append(dict(entry, id=len(annotations) + 1, image_id=number, category_id=category))
    categories = [dict(id=number, name=name) for number, name in enumerate(classes, start=1)]
    _write(root / dataset.ann_file, dict(images=images, annotations=annotations, categories=categories))


def _draw_images(dataset: ConfigDict, model: ConfigDict, count: int, random: np.random.Generator) -> None:
    root, folder = _root_and_folder(dataset, 'img')
    classes = model.get('cls_head', {}).get('num_classes', 1)
    in_folders = dataset.get('with_label', True) and not dataset.get('ann_file')
    if in_folders:
        for label in range(classes):
            (folder / f'class_{label:05d}').mkdir(exist_ok=True)
    entries = []
    for number in range(count):
        label = number % classes
        name = (f'class_{label:05d}/' if in_folders else '') + f'{_label(dataset)}_{number:08d}.jpg'
        mmcv.imwrite(draw_scene(random)[0], folder / name)
        entries.append((name, label))
    if str(dataset.get('ann_file') or '').endswith('.json'):
        _write(
            root / dataset.ann_file,
            dict(
                images=[dict(id=number, file_name=name) for number, (name, _) in enumerate(entries)],
                annotations=[dict(image_id=number, category_id=label) for number, (_, label) in enumerate(entries)],
                categories=[dict(id=label, name=f'class {label}') for label in range(classes)],
            ),
        )
    elif dataset.get('ann_file'):
        _write(root / dataset.ann_file, ''.join(f'{name} {label}\n' for name, label in entries))


def _draw_masks(dataset: ConfigDict, model: ConfigDict, count: int, random: np.random.Generator) -> None:
    """With the endings that the set's type asks for, and all its numbers, 0 among them where it is ignored."""
    from hiera_mm.checks.masks import count_of_numbers, setting_of

    kind = class_of(dataset, 'mmseg')
    root, folder = _root_and_folder(dataset, 'img_path')
    numbers = count_of_numbers(dataset, kind)
    endings = setting_of(dataset, kind, 'img_suffix') or '.jpg', setting_of(dataset, kind, 'seg_map_suffix')
    names = [f'{_label(dataset)}_{number:05d}' for number in range(count)]
    for name in names:
        picture, objects = draw_scene(random)
        mask = np.zeros(picture.shape[:2], np.uint8)
        for entry in objects:
            x, y, width, height = (round(side) for side in entry['bbox'])
            mask[y : y + height, x : x + width] = random.integers(numbers)
        mmcv.imwrite(picture, str(folder / f'{name}{endings[0]}'))
        mmcv.imwrite(mask, str(root / dataset.data_prefix.seg_map_path / f'{name}{endings[1]}'))
    if dataset.get('ann_file'):
        _write(root / dataset.ann_file, ''.join(f'{name}\n' for name in names))


def _draw_volumes(dataset: ConfigDict, model: ConfigDict, count: int, random: np.random.Generator) -> None:
    path = Path(dataset.get('data_root') or '', dataset.ann_file)
    part = dataset.get('data_list_key', 'training')
    classes = model.get('decoder', {}).get('num_classes', 1)
    listed = []
    for number in range(count):
        image, labels = draw_volume(random)
        numbers = random.integers(classes, size=len(OF_VOLUMES)) * (np.arange(len(OF_VOLUMES)) > 0)
        entry = {name: f'{part}/{name}_{number:03d}.nii.gz' for name in ('image', 'label')}
        save_volume(path.parent / entry['image'], image)
        save_volume(path.parent / entry['label'], numbers.astype(np.uint8)[labels])
        listed.append(entry)
    content = json.loads(path.read_text()) if path.exists() else {}
    _write(path, content | {part: listed})


def _draw_videos(dataset: ConfigDict, model: ConfigDict, count: int, random: np.random.Generator) -> None:
    root, folder = _root_and_folder(dataset, 'video')
    classes = model.get('cls_head', {}).get('num_classes', 1)
    lines = []
    for number in range(count):
        frames = draw_frames(random, MOTIONS[number % len(MOTIONS)], FRAMES[number % len(FRAMES)])
        name = f'{_label(dataset)}_{number:05d}.mp4'
        write_video(folder / name, frames, 25)
        lines.append(f'{name} {number % classes}\n')
    _write(root / dataset.ann_file, ''.join(lines))


def _draw_ava(dataset: ConfigDict, model: ConfigDict, count: int, random: np.random.Generator) -> None:
    """The generated videos under the data set's own names of files, with a list of all its actions."""
    videos = (count + 1) // 2
    actions = dataset.get('num_classes', 81) - 1
    shift = dataset.get('timestamp_start', 900) - 900
    part = 'train'
    with tempfile.TemporaryDirectory() as scratch:
        make_acting_shapes(scratch, train=videos, val=1, seed=int(random.integers(1000)))
        rows = read_rows(Path(scratch, f'{part}.csv'))
        proposals = read_proposals(Path(scratch, f'{part}_proposals.pkl'))
        for video in sorted({row.video_id for row in rows}):
            _place_video(Path(scratch, part, f'{video}.mp4'), f'{_label(dataset)}_{video}', dataset)
    # The last number stands for actions that the generated videos don't have.
    numbers = {row.action: min(row.action, actions) for row in rows}
    lines = []
    for row in rows:
        corners = ','.join(f'{corner:.4f}' for corner in row.box)
        key = f'{_label(dataset)}_{row.video_id},{row.timestamp + shift:04d}'
        lines.append(f'{key},{corners},{numbers[row.action]},{row.person}\n')
    _write(Path(dataset.ann_file), ''.join(lines))
    if dataset.get('label_file'):
        names = [*ACTIONS, *(f'action {number}' for number in range(len(ACTIONS) + 1, actions + 1))][:actions]
        _write(Path(dataset.label_file), action_list(names))
    if dataset.get('exclude_file'):
        _write(Path(dataset.exclude_file), f'{_label(dataset)}_{rows[0].video_id},0001\n')
    if dataset.get('proposal_file'):
        moved = {f'{_label(dataset)}_{_moved_key(key, shift)}': boxes for key, boxes in proposals.items()}
        _write(Path(dataset.proposal_file), pickle.dumps(moved))


def _moved_key(key: str, shift: int) -> str:
    video, _, second = key.rpartition(',')
    return frame_key(video, int(second) + shift)


def _place_video(video: Path, name: str, dataset: ConfigDict) -> None:
    """The video as it is, or its frames at the data set's rate."""
    prefix = dataset.get('data_prefix', {})
    if 'video' in prefix:
        target = Path(prefix['video'], f'{name}.mp4')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(video.read_bytes())
        return
    reader = open_video(video)
    folder = Path(prefix['img'], name)
    folder.mkdir(parents=True, exist_ok=True)
    rate, first = dataset.get('fps', 30), dataset.get('start_index', 1)
    pictures = reader.frames(range(len(reader)))
    for number in range(len(reader) * rate // RATE):
        picture = pictures[number * RATE // rate][..., ::-1]
        mmcv.imwrite(picture, folder / dataset.get('filename_tmpl', 'img_{:05}.jpg').format(number + first))


def _root_and_folder(dataset: ConfigDict, kind: str) -> tuple[Path, Path]:
    """Where a data set's annotations are, and the folder of its files, which is made."""
    root = Path(dataset.get('data_root') or '')
    folder = root / dataset.get('data_prefix', {}).get(kind, '')
    folder.mkdir(parents=True, exist_ok=True)
    return root, folder


def _label(dataset: ConfigDict) -> str:
    """Begins the names of a data set's files, as loaders may share a folder."""
    return Path(dataset.get('ann_file') or 'image').stem


def _write(path: Path, content: str | bytes | dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
