"""The recogniser of clips against mmaction2's, for batches of several videos of several views."""

from hiera_mm.models import ClipRecognizer

import pytest
import torch
from mmaction.models.recognizers import Recognizer3D
from mmaction.structures import ActionDataSample
from mmengine.registry import MODELS, init_default_scope

PARTS = dict(
    backbone=dict(
        type='Hiera',
        arch=dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)),
        num_frames=4,
        out_indices=(3,),
        pos_embed_size=16,
    ),
    cls_head=dict(type='HieraHead', num_classes=5, in_channels=128, init_scale=30.0, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[114.75] * 3, std=[57.375] * 3, format_shape='NCTHW'),
)


def recognisers(limit):
    """Ours with a limit, and mmaction2's without, with the same weights."""
    init_default_scope('mmaction')
    torch.manual_seed(0)
    ours = ClipRecognizer(**PARTS, test_cfg=dict(max_testing_views=limit)).eval()
    theirs = Recognizer3D(**PARTS).eval()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def scores(recogniser, videos):
    batch = dict(inputs=list(videos), data_samples=[ActionDataSample().set_gt_label(0) for _ in videos])
    with torch.no_grad():
        return torch.stack([sample.pred_score for sample in recogniser.test_step(batch)])


def clips(videos, views):
    return torch.randint(0, 256, (videos, views, 3, 4, 64, 64), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('videos, views', [(8, 1), (1, 15), (3, 4), (2, 1)])
def test_scores_are_mmaction2s_without_a_limit(videos, views):
    ours, theirs = recognisers(limit=5)
    batch = clips(videos, views)
    torch.testing.assert_close(scores(ours, batch), scores(theirs, batch))


@pytest.mark.parametrize(
    'videos, views, at_once',
    [
        (8, 1, [8]),
        (1, 15, [5, 5, 5]),
        (1, 12, [5, 5, 2]),
        (3, 4, [5, 5, 2]),
        (7, 2, [7, 7]),
    ],
)
def test_the_backbone_gets_as_many_clips_as_the_limit_or_one_of_each_video(videos, views, at_once):
    ours, _ = recognisers(limit=5)
    seen = []
    ours.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    scores(ours, clips(videos, views))
    assert seen == at_once


def test_without_a_limit_all_clips_are_computed_at_once():
    ours, theirs = recognisers(limit=None)
    seen = []
    ours.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    batch = clips(3, 4)
    torch.testing.assert_close(scores(ours, batch), scores(theirs, batch))
    assert seen == [12]


@pytest.mark.parametrize('kind', ['ImageRecognizer', 'ClipRecognizer'])
def test_mixup_and_cutmix_follow_the_heads_number_of_classes_unless_told_otherwise(kind):
    augments = [
        dict(type='MixupBlending', alpha=0.8, num_classes=None),
        dict(type='CutmixBlending', alpha=1.0, num_classes=7),
    ]
    blending = dict(type='RandomBatchAugment', augments=augments)
    preprocessor = dict(type='ActionDataPreprocessor', blending=blending)
    init_default_scope('mmaction')
    model = MODELS.build(dict(PARTS, type=kind, data_preprocessor=preprocessor))
    classes = PARTS['cls_head']['num_classes']
    assert [augment.num_classes for augment in model.data_preprocessor.blending.augments] == [classes, 7]
    assert augments[0]['num_classes'] is None


@pytest.mark.parametrize('recogniser', ['Recognizer3D', 'ClipRecognizer'])
@pytest.mark.parametrize('head', ['I3DHead', 'X3DHead', 'TPNHead'])
def test_mmaction2s_heads_of_clips_get_the_map(recogniser, head):
    init_default_scope('mmaction')
    settings = dict(type=head, num_classes=5, in_channels=128)
    if head == 'X3DHead':
        settings['fc1_bias'] = False
    model = MODELS.build(dict(type=recogniser, **dict(PARTS, cls_head=settings))).eval()
    batch = dict(inputs=list(clips(2, 1)), data_samples=[ActionDataSample().set_gt_label(0) for _ in range(2)])
    data = model.data_preprocessor(batch, training=True)
    losses = model(**data, mode='loss')
    losses['loss_cls'].backward()
    assert model.cls_head(model.extract_feat(data['inputs'])[0]).shape == (2, 5)


@pytest.mark.parametrize('recogniser', ['Recognizer2D', 'ImageRecognizer'])
def test_mmaction2s_heads_of_pictures_get_the_map(recogniser):
    init_default_scope('mmaction')
    backbone = dict(PARTS['backbone'], num_frames=None)
    settings = dict(type='TSNHead', num_classes=5, in_channels=128)
    preprocessor = dict(PARTS['data_preprocessor'], format_shape='NCHW')
    model = MODELS.build(dict(type=recogniser, backbone=backbone, cls_head=settings, data_preprocessor=preprocessor))
    pictures = torch.randint(0, 256, (2, 1, 3, 64, 64))
    batch = dict(inputs=list(pictures), data_samples=[ActionDataSample().set_gt_label(0) for _ in range(2)])
    model(**model.data_preprocessor(batch, training=True), mode='loss')['loss_cls'].backward()


def test_several_maps_stay_a_tuple():
    init_default_scope('mmaction')
    model = MODELS.build(dict(type='Recognizer3D', **dict(PARTS, backbone=dict(PARTS['backbone'], out_indices=(2, 3)))))
    maps, _ = model.extract_feat(torch.randn(1, 1, 3, 4, 64, 64))
    assert isinstance(maps, tuple) and len(maps) == 2
    assert model.cls_head(maps).shape == (1, 5)


@pytest.mark.parametrize('labels', [[0, 3], [[0.5, 0.5, 0, 0, 0], [0, 0, 1, 0, 0]]])
def test_labels_of_one_class_and_blended_ones_are_learned_in_bfloat16(labels):
    ours, _ = recognisers(limit=5)
    samples = [ActionDataSample().set_gt_label(torch.tensor(label)) for label in labels]
    for sample in samples:
        sample.gt_label = sample.gt_label.float() if sample.gt_label.numel() > 1 else sample.gt_label
    batch = ours.data_preprocessor(dict(inputs=list(clips(2, 1)), data_samples=samples), training=True)
    with torch.autocast('cpu', torch.bfloat16):
        losses = ours.train()(**batch, mode='loss')
    losses['loss_cls'].backward()
    assert losses['loss_cls'].dtype == torch.float32 and losses['loss_cls'].isfinite()
