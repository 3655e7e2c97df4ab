"""Stand-in images and index masks: generated data for a rehearsal when those of the config are missing."""

from hiera_mm.checks.fault import class_of
from hiera_mm.checks.masks import count_mask_values, dataset_setting
from hiera_mm.readers.channels import loading_step
from hiera_mm.rehearsal.stand_in import file_prefix, root_and_folder, write_file, write_image
from hiera_mm.synthetic.shapes import draw_scene

import mmcv
import numpy as np
from mmengine.config import ConfigDict


def draw_masks(dataset: ConfigDict, classes: int, count: int, random: np.random.Generator) -> None:
    """Draw images and masks with the file endings of the data set and all its class numbers, including an ignored 0."""
    kind = class_of(dataset, 'mmseg')
    root, folder = root_and_folder(dataset, 'img_path')
    numbers = count_mask_values(dataset, kind)
    endings = dataset_setting(dataset, kind, 'img_suffix') or '.jpg', dataset_setting(dataset, kind, 'seg_map_suffix')
    files = loading_step(dataset.get('pipeline')).get('channel_files')
    names = []
    for number in range(count):
        image, objects = draw_scene(random)
        mask = np.zeros(image.shape[:2], np.uint8)
        for entry in objects:
            x, y, width, height = (round(side) for side in entry['bbox'])
            mask[y : y + height, x : x + width] = random.integers(numbers)
        path = write_image(dataset, folder / f'{file_prefix(dataset)}_{number:05d}{endings[0]}', image)
        relative = path.relative_to(folder).as_posix()
        ending = files[0].rpartition('*')[2] if files else endings[0]
        names.append(relative.removesuffix(ending if relative.endswith(ending) else path.suffix))
        mmcv.imwrite(mask, str(root / dataset.data_prefix.seg_map_path / f'{names[-1]}{endings[1]}'))
    if dataset.get('ann_file'):
        write_file(root / dataset.ann_file, ''.join(f'{name}\n' for name in names))
