"""Images of every format that are turned by their EXIF data, annotated as displayed or as stored: each is loaded as it
was annotated, or refused."""

import json

from hiera_mm.datasets.load_image import LoadImageFromFile
from hiera_mm.errors import UserError
from hiera_mm.readers.images import read_image_header, turned, turned_back
from hiera_mm.tasks import faults_of

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.Image import Transpose

from tests.coloured import COLOURS, worst_agreement
from tests.helpers import tiny_config

STORING = dict(
    zip(
        range(1, 9),
        (
            *(None, Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM),
            *(Transpose.TRANSPOSE, Transpose.ROTATE_90, Transpose.TRANSVERSE, Transpose.ROTATE_270),
        ),
        strict=True,
    )
)
"""How an image is stored so that each orientation displays it upright."""

FORMATS = dict(
    jpg=dict(quality=98), png={}, webp=dict(lossless=True), avif=dict(quality=98), tif={}, mpo=dict(quality=98)
)
SIZE = (128, 96)
OBJECTS = [('cat', (70, 8, 50, 30)), ('dog', (6, 50, 40, 40))]
"""Classes and boxes of the displayed image; the first leaves an image of 96 pixels' width."""


def displayed():
    pixels = np.full((*SIZE[::-1], 3), 128, np.uint8)
    for name, (x, y, w, h) in OBJECTS:
        pixels[y : y + h, x : x + w] = COLOURS[name][::-1]
    return pixels


def store(path, orientation, options):
    exif = Image.Exif()
    exif[274] = orientation
    way = STORING[orientation]
    image = Image.fromarray(displayed())
    try:
        (image if way is None else image.transpose(way)).save(path, exif=exif, **options)
    except (KeyError, OSError):
        pytest.skip(f'this Pillow does not write {path.suffix}')


def stored_box(box, orientation):
    """Where a box of the displayed image is in the stored one."""
    mask = np.zeros(SIZE[::-1], bool)
    x, y, w, h = box
    mask[y : y + h, x : x + w] = True
    rows, columns = np.nonzero(turned_back(mask, orientation))
    return [int(v) for v in (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)]


@pytest.mark.parametrize('orientation', range(1, 9))
def test_turning_is_that_of_pillow_and_has_an_opposite(orientation):
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(pixels)
    image.info['exif'] = exif.tobytes()
    assert np.array_equal(turned(pixels, orientation), np.array(ImageOps.exif_transpose(image)))
    assert np.array_equal(turned_back(turned(pixels, orientation), orientation), pixels)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', FORMATS)
def test_both_forms_are_loaded(tmp_path, ending, orientation):
    path = tmp_path / f'a.{ending}'
    store(path, orientation, FORMATS[ending])
    header = read_image_header(path)
    assert header.displayed == SIZE
    for convention in ('displayed', 'stored'):
        image = LoadImageFromFile().transform(dict(img_path=str(path), exif_orientation=convention))['img']
        expected = displayed() if convention == 'displayed' else turned_back(displayed(), orientation)
        assert image.shape == expected.shape
        # Some formats lose a little, most at the edges of colours.
        assert np.abs(image[..., ::-1].astype(int) - expected).mean() < 3


@pytest.mark.parametrize('size', ['displayed', 'stored', 'absent', 'wrong'])
@pytest.mark.parametrize('space', ['displayed', 'stored'])
@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['jpg', 'webp', 'tif'])
def test_each_set_is_loaded_as_it_was_annotated_or_refused(tmp_path, ending, orientation, space, size):
    for part in ('train', 'val'):
        folder = tmp_path / part
        folder.mkdir()
        store(folder / f'1.{ending}', orientation, FORMATS[ending])
        content = annotated(f'1.{ending}', orientation, space, size)
        (tmp_path / f'{part}.json').write_text(json.dumps(content))
    config = config_of(tmp_path)
    blocked = [fault.sentence for fault in faults_of(config, ['train_dataloader']) if fault.severity.name == 'BLOCKS']
    loaded = agreement_of(config)
    if size == 'wrong':
        assert blocked and loaded is None
    else:
        assert blocked or loaded == 2, 'trained wrong without a word'
    # The usual: pixels as displayed with their size, and upright images.
    if size == space == 'displayed' and orientation >= 5 or orientation == 1 and size in ('displayed', 'stored'):
        assert not blocked and loaded == 2


def annotated(name, orientation, space, size):
    stored_size = SIZE if orientation < 5 else SIZE[::-1]
    sides = dict(displayed=SIZE, stored=stored_size, absent=(None, None), wrong=(100, 70))[size]
    boxes = [box if space == 'displayed' else stored_box(box, orientation) for _, box in OBJECTS]
    annotations = [
        dict(
            id=number,
            image_id=1,
            category_id=number,
            bbox=list(box),
            area=box[2] * box[3],
            iscrowd=0,
            segmentation=[corners(*box)],
        )
        for number, box in enumerate(boxes, start=1)
    ]
    image = dict(id=1, file_name=name) | (dict(width=sides[0], height=sides[1]) if sides[0] else {})
    categories = [dict(id=1, name='cat'), dict(id=2, name='dog')]
    return dict(images=[image], annotations=annotations, categories=categories)


def corners(x, y, w, h):
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def config_of(folder):
    config = tiny_config()
    for part in ('train', 'val', 'test'):
        dataset = config[f'{part}_dataloader'].dataset
        source = 'train' if part == 'train' else 'val'
        dataset.update(data_root=str(folder), ann_file=f'{source}.json', metainfo=dict(classes=('cat', 'dog')))
        dataset.data_prefix = dict(img=f'{source}/')
    config.train_dataloader.dataset.pipeline = [
        config.train_dataloader.dataset.pipeline[0],
        config.train_dataloader.dataset.pipeline[1],
        dict(type='PackDetInputs'),
    ]
    for head in ('bbox_head', 'mask_head'):
        config.model.roi_head[head].num_classes = 2
    return config


def agreement_of(config):
    """How many objects have the colour of their class under their mask; None if the set can't be loaded."""
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    try:
        share, objects = worst_agreement(DATASETS.build(config.train_dataloader.dataset))
    except UserError:
        return None
    return objects if share > 0.9 else 0
