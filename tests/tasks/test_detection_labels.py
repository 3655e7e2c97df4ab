"""A detector's predictions as annotations that can be corrected."""

import json

from hiera_mm.tasks.detection.files import CocoIds, write_coco
from hiera_mm.tasks.detection.labels import polygons_of, write_labels

import numpy as np
import pytest
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

SIZE = (40, 60)


def shape(kind):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = (rows - 18) ** 2 + (columns - 30) ** 2 <= 14**2
    return dict(
        disc=disc,
        square=(rows >= 5) & (rows < 25) & (columns >= 40) & (columns < 60),
        parts=((columns < 12) | (columns > 50)) & (rows > 20),
        corner=(rows < 9) & (columns < 9),
        whole=np.ones(SIZE, bool),
    )[kind]


@pytest.mark.parametrize('kind', ['disc', 'square', 'parts', 'corner', 'whole'])
def test_polygons_are_the_mask(kind):
    mask = shape(kind)
    coded = coco_masks.merge(coco_masks.frPyObjects(polygons_of(mask), *SIZE))
    found = coco_masks.decode(coded).astype(bool)
    assert (found & mask).sum() / (found | mask).sum() > 0.97
    assert len(polygons_of(mask)) == (2 if kind == 'parts' else 1)


def test_no_pixels_have_no_polygons():
    assert polygons_of(np.zeros(SIZE, bool)) == []


def test_objects_over_the_score_become_annotations_that_pycocotools_reads(tmp_path):
    coded = coco_masks.encode(np.asfortranarray(shape('disc'), dtype=np.uint8))
    mask = dict(size=list(SIZE), counts=coded['counts'].decode())
    objects = [
        dict(category_name='disc', score=0.9, bbox=[16, 4, 29, 29], segmentation=mask),
        dict(category_name='bar', score=0.3, bbox=[1, 2, 3, 4]),
        dict(category_name='bar', score=0.29, bbox=[1, 2, 3, 4]),
    ]
    entry = dict(input='a.png', width=SIZE[1], height=SIZE[0], objects=objects)
    write_coco(tmp_path, [entry], CocoIds(['disc', 'bar']), with_masks=True)
    path, count = write_labels(tmp_path, 0.3, 'my_model.pth', 'CC BY-NC 4.0')
    assert count == 2 and path == tmp_path / 'labels.json'
    coco = COCO(str(path))
    first, second = (coco.anns[number] for number in (1, 2))
    assert [coco.cats[a['category_id']]['name'] for a in (first, second)] == ['disc', 'bar']
    assert (first['score'], second['score']) == (0.9, 0.3) and first['source'] == 'my_model.pth'
    assert coco.imgs[first['image_id']]['file_name'] == 'a.png'
    mask = coco.annToMask(first).astype(bool)
    assert (mask & shape('disc')).sum() / (mask | shape('disc')).sum() > 0.97
    assert second['segmentation'] == [] and second['area'] == 12 and second['iscrowd'] == 0
    assert first['area'] == shape('disc').sum()
    info = json.loads(path.read_text())['info']
    assert 'my_model.pth' in info['description'] and info['licence'] == 'CC BY-NC 4.0'
