"""Boxes under half precision against float32."""

import pytest
import torch
from mmaction.registry import MODELS as MMACTION_MODELS
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import HorizontalBoxes

from tests.configs.test_configs import reduced_detector, sample
from tests.helpers import HAS_BFLOAT16, read

ROIS = torch.tensor([[0, 517.3, 601.6, 530.9, 619.2], [0, 900.7, 35.4, 1019.2, 333.3], [1, 3.2, 801.5, 44.4, 1013.0]])


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_regions_are_pooled_where_they_are(dtype):
    extractor = MMDET_MODELS.build(
        dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=2,
            featmap_strides=[4, 8],
        )
    )
    maps = tuple(_waves(side).to(dtype).requires_grad_() for side in (256, 128))
    pooled = extractor(maps, ROIS)
    expected = extractor(tuple(stage_map.float() for stage_map in maps), ROIS)
    assert pooled.dtype == dtype
    assert (pooled.float() - expected).abs().max() <= 2**-8 * expected.abs().max()
    pooled.sum().backward()
    assert maps[0].grad.dtype == dtype and maps[0].grad.any()


def test_regions_of_clips_are_pooled_where_they_are():
    extractor = MMACTION_MODELS.build(
        dict(type='SingleRoIExtractor3D', roi_layer_type='RoIAlign', output_size=7, featmap_stride=4)
    )
    maps = _waves(256)[:, :, None].to(torch.bfloat16)
    pooled, whole = extractor((maps,), ROIS)
    expected, _ = extractor((maps.float(),), ROIS)
    assert pooled.dtype == whole.dtype == torch.bfloat16
    assert (pooled.float() - expected).abs().max() <= 2**-8 * expected.abs().max()


@pytest.mark.parametrize(
    'generator',
    [
        dict(type='AnchorGenerator', scales=[8], ratios=[0.5, 1.0], strides=[4, 8]),
        dict(type='YOLOAnchorGenerator', strides=[8], base_sizes=[[(11, 13), (30, 61)]]),
        dict(type='MlvlPointGenerator', strides=[4, 8]),
    ],
)
def test_priors_of_half_precision_maps_are_those_of_float32(generator):
    generator = TASK_UTILS.build(generator)
    sizes = [(256, 256), (128, 128)][: generator.num_levels]
    found = generator.grid_priors(sizes, dtype=torch.bfloat16, device='cpu')
    for priors, expected in zip(found, generator.grid_priors(sizes, device='cpu'), strict=True):
        assert priors.dtype == torch.float32 and torch.equal(priors, expected)


def test_the_surest_boxes_of_half_precision_maps_come_first():
    head = reduced_detector(read('mask_rcnn_hiera_b.py').model).rpn_head.eval()
    # All of the first level's are 1 as probabilities in bfloat16.
    logits = torch.randperm(48, generator=torch.Generator().manual_seed(0)).div(16).add(7).reshape(1, 3, 4, 4)
    scores = [logits, *(torch.full((1, 3, 1, 1), -20.0) for _ in range(4))]
    boxes = [torch.zeros(1, 12, *level.shape[2:]) for level in scores]
    meta = [dict(img_shape=(1024, 1024), scale_factor=(1.0, 1.0))]
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        maps = ([level.to(dtype) for level in levels] for levels in (scores, boxes))
        found += head.predict_by_feat(*maps, batch_img_metas=meta, cfg=head.test_cfg)
    assert found[0].scores.dtype == torch.float32 and len(found[0]) > 5
    torch.testing.assert_close(found[0].bboxes, found[1].bboxes)


@pytest.mark.skipif(not HAS_BFLOAT16, reason='this processor computes bfloat16 in software, which takes minutes')
def test_a_detector_under_autocast_trains_on_boxes_where_they_are(monkeypatch):
    config = read('mask_rcnn_hiera_b.py')
    config.model.data_preprocessor.batch_augments = None
    detector = reduced_detector(config.model)
    batch = sample(config.train_pipeline)
    big = torch.zeros(3, 640, 704, dtype=torch.uint8)
    truth = torch.tensor([[517.3, 601.6, 530.9, 619.2]])
    instances = batch['data_samples'][0].gt_instances
    instances.bboxes = HorizontalBoxes(truth)
    instances.masks = instances.masks.resize(big.shape[1:])
    batch['data_samples'][0].set_metainfo(dict(img_shape=big.shape[1:], ori_shape=big.shape[1:]))
    seen = []
    plain = type(detector.roi_head.bbox_roi_extractor.roi_layers[0]).forward

    def spy(layer, feature_map, rois):
        seen.append(rois)
        return plain(layer, feature_map, rois)

    monkeypatch.setattr('mmcv.ops.RoIAlign.forward', spy)
    batch = detector.data_preprocessor(dict(batch, inputs=[big]), training=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss, _ = detector.parse_losses(detector(**batch, mode='loss'))
    assert torch.autograd.grad(loss, detector.roi_head.bbox_head.fc_reg.weight)[0].any()
    rois = torch.cat(seen)
    assert rois.dtype == torch.float32
    assert (rois[:, 1:] - truth).abs().amax(1).min() < 1e-3, 'the annotated box is one of the regions'


def _waves(side):
    """Maps of an image of 1024 pixels in which a shift of one pixel shows."""
    x = torch.linspace(0, 1024 / 20, side).mul(2 * torch.pi).sin().expand(2, 1, side, side)
    return torch.cat([x, x.transpose(2, 3)], dim=1)
