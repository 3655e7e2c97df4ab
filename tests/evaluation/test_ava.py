"""The score of a constant prediction: that of the boxes and of how frequent the actions are."""

from hiera_mm.evaluation import ConstantAVAMetric

import pytest
import torch
from mmaction.evaluation import AVAMetric

ITEM = 'item {{\n  name: "{}"\n  id: {}\n}}\n'
BOXES = torch.tensor([[0.1, 0.1, 0.4, 0.9], [0.6, 0.1, 0.9, 0.9]])


@pytest.fixture
def metrics(tmp_path, monkeypatch):
    """Two persons in each of four frames; the first stands in all, the second sits in one."""
    monkeypatch.chdir(tmp_path)
    left, right = ('0.1,0.1,0.4,0.9', '0.6,0.1,0.9,0.9')
    lines = [f'film,{second:04d},{left},1,0\n' for second in range(4)] + [f'film,0002,{right},2,1\n']
    (tmp_path / 'truth.csv').write_text(''.join(lines))
    (tmp_path / 'actions.pbtxt').write_text(ITEM.format('stand', 1) + ITEM.format('sit', 2))
    settings = dict(ann_file='truth.csv', exclude_file=None, label_file='actions.pbtxt', num_classes=3)
    return AVAMetric(**settings), ConstantAVAMetric(**settings, prefix='constant')


def test_it_scores_boxes_and_frequencies_alone_and_changes_nothing(metrics):
    scores = torch.tensor([[0.0, 0.9, 0.1], [0.0, 0.1, 0.9]])
    results = []
    for metric in metrics:
        for second in range(4):
            instances = dict(bboxes=BOXES, scores=scores.clone())
            sample = dict(video_id='film', timestamp=second, pred_instances=instances)
            metric.process(None, [sample])
            torch.testing.assert_close(sample['pred_instances']['scores'], scores)
        results.append(metric.evaluate(4))
    learned, constant = results
    assert learned['mAP/person_movement'] > 0.6
    # Half of all boxes stand; one of eight sits, at best in the first place and at worst in the last.
    assert 1 / 8 / 2 < constant['constant/overall'] < 0.8
    assert constant['constant/overall'] < learned['mAP/overall']
