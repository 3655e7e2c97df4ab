"""How long the check of a large COCO file takes, and what the loader's own check costs.

``python -m benchmarks.annotations`` draws as many pictures and annotations as COCO's training set has (118,287 and
860,001): one picture under as many names, and polygons of about as many points. It prints the seconds of reading and
normalising the file, of what runs before training and of the whole check with every picture's header, and the share of
a picture's loading that the comparison with its record takes.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.config import read_config_file
from hiera_mm.datasets.load_image import LoadImageFromFile
from hiera_mm.readers.coco_files import read_annotations
from hiera_mm.tasks import faults_of

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile as PlainLoadImageFromFile

from benchmarks.report import parser_of, write

HEIGHT, WIDTH = 480, 640
POINTS = 24
"""Of a polygon, about the mean of COCO's."""

LINKS = 50000
"""File systems allow no more than 65,000 names for a file."""

LOADS = 300


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        draw(Path(folder), arguments.images, arguments.annotations)
        config = read_config_file('mask_rcnn_hiera_b')
        config.train_dataloader.dataset.update(
            data_root=folder, ann_file='train.json', data_prefix=dict(img='images/'), metainfo=dict(classes=CLASSES)
        )
        rows = [
            dict(
                what='reading and normalising the file',
                seconds=seconds(lambda: read_annotations(f'{folder}/train.json', '')),
            ),
            dict(what='the check before training', seconds=seconds(lambda: check(config, 0))),
            dict(what='check-data, every header (first)', seconds=seconds(lambda: check(config, None))),
            dict(what='check-data, every header (cached)', seconds=seconds(lambda: check(config, None))),
        ]
        share = cost_of_comparing(f'{folder}/images/000000000001.jpg')
    for row in rows:
        print(f'{row["what"]:36}{row["seconds"]:8.1f} s')
    print(f'the comparison of a picture with its record takes {share:.2%} of its loading')
    if arguments.out:
        title = f'Checking {arguments.images} pictures with {arguments.annotations} annotations'
        write(arguments.out, rows, title, share_of_loading=round(share, 5))


CLASSES = tuple(f'class {number}' for number in range(80))


def draw(folder: Path, images: int, annotations: int) -> None:
    (folder / 'images').mkdir()
    random = np.random.default_rng(0)
    noise = cv2.resize(random.integers(0, 255, (60, 80, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    first = folder / 'images' / f'{1:012d}.jpg'
    cv2.imwrite(str(first), noise, [cv2.IMWRITE_JPEG_QUALITY, 95])
    for number in range(2, images + 1):
        path = folder / 'images' / f'{number:012d}.jpg'
        if number % LINKS:
            os.link(first, path)
        else:
            first = shutil.copy(first, path)
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    entries = []
    for number in range(1, annotations + 1):
        centre, radius = random.uniform((60, 60), (WIDTH - 60, HEIGHT - 60)), random.uniform(5, 55)
        x, y = (centre - radius).round(2).tolist()
        polygon = (centre + radius * circle).round(2).flatten().tolist()
        side = round(2 * radius, 2)
        entries.append(
            dict(
                id=number, image_id=number % images + 1, category_id=number % 80 + 1, bbox=[x, y, side, side],
                area=round(3.1 * radius**2, 2), iscrowd=0, segmentation=[polygon],
            )
        )  # fmt: skip
    content = dict(
        images=[dict(id=n, file_name=f'{n:012d}.jpg', width=WIDTH, height=HEIGHT) for n in range(1, images + 1)],
        annotations=entries,
        categories=[dict(id=number, name=name) for number, name in enumerate(CLASSES, start=1)],
    )
    (folder / 'train.json').write_text(json.dumps(content))


def check(config, count: int | None) -> None:
    found = [fault for fault in faults_of(config, ['train_dataloader'], count) if fault.severity.name != 'NOTE']
    if found:
        raise RuntimeError(found[0].sentence)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 2)


def cost_of_comparing(path: str) -> float:
    """The time that our loader takes more than mmcv's, as a share; both in turns, medians."""
    loaders = PlainLoadImageFromFile(), LoadImageFromFile()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(LOADS):
        for loader, taken in zip(loaders, times, strict=True):
            began = time.perf_counter()
            loader.transform(dict(img_path=path, height=HEIGHT, width=WIDTH))
            taken.append(time.perf_counter() - began)
    plain, ours = map(statistics.median, times)
    return ours / plain - 1


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument('--images', type=int, default=118287)
    parser.add_argument('--annotations', type=int, default=860001)
    parser.add_argument('--folder', help='for the drawn set, removed at the end (default: a temporary one)')
    return parser.parse_args()


if __name__ == '__main__':
    main()
