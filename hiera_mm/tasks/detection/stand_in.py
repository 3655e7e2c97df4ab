"""Stand-in data in COCO's format: generated data for a rehearsal when those of the config are missing."""

from hiera_mm.checks.fault import class_of, classes_of
from hiera_mm.rehearsal.stand_in import file_prefix, root_and_folder, write_file, write_image
from hiera_mm.synthetic.shapes import draw_scene

import numpy as np
from mmengine.config import ConfigDict


def draw_coco(dataset: ConfigDict, classes: int, count: int, random: np.random.Generator) -> None:
    """Draw images and write their annotations, with objects of the data set's own classes."""
    names = classes_of(dataset, class_of(dataset, 'mmdet'))
    root, folder = root_and_folder(dataset, 'img')
    images: list[dict] = []
    annotations: list[dict] = []
    for number in range(1, count + 1):
        image, objects = draw_scene(random)
        name = f'{file_prefix(dataset)}_{number:012d}.jpg'
        name = write_image(dataset, folder / name, image).relative_to(folder).as_posix()
        images.append(dict(id=number, file_name=name, height=image.shape[0], width=image.shape[1]))
        for entry in objects:
            category = int(random.integers(len(names))) + 1
            annotations.append(dict(entry, id=len(annotations) + 1, image_id=number, category_id=category))
    categories = [dict(id=number, name=name) for number, name in enumerate(names, start=1)]
    write_file(root / dataset.ann_file, dict(images=images, annotations=annotations, categories=categories))
