"""Stand-in images and videos with classes: generated data for a rehearsal when those of the config are missing."""

from hiera_mm.readers.class_names import classes_from
from hiera_mm.readers.write_video import write_video
from hiera_mm.rehearsal.stand_in import file_prefix, root_and_folder, write_file, write_image
from hiera_mm.synthetic.motions import MOTIONS, draw_frames
from hiera_mm.synthetic.shapes import draw_scene

import numpy as np
from mmengine.config import ConfigDict

VIDEO_LENGTHS = (72, 10)
"""Frames of the videos, used in turn: longer and shorter than a clip."""


def draw_images(dataset: ConfigDict, classes: int, count: int, random: np.random.Generator) -> None:
    """Draw images, in class folders or with a list, as the data set reads them."""
    root, folder = root_and_folder(dataset, 'img')
    in_folders = dataset.get('with_label', True) and not dataset.get('ann_file')
    chosen = (dataset.get('metainfo') or {}).get('classes')
    names = list(classes_from(chosen)) if chosen else [f'class_{label:05d}' for label in range(classes)]
    if in_folders:
        for name in names:
            (folder / name).mkdir(exist_ok=True)
    entries = []
    for number in range(count):
        label = number % classes
        name = (f'{names[label]}/' if in_folders else '') + f'{file_prefix(dataset)}_{number:08d}.jpg'
        path = write_image(dataset, folder / name, draw_scene(random)[0])
        entries.append((path.relative_to(folder).as_posix(), label))
    if str(dataset.get('ann_file') or '').endswith('.json'):
        write_file(
            root / dataset.ann_file,
            dict(
                images=[dict(id=number, file_name=name) for number, (name, _) in enumerate(entries)],
                annotations=[dict(image_id=number, category_id=label) for number, (_, label) in enumerate(entries)],
                categories=[dict(id=label, name=f'class {label}') for label in range(classes)],
            ),
        )
    elif dataset.get('ann_file'):
        write_file(root / dataset.ann_file, ''.join(f'{name} {label}\n' for name, label in entries))


def draw_videos(dataset: ConfigDict, classes: int, count: int, random: np.random.Generator) -> None:
    """Draw videos and write their list."""
    root, folder = root_and_folder(dataset, 'video')
    lines = []
    for number in range(count):
        frames = draw_frames(random, MOTIONS[number % len(MOTIONS)], VIDEO_LENGTHS[number % len(VIDEO_LENGTHS)])
        name = f'{file_prefix(dataset)}_{number:05d}.mp4'
        write_video(folder / name, frames, 25)
        lines.append(f'{name} {number % classes}\n')
    write_file(root / dataset.ann_file, ''.join(lines))
