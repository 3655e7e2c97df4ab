"""COCO's metrics where mmdet's own fail or count otherwise."""

import json

from hiera_mm.errors import UserError

import pytest
import torch
from mmdet.registry import METRICS

from tests.coloured import SIZE, draw, write

KINDS = ['CocoMetric', 'FasterCocoMetric']


@pytest.fixture
def contents(tmp_path):
    found = draw(tmp_path / 'set')
    write(tmp_path / 'set', found)
    return found


def metric_of(folder, kind, classes=('cat', 'dog'), **settings):
    metric = METRICS.build(
        dict(type=f'mmdet.{kind}', ann_file=str(folder / 'set' / 'val.json'), metric='bbox', **settings)
    )
    metric.dataset_meta = dict(classes=classes)
    return metric


def sample(content, number, classes=('cat', 'dog')):
    names = {category['id']: category['name'] for category in content['categories']}
    objects = [a for a in content['annotations'] if a['image_id'] == number]
    boxes = torch.tensor([a['bbox'] for a in objects], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = torch.tensor([classes.index(names[a['category_id']]) for a in objects], dtype=torch.long)
    found = dict(bboxes=boxes, scores=torch.ones(len(objects)), labels=labels)
    return dict(pred_instances=found, img_id=number, ori_shape=SIZE)


@pytest.mark.parametrize('kind', KINDS)
def test_a_model_that_predicts_nothing_has_an_ap_of_0(tmp_path, contents, kind):
    metric = metric_of(tmp_path, kind)
    nothing = dict(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.long))
    metric.process({}, [dict(pred_instances=nothing, img_id=n, ori_shape=SIZE) for n in range(1, 5)])
    values = metric.evaluate(4)
    assert values['coco/bbox_mAP'] == values['coco/bbox_mAP_50'] == 0


@pytest.mark.parametrize('kind', KINDS)
def test_where_nothing_is_annotated_there_is_no_ap(tmp_path, contents, kind):
    """-1, as pycocotools has it, whether or not something was predicted."""
    sound = contents['val']
    write(tmp_path / 'set', dict(val=dict(sound, annotations=[])))
    empty = dict(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.long))
    of_nothing = [dict(pred_instances=empty, img_id=number, ori_shape=SIZE) for number in range(1, 5)]
    for predictions in (of_nothing, [sample(sound, number) for number in range(1, 5)]):
        metric = metric_of(tmp_path, kind)
        metric.process({}, predictions)
        assert metric.evaluate(4)['coco/bbox_mAP'] == -1


@pytest.mark.parametrize('kind', KINDS)
def test_only_pictures_that_were_tested_count(tmp_path, contents, kind):
    metric = metric_of(tmp_path, kind)
    metric.process({}, [sample(contents['val'], number) for number in (1, 3)])
    assert metric.evaluate(2)['coco/bbox_mAP'] > 0.99


@pytest.mark.parametrize('kind', KINDS)
def test_a_class_that_the_file_lacks_does_not_count(tmp_path, contents, kind):
    classes = ('cow', 'dog', 'cat')
    metric = metric_of(tmp_path, kind, classes)
    metric.process({}, [sample(contents['val'], number, classes) for number in range(1, 5)])
    assert metric.evaluate(4)['coco/bbox_mAP'] > 0.99


def test_predictions_alone_need_no_annotations_and_keep_the_files_ids(tmp_path, contents):
    content = dict(contents['val'])
    del content['annotations']
    content['categories'] = [dict(id=90, name='dog'), dict(id=7, name='cat')]
    (tmp_path / 'set' / 'val.json').write_text(json.dumps(content))
    metric = metric_of(tmp_path, 'CocoMetric', format_only=True, outfile_prefix=str(tmp_path / 'submission'))
    metric.process({}, [sample(contents['val'], number) for number in range(1, 5)])
    assert metric.evaluate(4) == {}
    written = json.loads((tmp_path / 'submission.bbox.json').read_text())
    expected = [{1: 7, 2: 90}[a['category_id']] for a in contents['val']['annotations']]
    assert [found['category_id'] for found in written] == expected
    with pytest.raises(UserError, match='val.json.*lacks annotations'):
        metric_of(tmp_path, 'CocoMetric')
