"""Results of detection, and COCO's format of them for many files."""

import json

from hiera_mm.tasks import task_of
from hiera_mm.tasks.detection.files import CocoIds, write_coco
from hiera_mm.tasks.detection.results import Detections

import numpy as np
import pytest

from tests.helpers import read

ENTRIES = [
    dict(input='b.png', width=8, height=6, objects=[dict(category_name='bar', score=0.9, bbox=[1, 1, 2, 2])]),
    dict(input='a.png', width=8, height=6, objects=[dict(category_name='disc', score=0.5, bbox=[0, 0, 4, 4])] * 2),
]


def written(folder, ids):
    write_coco(folder, [dict(entry) for entry in ENTRIES], ids, with_masks=False)
    found, images = (json.loads((folder / f'{name}.json').read_text()) for name in ('predictions', 'images'))
    return (
        [(entry['image_id'], entry['category_id']) for entry in found],
        {image['file_name']: image['id'] for image in images['images']},
        {category['name']: category['id'] for category in images['categories']},
    )


def test_ids_are_counted_without_an_annotation_file(tmp_path):
    found = written(tmp_path, CocoIds(['disc', 'bar']))
    assert found == ([(1, 2), (2, 1), (2, 1)], {'b.png': 1, 'a.png': 2}, dict(disc=1, bar=2))


@pytest.mark.parametrize('a, b', [(40, 7), (0, 1), (2, 1), ('a1', 'b1')])
def test_ids_are_those_of_the_annotation_file(tmp_path, a, b):
    images = [dict(id=a, file_name='a.png', width=8, height=6), dict(id=b, file_name='b.png', width=8, height=6)]
    categories = [dict(id=9, name='bar'), dict(id=5, name='unused'), dict(id=3, name='disc')]
    (tmp_path / 'given.json').write_text(json.dumps(dict(images=images, categories=categories, annotations=[])))
    found = written(tmp_path, CocoIds(['disc', 'bar'], str(tmp_path / 'given.json')))
    assert found == ([(b, 9), (a, 3), (a, 3)], {'b.png': b, 'a.png': a}, dict(disc=3, bar=9))


@pytest.mark.parametrize('score, kept', [(0.0, 3), (0.25, 3), (0.5, 2), (0.75, 1), (0.76, 0)])
def test_a_score_at_the_threshold_counts(score, kept):
    scores = np.array([0.75, 0.5, 0.25], np.float32)
    found = Detections(np.zeros((3, 4)), scores, np.zeros(3, int), ['disc'], (6, 8), None).above(score)
    assert found.scores.tolist() == scores[:kept].tolist()


def test_drawings_of_a_test_lie_where_the_user_says_and_not_below_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read('mask_rcnn_hiera_b.py')
    task_of(config).draw_test(config, 'shown')
    assert config.default_hooks.visualization.folder == 'shown'
