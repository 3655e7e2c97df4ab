"""Draw README's picture from the quickstart's run: ``python docs/make_picture.py work_dirs/quickstart data/shapes``."""

import json
import sys
from pathlib import Path

import hiera_mm
from hiera_mm.inference.visualization import Label, colour_of, draw
from hiera_mm.readers.coco_files import read_annotations
from hiera_mm.tasks.detection.results import labels_of

import numpy as np
import pycocotools.mask
from PIL import Image

SHOWN = 4
SIDE = 200
"""Of each picture, in pixels."""
LEAST_SCORE = 0.6


def main(run: str, data: str) -> None:
    detector = hiera_mm.load(run, device='cpu')
    truth = read_annotations(Path(data, 'annotations', 'instances_val.json'), 'ann_file')
    columns = [beside(detector, truth, image, Path(data, 'val')) for image in truth.images[:SHOWN]]
    path = Path(__file__).parent / 'images' / 'predictions.png'
    Image.fromarray(np.concatenate(columns, axis=1)).quantize(128).save(path, optimize=True)
    print(json.dumps(dict(file=str(path), bytes=path.stat().st_size)))


def beside(detector, truth, image: dict, folder: Path) -> np.ndarray:
    """The ground truth over what is found, both enlarged before drawing."""
    picture = Image.open(folder / image['file_name']).convert('RGB')
    large = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    scale = np.array([SIDE / picture.width, SIDE / picture.height] * 2)
    labels = [
        label_of(annotation, detector.names, scale)
        for annotation in truth.annotations
        if annotation['image_id'] == image['id'] and not annotation['iscrowd']
    ]
    found = labels_of(detector.predict(large).above(LEAST_SCORE))
    return np.concatenate([draw(large, labels), draw(large, found)], axis=0)


def label_of(annotation: dict, names, scale: np.ndarray) -> Label:
    x, y, width, height = annotation['bbox']
    polygons = [
        (np.array(polygon).reshape(-1, 2) * scale[:2]).flatten().tolist() for polygon in annotation['segmentation']
    ]
    mask = pycocotools.mask.merge(pycocotools.mask.frPyObjects(polygons, SIDE, SIDE))
    place = annotation['category_id'] - 1
    return Label(np.array([x, y, x + width, y + height]) * scale, [names[place]], colour_of(place), mask)


if __name__ == '__main__':
    main(*sys.argv[1:])
