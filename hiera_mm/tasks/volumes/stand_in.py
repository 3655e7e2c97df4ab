"""Stand-in volumes with labels: generated data for a rehearsal when those of the config are missing."""

import json
from pathlib import Path

from hiera_mm.rehearsal.stand_in import write_file
from hiera_mm.synthetic.volumes import NAMES, draw_volume, save_volume

import numpy as np
from mmengine.config import ConfigDict


def draw_volumes(dataset: ConfigDict, classes: int, count: int, random: np.random.Generator) -> None:
    """Draw volumes and add them to the list that the data set reads."""
    path = Path(dataset.get('data_root') or '', dataset.ann_file)
    part = dataset.get('data_list_key', 'training')
    listed = []
    for number in range(count):
        image, labels = draw_volume(random)
        numbers = random.integers(classes, size=len(NAMES)) * (np.arange(len(NAMES)) > 0)
        entry = {name: f'{part}/{name}_{number:03d}.nii.gz' for name in ('image', 'label')}
        save_volume(path.parent / entry['image'], _with_channels(image, dataset.get('channels') or 1))
        save_volume(path.parent / entry['label'], numbers.astype(np.uint8)[labels])
        listed.append(entry)
    content = json.loads(path.read_text()) if path.exists() else {}
    write_file(path, content | {part: listed})


def _with_channels(image: np.ndarray, count: int) -> np.ndarray:
    """The same voxels in each channel, along a fourth axis."""
    return image if count == 1 else np.stack([image] * count, -1)
