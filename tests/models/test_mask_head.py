"""Objects that have a box only are learned as boxes, and their masks not at all."""

import copy

from hiera_mm.errors import UserError
from hiera_mm.tasks import check_data

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead as PlainFCNMaskHead
from mmdet.models.task_modules import SamplingResult
from mmdet.registry import DATASETS, METRICS, MODELS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from tests.coloured import config_of, draw, perfect_predictions, write

SETTINGS = dict(num_convs=1, in_channels=4, conv_out_channels=4, num_classes=2)


@pytest.fixture
def dogs_without_masks(tmp_path):
    """A set in which only cats have masks, and the sound contents."""
    contents = draw(tmp_path / 'set')
    spoiled = copy.deepcopy(contents)
    for content in spoiled.values():
        for annotation in content['annotations']:
            if annotation['category_id'] == 2:
                del annotation['segmentation']
    write(tmp_path / 'set', spoiled)
    return tmp_path / 'set', contents


def config_for(folder, choice):
    config = config_of(folder)
    for loader in ('train_dataloader', 'val_dataloader'):
        config[loader].dataset.fill_masks_from_boxes = choice
    return config


def test_the_choice_is_asked_for(dogs_without_masks):
    config = config_for(dogs_without_masks[0], None)
    with pytest.raises(UserError, match='4 .* of the 8 objects have a box but no mask.*=True takes.*=False leaves'):
        check_data(config, ['train_dataloader'])


def sampled(values, inds):
    """Regions on the objects themselves, whose masks are filled with these values."""
    boxes = torch.tensor([[2.0, 2.0, 20.0, 20.0], [8.0, 8.0, 30.0, 28.0]])
    masks = np.zeros((2, 32, 32), np.uint8)
    for mask, (x1, y1, x2, y2), value in zip(masks, boxes.int().tolist(), values, strict=True):
        mask[y1:y2, x1:x2] = value
    truth = InstanceData(bboxes=boxes, labels=torch.tensor([0, 1]), masks=BitmapMasks(masks, 32, 32))
    inds = torch.tensor(inds)
    nothing = torch.zeros(0, dtype=torch.long)
    result = SamplingResult(
        pos_inds=torch.arange(len(inds)),
        neg_inds=nothing,
        priors=boxes[inds],
        gt_bboxes=boxes,
        assign_result=ConfigDict(gt_inds=inds + 1, labels=truth.labels[inds]),
        gt_flags=torch.zeros(len(inds), dtype=torch.uint8),
    )
    return [result], [truth]


@pytest.mark.parametrize('inds', [[0, 0, 1], [1, 1, 0], [0, 1]])
def test_the_loss_is_that_of_the_known_masks_alone(inds):
    init_default_scope('mmdet')
    head, plain = MODELS.build(dict(type='FCNMaskHead', **SETTINGS)), PlainFCNMaskHead(**SETTINGS)
    predicted = torch.randn(len(inds), 2, 28, 28)
    settings = ConfigDict(mask_size=28)
    found = head.loss_and_target(predicted, *sampled((1, 2), inds), settings)['loss_mask']['loss_mask']
    known = [number for number, index in enumerate(inds) if index == 0]
    wanted = plain.loss_and_target(predicted[known], *sampled((1, 1), [0] * len(known)), settings)
    torch.testing.assert_close(found, wanted['loss_mask']['loss_mask'])
    everything = head.loss_and_target(predicted, *sampled((1, 1), inds), settings)['loss_mask']['loss_mask']
    torch.testing.assert_close(
        everything, plain.loss_and_target(predicted, *sampled((1, 1), inds), settings)['loss_mask']['loss_mask']
    )


def test_without_any_known_mask_the_loss_is_0_and_still_has_a_gradient():
    init_default_scope('mmdet')
    head = MODELS.build(dict(type='FCNMaskHead', **SETTINGS))
    predicted = torch.randn(1, 2, 28, 28, requires_grad=True)
    loss = head.loss_and_target(predicted, *sampled((1, 2), [1]), ConfigDict(mask_size=28))['loss_mask']['loss_mask']
    loss.backward()
    assert loss == 0 and predicted.grad.abs().sum() == 0


def test_masks_stay_unknown_through_the_recipes_pipeline(dogs_without_masks):
    from mmengine.config import Config

    from tests.helpers import ROOT

    config = config_for(dogs_without_masks[0], False)
    check_data(config, ['train_dataloader', 'val_dataloader'])
    init_default_scope('mmdet')
    recipe = Config.fromfile(ROOT / 'configs' / 'mask_rcnn_hiera_t.py').train_pipeline
    recipe[3].scale = recipe[4].crop_size = (128, 128)
    dataset = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=recipe))
    seen = set()
    for index in [*range(len(dataset))] * 5:
        truth = dataset[index]['data_samples'].gt_instances
        for mask, label, box in zip(truth.masks.masks, truth.labels.tolist(), truth.bboxes.tensor, strict=True):
            x1, y1, x2, y2 = box.int().tolist()
            seen.add((label, int(mask.max()), int(mask[(y1 + y2) // 2, (x1 + x2) // 2])))
    assert {entry for entry in seen if entry[2]} == {(0, 1, 1), (1, 2, 2)}


@pytest.mark.parametrize('kind', ['CocoMetric', 'FasterCocoMetric'])
def test_objects_without_masks_count_for_boxes_and_not_for_masks(dogs_without_masks, kind):
    folder, contents = dogs_without_masks
    config = config_for(folder, False)
    init_default_scope('mmdet')
    dataset = DATASETS.build(config.val_dataloader.dataset)
    samples = list(perfect_predictions(dataset, contents['val']))
    for sample in samples:
        # Dogs' masks are all wrong, which nobody can know.
        found = sample['pred_instances']
        found['masks'][found['labels'] == 1] = False
        found['masks'][found['labels'] == 1, :3, :3] = True
    metric = METRICS.build(dict(config.val_evaluator, type=kind))
    metric.dataset_meta = dataset.metainfo
    metric.process({}, samples)
    values = metric.evaluate(len(dataset))
    assert values['coco/bbox_mAP'] > 0.99 and values['coco/segm_mAP'] > 0.9


@pytest.mark.slow
def test_such_a_set_is_trained_and_evaluated(dogs_without_masks, tmp_path):
    config = config_for(dogs_without_masks[0], False)
    config.work_dir, config.launcher = str(tmp_path), 'none'
    runner = Runner.from_cfg(config)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss_mask').data[0]
    assert np.isfinite(losses).all()
