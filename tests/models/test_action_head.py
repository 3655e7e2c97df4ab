"""Boxes of persons at the frame's edge: scored whole, as PySlowFast does, where mmaction2 scores what a crop leaves."""

from hiera_mm.errors import UserError
from hiera_mm.models import WholeFrameBBoxHeadAVA

import numpy as np
import pytest
import torch
from mmaction.evaluation import AVAMetric
from mmaction.models.roi_heads import BBoxHeadAVA
from mmaction.registry import TRANSFORMS
from mmengine.registry import init_default_scope

# In a frame of 340 x 256, the centre crop of 256 x 256 begins at 42 pixels: of the first person it leaves a third.
BOXES = np.array([[0.0, 0.2, 0.19, 0.9], [0.4, 0.2, 0.6, 0.9]], np.float32)
SETTINGS = dict(background_class=True, in_channels=4, num_classes=3, topk=(1,))
STEPS = [
    dict(type='BoxesToPixels'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=256),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
]
META = ('img_shape', 'img_key', 'video_id', 'timestamp', 'crop_quadruple')


def packed(meta_keys):
    init_default_scope('mmaction')
    results = dict(gt_bboxes=BOXES, gt_labels=np.zeros((2, 3)), proposals=BOXES, video_id='film', timestamp=902)
    frames = [np.zeros((256, 340, 3), np.uint8)] * 2
    results.update(imgs=frames, img_shape=(256, 340), modality='RGB', num_clips=1, clip_len=2)
    for step in [*STEPS, dict(type='PackActionInputs', meta_keys=meta_keys)]:
        results = TRANSFORMS.build(step)(results)
    return results['data_samples']


def predicted(head, sample):
    """What a perfect classifier's head gives for the proposals that the pipeline left."""
    boxes = sample.proposals.bboxes
    rois = torch.cat([torch.zeros(len(boxes), 1), boxes], dim=1)
    logits = torch.tensor([[-9.0, 5.0, -9.0], [-9.0, -9.0, 5.0]])
    return head.predict_by_feat((rois.clone(),), (logits,), [sample.metainfo])[0]


def score(tmp_path, monkeypatch, prediction):
    monkeypatch.chdir(tmp_path)
    lines = (f'film,0902,{",".join(map(str, box))},{number},0\n' for number, box in enumerate(BOXES, start=1))
    (tmp_path / 'truth.csv').write_text(''.join(lines))
    items = (f'item {{\n  name: "{name}"\n  id: {number}\n}}\n' for number, name in ((1, 'stand'), (2, 'sit')))
    (tmp_path / 'actions.pbtxt').write_text(''.join(items))
    metric = AVAMetric(str(tmp_path / 'truth.csv'), None, str(tmp_path / 'actions.pbtxt'), num_classes=3)
    instances = dict(bboxes=prediction.bboxes, scores=prediction.scores)
    metric.process(None, [dict(video_id='film', timestamp=902, pred_instances=instances)])
    return metric.evaluate(1)['mAP/overall']


def test_a_person_cut_by_the_crop_counts_whole_but_not_the_usual_way(tmp_path, monkeypatch):
    usual = predicted(BBoxHeadAVA(**SETTINGS), packed(META))
    whole = predicted(WholeFrameBBoxHeadAVA(**SETTINGS), packed((*META, 'boxes_in_frame')))
    np.testing.assert_allclose(whole.bboxes, BOXES, atol=1e-6)
    np.testing.assert_allclose(usual.bboxes[1], BOXES[1], atol=1e-5)
    assert usual.bboxes[0, 0] == pytest.approx(42 / 340, abs=1e-4), 'the remainder begins where the crop does'
    torch.testing.assert_close(usual.scores, whole.scores)
    assert score(tmp_path, monkeypatch, whole) == 1.0
    assert score(tmp_path, monkeypatch, usual) == 0.5, 'the remainder overlaps the person by less than a half'


def test_a_pipeline_that_does_not_pack_the_boxes_is_named():
    with pytest.raises(UserError, match="add 'boxes_in_frame' to the meta_keys of PackActionInputs"):
        predicted(WholeFrameBBoxHeadAVA(**SETTINGS), packed(META))
