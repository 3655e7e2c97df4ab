"""Where a detector is right and wrong, against pycocotools and by cases that can be counted by hand."""

import contextlib
import io

from hiera_mm.evaluation.object_analysis import ObjectAnalysis

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CATEGORIES = [dict(id=7, name='cat'), dict(id=3, name='dog')]


def box(image, category, x, score=None, side=40, **more):
    found = dict(image_id=image, category_id=category, bbox=[x, 10, side, side], **more)
    return dict(found, area=side**2, iscrowd=more.get('iscrowd', 0)) if score is None else dict(found, score=score)


def numbered(annotations):
    return [dict(entry, id=number) for number, entry in enumerate(annotations)]


@pytest.fixture
def analysis():
    """Ids of images are text, those of annotations begin with 0."""
    images = [dict(id='one', file_name='1.jpg', height=100, width=400), dict(id='two', file_name='2.jpg')]
    annotations = numbered(
        [
            box('one', 7, 0),  # found
            box('one', 3, 60),  # taken for a cat
            box('one', 3, 120),  # missed
            box('one', 3, 300, iscrowd=1),  # crowds are never missed
            box('two', 7, 0, side=20),  # found, of a small one
        ]
    )
    results = [
        box('one', 7, 2, 0.9),
        box('one', 7, 61, 0.8),
        box('one', 3, 200, 0.7),  # false_positives
        box('one', 3, 120, 0.1),  # too unsure
        box('one', 3, 301, 0.9),  # of the crowd
        box('two', 7, 0, 0.6, side=20),
    ]
    return ObjectAnalysis(images, annotations, CATEGORIES, results, 'bbox', score_thr=0.3)


def test_each_object_and_box_is_counted_once(analysis):
    # Rows cat, dog, nothing; columns cat, dog, missed.
    assert analysis.confusion.tolist() == [[2, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_pictures_know_their_faults(analysis):
    one, two = analysis.faults
    assert (one.missed, one.mistaken, one.false_positives, one.total) == (1, 1, 1, 3) and one.image['id'] == 'one'
    assert two.total == 0 and two.image['id'] == 'two'


def test_classes_are_scored_as_coco_does():
    """The mean over the classes is what COCO prints, for random boxes."""
    generator = np.random.default_rng(0)
    images = [dict(id=number, file_name=f'{number}.jpg', height=200, width=400) for number in range(1, 21)]
    annotations, results = [], []
    for image in images:
        for _ in range(5):
            side, x = int(generator.integers(16, 120)), int(generator.integers(0, 300))
            category = int(generator.choice([3, 7]))
            annotations.append(box(image['id'], category, x, side=side))
            results.append(box(image['id'], category, x + int(generator.integers(0, 20)), generator.random(), side))
    annotations = [dict(entry, id=number + 1) for number, entry in enumerate(annotations)]
    found = ObjectAnalysis(images, annotations, CATEGORIES, results, 'bbox', 0.3).by_class
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dict(info={}, images=images, annotations=annotations, categories=CATEGORIES)
        truth.createIndex()
        official = COCOeval(truth, truth.loadRes([dict(entry) for entry in results]), 'bbox')
        official.evaluate()
        official.accumulate()
        official.summarize()
    ap, ap50, _, small, medium, large = official.stats[:6]
    assert np.nanmean([entry.precisions for entry in found], 0) == pytest.approx([ap, ap50, small, medium, large])
    assert [entry.name for entry in found] == ['cat', 'dog'] and sum(entry.objects for entry in found) == 100
    assert all(entry.curve.shape == (101,) for entry in found)


def test_a_model_that_finds_nothing_misses_everything(analysis):
    nothing = ObjectAnalysis(analysis.images, analysis.annotations, CATEGORIES, [], 'bbox', 0.3)
    assert nothing.confusion.tolist() == [[0, 0, 2], [0, 0, 2], [0, 0, 0]]
    assert [entry.precisions[0] for entry in nothing.by_class] == [0, 0]
