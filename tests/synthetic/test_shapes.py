"""The generated data set, read with pycocotools."""

import json

from hiera_mm.synthetic.shapes import CLASSES, make_coco_shapes

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO


@pytest.fixture(scope='module')
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp('generated') / 'shapes'
    make_coco_shapes(folder, train=60, val=12, seed=1)
    return folder


def read(folder, part):
    return COCO(folder / 'annotations' / f'instances_{part}.json')


def test_pycocotools_reads_it_without_a_warning(generated, recwarn):
    coco = read(generated, 'train')
    assert len(coco.imgs) == 60 and len(read(generated, 'val').imgs) == 12
    assert [category['name'] for category in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert not list(recwarn)


def test_boxes_areas_and_masks_agree(generated):
    coco = read(generated, 'train')
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        ys, xs = mask.nonzero()
        left, top, width, height = annotation['bbox']
        assert (left, top) == (xs.min(), ys.min())
        assert (left + width, top + height) == (xs.max() + 1, ys.max() + 1)
        assert annotation['area'] == mask.sum() > 0


def test_it_has_every_kind_of_annotation(generated):
    coco = read(generated, 'train')
    annotations = list(coco.anns.values())
    assert {annotation['category_id'] for annotation in annotations} == {1, 2, 3}
    crowds = [annotation for annotation in annotations if annotation['iscrowd']]
    assert crowds and all(isinstance(crowd['segmentation'], dict) for crowd in crowds)
    assert all(isinstance(a['segmentation'], list) for a in annotations if not a['iscrowd'])
    assert any(not coco.getAnnIds(image) for image in coco.imgs), 'images without objects'
    boxes = [[a['bbox'] for a in objects_of(coco, image)] for image in coco.imgs]
    assert any(overlap(a, b) for row in boxes for a in row for b in row if a is not b), 'objects hide each other'


def test_a_pixel_belongs_to_one_object_only(generated):
    """Up to the outlines, on which two polygons meet."""
    coco = read(generated, 'train')
    for image in coco.imgs:
        inner = [cv2.erode(coco.annToMask(a), np.ones((3, 3), np.uint8)) for a in objects_of(coco, image)]
        assert not inner or sum(inner).max() <= 1


def objects_of(coco, image):
    return coco.loadAnns(coco.getAnnIds(image, iscrowd=False))


def overlap(a, b):
    return all(a[i] < b[i] + b[i + 2] and b[i] < a[i] + a[i + 2] for i in (0, 1))


def test_masks_lie_on_the_drawn_objects(generated):
    """Inside an object's outline the picture has one colour, up to the noise it was drawn with."""
    coco = read(generated, 'val')
    for annotation in coco.anns.values():
        if not annotation['iscrowd']:
            picture = cv2.imread(str(generated / 'val' / coco.imgs[annotation['image_id']]['file_name']))
            inside = cv2.erode(coco.annToMask(annotation), np.ones((5, 5), np.uint8)).astype(bool)
            if inside.sum() > 20:
                assert picture[inside].std(axis=0).max() < 9


def test_the_seed_alone_decides_what_is_drawn(generated, tmp_path):
    for name, seed in dict(same=1, other=2).items():
        make_coco_shapes(tmp_path / name, train=60, val=12, seed=seed)
    for file in ('train/000007.png', 'annotations/instances_train.json', 'annotations/instances_val.json'):
        assert (tmp_path / 'same' / file).read_bytes() == (generated / file).read_bytes()
        assert (tmp_path / 'other' / file).read_bytes() != (generated / file).read_bytes()


def test_a_finished_set_is_left_alone_and_another_replaced(tmp_path):
    folder = tmp_path / 'shapes'
    make_coco_shapes(folder, train=2, val=1)
    before = (folder / 'train' / '000001.png').stat().st_mtime_ns
    make_coco_shapes(folder, train=2, val=1)
    assert (folder / 'train' / '000001.png').stat().st_mtime_ns == before
    make_coco_shapes(folder, train=3, val=1)
    assert len(json.loads((folder / 'annotations' / 'instances_train.json').read_text())['images']) == 3


def test_a_folder_with_other_content_is_not_overwritten(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.txt').write_text('years of work')
    with pytest.raises(Exception, match='holds something other'):
        make_coco_shapes(tmp_path / 'mine', train=1, val=1)
    assert (tmp_path / 'mine' / 'thesis.txt').read_text() == 'years of work'
