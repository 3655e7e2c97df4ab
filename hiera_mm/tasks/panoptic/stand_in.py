"""Stand-in data in COCO's panoptic format: generated data for a rehearsal when those of the config are missing."""

from pathlib import Path

from hiera_mm.checks.fault import class_of
from hiera_mm.checks.panoptic import things_and_stuff
from hiera_mm.readers.segment_maps import read_segment_map
from hiera_mm.rehearsal.stand_in import file_prefix, root_and_folder, write_file, write_image
from hiera_mm.synthetic.panoptic import draw_panoptic_scene, write_segments
from hiera_mm.synthetic.shapes import CLASSES as DRAWN_THINGS

import numpy as np
import pycocotools.mask
from mmengine.config import ConfigDict


def draw_panoptic(dataset: ConfigDict, classes: int, count: int, random: np.random.Generator) -> None:
    """Draw images and write their segment maps, with segments of the data set's own classes."""
    things, stuff = things_and_stuff(dataset, class_of(dataset, 'mmdet') or object)
    root, folder = root_and_folder(dataset, 'img')
    maps = root / dataset.data_prefix.get('seg', '')
    images, annotations = [], []
    for number in range(1, count + 1):
        image, drawn = draw_panoptic_scene(random)
        name = f'{file_prefix(dataset)}_{number:012d}.jpg'
        name = write_image(dataset, folder / name, image).relative_to(folder).as_posix()
        images.append(dict(id=number, file_name=name, height=image.shape[0], width=image.shape[1]))
        segments = []
        for label, mask in drawn:
            first, several = (0, len(things)) if label < len(DRAWN_THINGS) else (len(things), len(stuff))
            if several:
                segments.append((first + int(random.integers(several)), mask))
        path = maps / f'{Path(name).stem}.png'
        annotations.append(dict(image_id=number, file_name=path.name, segments_info=write_segments(path, segments)))
    categories = [
        dict(id=number, name=name, isthing=int(number <= len(things)))
        for number, name in enumerate([*things, *stuff], start=1)
    ]
    write_file(root / dataset.ann_file, dict(images=images, annotations=annotations, categories=categories))
    # COCO's instances are scored as well, by a file of their own.
    instances = Path(dataset.ann_file).with_name(Path(dataset.ann_file).name.replace('panoptic', 'instances'))
    if instances != Path(dataset.ann_file):
        objects = _instances(maps, annotations, len(things))
        content = dict(images=images, annotations=objects, categories=categories[: len(things)])
        write_file(root / instances, content)


def _instances(maps: Path, annotations: list[dict], things: int) -> list[dict]:
    """The things of panoptic annotations as objects with masks."""
    objects: list[dict] = []
    for annotation in annotations:
        ids = read_segment_map(maps / annotation['file_name'])
        for segment in annotation['segments_info']:
            if segment['category_id'] <= things:
                runs = pycocotools.mask.encode(np.asfortranarray(ids == segment['id'], np.uint8))
                mask = dict(runs, counts=runs['counts'].decode())
                own = dict(id=len(objects) + 1, image_id=annotation['image_id'], segmentation=mask)
                objects.append(dict(segment, **own))
    return objects
