"""Boxes in other conventions than COCO's are refused."""

import json

from hiera_mm.errors import UserError
from hiera_mm.readers.coco_files import read_annotations

import numpy as np
import pytest

FORMS = {
    'x1, y1, x2, y2': lambda x, y, w, h: [x, y, x + w, y + h],
    'y1, x1, y2, x2': lambda x, y, w, h: [y, x, y + h, x + w],
    'y, x, height, width': lambda x, y, w, h: [y, x, h, w],
    'x and y of the centre, width, height': lambda x, y, w, h: [x + w / 2, y + h / 2, w, h],
}
"""Each form, and how it writes a box."""


def write(path, form, side=(128, 96)):
    random, images, annotations = np.random.default_rng(0), [], []
    for number in range(1, 21):
        images.append(dict(id=number, file_name=f'{number}.jpg', width=side[0], height=side[1]))
        for _ in range(4):
            w, h = random.integers(20, 50, 2).tolist()
            x, y = int(random.integers(0, side[0] - w)), int(random.integers(0, side[1] - h))
            box = dict(bbox=form(x, y, w, h), area=w * h, iscrowd=0)
            annotations.append(dict(id=len(annotations) + 1, image_id=number, category_id=1, **box))
    categories = [dict(id=1, name='cat')]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


@pytest.mark.parametrize('name', FORMS)
def test_another_form_is_refused_by_its_name(tmp_path, name):
    path = write(tmp_path / 'a.json', FORMS[name])
    with pytest.raises(UserError, match=f'leave their image, and all boxes fit as {name}; COCO has x, y, width'):
        read_annotations(path, 'ann_file')


@pytest.mark.parametrize('name', FORMS)
def test_upright_images_are_told_as_well(tmp_path, name):
    path = write(tmp_path / 'a.json', FORMS[name], side=(96, 128))
    with pytest.raises(UserError, match=f'all boxes fit as {name}'):
        read_annotations(path, 'ann_file')


def test_shares_of_the_sides_are_refused(tmp_path):
    path = write(tmp_path / 'a.json', lambda x, y, w, h: [x / 128, y / 96, w / 128, h / 96])
    with pytest.raises(UserError, match='all boxes lie between 0 and 1'):
        read_annotations(path, 'ann_file')


def test_the_usual_form_is_taken_even_if_some_boxes_leave(tmp_path):
    path = write(tmp_path / 'a.json', lambda x, y, w, h: [x, y, w + (60 if x > 70 else 0), h])
    file = read_annotations(path, 'ann_file')
    assert len(file.annotations) == 80 and any('leave their image' in repair for repair in file.repairs)
