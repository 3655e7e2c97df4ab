"""Heads that train a whole batch at once give what mmdet's give image by image."""

import copy
from collections import defaultdict
from unittest.mock import patch

from hiera_mm.config import in_scope
from hiera_mm.errors import UserError
from hiera_mm.models.batched import assigning, regions, rpn_head, sampling
from hiera_mm.models.batched.objects import Objects
from hiera_mm.settings import read_config

import numpy as np
import pytest
import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import InstanceData

from benchmarks.launches import narrowed
from tests.helpers import FOLDER

SIDE = 256
PLAIN = dict(BatchedRPNHead='RPNHead', BatchedRoIHead='StandardRoIHead', BatchedCascadeRoIHead='CascadeRoIHead')


def instances(boxes, labels=None, masks=None):
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.zeros(len(boxes), dtype=torch.long) if labels is None else torch.as_tensor(labels)
    return InstanceData(bboxes=boxes, labels=labels, **({} if masks is None else dict(masks=masks)))


def image(count, *, shape=(SIDE, SIDE), pad=(SIDE, SIDE), crowds=0, seed=0, unknown=(), masks=BitmapMasks):
    """An image with some objects, and crowds to leave out."""
    random = np.random.default_rng(seed)

    def boxes(number):
        corners = random.uniform(0, [shape[1] - 96, shape[0] - 96], (number, 2))
        return np.concatenate([corners, corners + random.uniform(16, 90, (number, 2))], 1).astype(np.float32)

    objects = boxes(count)
    if masks is PolygonMasks:
        corners = [[np.array([x, y, right, y, right, low])] for x, y, right, low in objects]
        drawn = PolygonMasks(corners, SIDE, SIDE)
    else:
        pixels = np.zeros((count, SIDE, SIDE), np.uint8)
        for number, (x, y, right, low) in enumerate(objects.astype(int)):
            pixels[number, y:low, x:right] = 2 if number in unknown else random.integers(0, 2, (low - y, right - x))
        drawn = BitmapMasks(pixels, SIDE, SIDE)
    sample = DetDataSample(
        metainfo=dict(img_shape=shape, pad_shape=pad, batch_input_shape=(SIDE, SIDE), scale_factor=(1.0, 1.0))
    )
    sample.gt_instances = instances(objects, random.integers(0, 3, count), drawn)
    sample.ignored_instances = instances(boxes(crowds))
    return sample


BATCHES = dict(
    full=[image(7), image(3, seed=1)],
    empty=[image(4), image(0, seed=1), image(1, seed=2)],
    all_empty=[image(0), image(0, seed=1)],
    crowds=[image(3, crowds=3), image(0, crowds=2, seed=1), image(5, seed=2)],
    smaller=[image(4, shape=(200, 256)), image(4, shape=(256, 180), seed=1)],
    padded=[image(4, shape=(200, 180), pad=(224, 192)), image(4, seed=1)],
    unknown_masks=[image(4, unknown=(0, 2)), image(2, unknown=(0, 1), seed=1)],
    many=[image(130), image(2, seed=1)],
    polygons=[image(3, masks=PolygonMasks), image(0, seed=1, masks=PolygonMasks), image(2, seed=2, masks=PolygonMasks)],
)
CONFIGS = ['mask_rcnn_hiera_b.py', 'faster_rcnn_hiera_t.py', 'cascade_mask_rcnn_hiera_t.py']


def two_models(name, settings=()):
    """The same model with this package's heads and with mmdet's."""
    config = read_config(str(FOLDER / name))
    model = narrowed(copy.deepcopy(config.model))
    model.backbone.arch.depths = (1, 1, 1, 1)
    model.backbone.drop_path_rate = 0.0
    model.backbone.pop('global_blocks', None)
    for path, value in dict(settings).items():
        set_at(model, path, value)
    plain = copy.deepcopy(model)
    for head in (plain.rpn_head, plain.roi_head):
        head.type = PLAIN[head.type]
    with in_scope(config):
        torch.manual_seed(0)
        ours, theirs = MODELS.build(model), MODELS.build(plain)
    for parameter in ours.parameters():
        # Boxes that move, and scores that differ.
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    theirs.load_state_dict(ours.state_dict())
    return ours.train(), theirs.train()


def propose_like(ours, theirs):
    """Give both the same proposals: at the threshold of the suppression, rounding decides which of two remain."""
    plain = theirs.rpn_head.predict_by_feat
    ours.rpn_head.propose = lambda scores, deltas, metas, cfg: plain(scores, deltas, batch_img_metas=metas, cfg=cfg)


def set_at(model, path, value):
    """Set a value in a config; a star stands for every part of a list."""
    key, _, rest = path.partition('.')
    if key == '*':
        for part in model:
            set_at(part, rest, value)
    elif rest:
        set_at(model[key], rest, value)
    else:
        model[key] = value


class Draws:
    """Random numbers that this package's samplers draw for boxes, given again for the same boxes to mmdet's."""

    def __init__(self, samples):
        self.images = len(samples)
        self.most = max(1, *(len(sample.gt_instances) for sample in samples))
        self.boxes, self.numbers, self.calls = [], [], 0

    def assign(self, assigner, boxes, *more):
        self.boxes.append(boxes)
        return assigning.assign(assigner, boxes, *more)

    def rand(self, shape, device):
        self.numbers.append(torch.from_numpy(np.random.default_rng(len(self.numbers)).uniform(size=shape)).float())
        return self.numbers[-1]

    def sample(self, plain):
        def sample(sampler, assigned, found, truth, **more):
            time, image = divmod(self.calls, self.images)
            self.calls += 1
            numbers, first = self.numbers[time][image], self.most if sampler.add_gt_as_proposals else 0
            places = defaultdict(list)
            for place, box in enumerate(self.boxes[time][image].tolist(), first):
                places[tuple(box)].append(place)
            own = [places[tuple(box)].pop(0) for box in found.priors.tolist()]
            sampler.numbers = numbers[torch.tensor([*range(len(truth) if first else 0), *own])]
            return plain(sampler, assigned, found, truth, **more)

        return sample

    @staticmethod
    def choose(sampler, gallery, number):
        return gallery[sampler.numbers[gallery].topk(number).indices]


def losses_of(model, pixels, samples):
    model.zero_grad()
    losses = model.loss(pixels, copy.deepcopy(samples))
    total = model.parse_losses(losses)[0]
    total.backward()
    named = {
        key: torch.as_tensor(sum(value) if isinstance(value, list) else value).sum() for key, value in losses.items()
    }
    return named, {key: value.grad for key, value in model.named_parameters()}


@pytest.mark.parametrize('name', CONFIGS)
@pytest.mark.parametrize('kind', BATCHES)
def test_losses_and_gradients_are_mmdets(name, kind):
    assigner = '*.assigner' if name.startswith('cascade') else 'assigner'
    crowds = {f'train_cfg.{part}.ignore_iof_thr': 0.5 for part in ('rpn.assigner', f'rcnn.{assigner}')}
    assert_alike(*two_models(name, crowds if kind == 'crowds' else ()), BATCHES[kind])


@pytest.mark.parametrize(
    'name, settings',
    [
        ('mask_rcnn_hiera_b.py', {'train_cfg.rpn.allowed_border': 0}),
        ('mask_rcnn_hiera_b.py', {'train_cfg.rpn.pos_weight': 2.5, 'train_cfg.rcnn.pos_weight': 0.5}),
        ('mask_rcnn_hiera_b.py', {'train_cfg.rcnn.sampler.add_gt_as_proposals': False}),
        ('mask_rcnn_hiera_b.py', {'train_cfg.rcnn.sampler.num': 3000}),
        ('mask_rcnn_hiera_b.py', {'train_cfg.rcnn.sampler.num': 40, 'train_cfg.rpn.sampler.num': 10}),
        ('mask_rcnn_hiera_b.py', {'train_cfg.rcnn.soft_mask_target': True}),
        ('mask_rcnn_hiera_b.py', {'roi_head.mask_head.class_agnostic': True}),
        ('mask_rcnn_hiera_b.py', {'roi_head.mask_head.loss_mask.loss_weight': 0.5}),
        ('mask_rcnn_hiera_b.py', {'roi_head.bbox_head.reg_class_agnostic': True}),
        ('mask_rcnn_hiera_b.py', {'roi_head.bbox_head.loss_bbox': dict(type='SmoothL1Loss', loss_weight=2.0)}),
        ('mask_rcnn_hiera_b.py', {'roi_head.bbox_head.loss_cls.class_weight': [*range(81)]}),
        ('mask_rcnn_hiera_b.py', {'rpn_head.loss_bbox': dict(type='SmoothL1Loss', beta=0.1, loss_weight=0.5)}),
        ('mask_rcnn_hiera_b.py', {'rpn_head.bbox_coder.target_stds': [0.1, 0.1, 0.2, 0.2]}),
        ('cascade_mask_rcnn_hiera_t.py', {'roi_head.bbox_head.*.reg_class_agnostic': False}),
        ('cascade_mask_rcnn_hiera_t.py', {'train_cfg.rcnn.*.sampler.num': 24}),
        ('cascade_mask_rcnn_hiera_t.py', {'train_cfg.rcnn.*.assigner.match_low_quality': True}),
    ],
)
def test_losses_and_gradients_are_mmdets_with_other_settings(name, settings):
    assert_alike(*two_models(name, settings), BATCHES['empty'])


def test_features_of_boxes_serve_masks_where_a_config_shares_them():
    shared = {'roi_head.mask_roi_extractor': None, 'roi_head.bbox_roi_extractor.roi_layer.output_size': 14}
    sizes = {'roi_head.bbox_head.roi_feat_size': 14}
    assert_alike(*two_models('mask_rcnn_hiera_b.py', shared | sizes), BATCHES['full'])


def assert_alike(ours, theirs, samples):
    propose_like(ours, theirs)
    torch.manual_seed(1)
    pixels, draws = torch.randn(len(samples), 3, SIDE, SIDE), Draws(samples)
    with (
        patch.object(sampling.torch, 'rand', draws.rand),
        patch.object(regions, 'assign', draws.assign),
        patch.object(rpn_head, 'assign', draws.assign),
    ):
        got, gradients = losses_of(ours, pixels, samples)
    with (
        patch.object(RandomSampler, 'sample', draws.sample(RandomSampler.sample)),
        patch.object(RandomSampler, 'random_choice', draws.choose),
    ):
        expected, exact = losses_of(theirs, pixels, samples)
    assert draws.calls == len(samples) * len(draws.numbers)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(got[key].float(), value.float(), rtol=1e-5, atol=1e-6, msg=key)
    for key, gradient in exact.items():
        if gradient is None:
            assert gradients[key] is None or not gradients[key].any(), key
        else:
            scale = gradient.abs().max().item()
            torch.testing.assert_close(gradients[key], gradient, rtol=1e-4, atol=1e-5 * scale + 1e-9, msg=key)


@pytest.mark.parametrize('at_once', [1, 2, 9])
@pytest.mark.parametrize('kind', BATCHES)
def test_proposals_are_mmdets(monkeypatch, kind, at_once):
    # As on a GPU, which takes many images in one run.
    monkeypatch.setattr(rpn_head, '_images_at_once', lambda scores: at_once)
    ours, theirs = two_models('faster_rcnn_hiera_t.py')
    metas = [sample.metainfo for sample in BATCHES[kind]]
    maps = ours.extract_feat(torch.randn(len(metas), 3, SIDE, SIDE))
    scores, deltas = ours.rpn_head(maps)
    cfg = ours.train_cfg.rpn_proposal
    found = ours.rpn_head.propose(scores, deltas, metas, cfg)
    expected = theirs.rpn_head.predict_by_feat(scores, deltas, batch_img_metas=metas, cfg=cfg)
    for one, other in zip(found, expected, strict=True):
        assert (one.scores.diff() <= 0).all() and len(one) == len(other) == cfg.max_per_img
        boxes, known = (set(map(tuple, instances.bboxes.tolist())) for instances in (one, other))
        # Rounding decides at the threshold of the suppression, as mmdet moves levels apart by thousands of pixels.
        assert len(boxes & known) >= 0.99 * len(known)


@pytest.mark.parametrize('pairs', [50, assigning.MAX_PAIRS])
@pytest.mark.parametrize('neg_iou_thr', [0.3, (0.1, 0.3)])
@pytest.mark.parametrize('low_quality', [True, False])
@pytest.mark.parametrize('crowded', [-1, 0.3])
def test_boxes_are_assigned_as_by_mmdet(monkeypatch, pairs, neg_iou_thr, low_quality, crowded):
    monkeypatch.setattr(assigning, 'MAX_PAIRS', pairs)
    assigner = MaxIoUAssigner(0.5, neg_iou_thr, min_pos_iou=0.2, match_low_quality=low_quality, ignore_iof_thr=crowded)
    random = np.random.default_rng(0)

    def boxes(count):
        corners = random.integers(0, 12, (count, 2))
        return torch.from_numpy(np.concatenate([corners, corners + random.integers(1, 8, (count, 2))], 1)).float()

    truth = [instances(boxes(count)) for count in (9, 0, 1, 4)]
    ignored = [instances(boxes(count)) for count in (2, 3, 0, 0)]
    priors, known = torch.stack([boxes(70) for _ in truth]), torch.from_numpy(random.uniform(size=(4, 70)) < 0.8)
    got = assigning.assign(assigner, priors, Objects.of(truth, ignored), known)
    for image, one in enumerate(truth):
        expected = assigner.assign(InstanceData(priors=priors[image][known[image]]), one, ignored[image]).gt_inds
        assert got[image][known[image]].tolist() == expected.tolist()
        assert (got[image][~known[image]] == -1).all()


@pytest.mark.parametrize('positives', [0, 3, 40])
@pytest.mark.parametrize('background', [0, 5, 90])
def test_samples_have_the_counts_of_mmdets(positives, background):
    sampler = RandomSampler(num=32, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=False)
    assigned = torch.cat([torch.arange(positives) + 1, torch.zeros(background).long(), torch.full((9,), -1)])
    assigned = assigned[torch.randperm(len(assigned))]
    chosen = sampling.sample(sampler, assigned.expand(2, -1))
    for image in range(2):
        index, known, positive = chosen.index[image], chosen.known[image], chosen.positive[image]
        assert positive.sum() == min(positives, 8)
        assert known.sum() == positive.sum() + min(background, 32 - min(positives, 8))
        assert len(set(index[known].tolist())) == known.sum()
        assert (assigned[index[positive]] == chosen.number[image][positive] + 1).all()
        assert (assigned[index[known & ~positive]] == 0).all()
        assert positive.tolist() == sorted(positive.tolist(), reverse=True)


def test_samples_are_drawn_evenly():
    sampler = RandomSampler(num=4, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False)
    assigned = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, -1]).expand(4000, -1)
    torch.manual_seed(0)
    chosen = sampling.sample(sampler, assigned)
    counts = torch.bincount(chosen.index.flatten(), minlength=11) / 4000
    torch.testing.assert_close(counts, torch.tensor([0.5] * 4 + [1 / 3] * 6 + [0]), rtol=0, atol=0.04)


@pytest.mark.parametrize(
    'path, value',
    [
        ('train_cfg.rpn.assigner.type', 'ATSSAssigner'),
        ('train_cfg.rpn.assigner.gt_max_assign_all', False),
        ('train_cfg.rcnn.sampler.type', 'OHEMSampler'),
        ('train_cfg.rcnn.sampler.neg_pos_ub', 3),
        ('rpn_head.loss_cls.type', 'FocalLoss'),
        ('roi_head.bbox_head.reg_decoded_bbox', True),
        ('roi_head.bbox_head.loss_cls.use_sigmoid', True),
        ('roi_head.mask_head.type', 'HTCMaskHead'),
        ('train_cfg.rpn.assigner.neg_iou_thr', [0.1, 0.3]),
        ('train_cfg.rcnn.assigner.ignore_wrt_candidates', False),
        ('rpn_head.loss_bbox', dict(type='GIoULoss')),
        ('roi_head.bbox_head.loss_bbox', dict(type='IoULoss')),
        ('roi_head.mask_head.loss_mask', dict(type='DiceLoss')),
        ('roi_head.mask_head.loss_mask.class_weight', [1.0]),
    ],
)
def test_what_would_not_be_mmdets_result_is_refused_and_trains_with_mmdets_heads(path, value):
    config = read_config(str(FOLDER / 'mask_rcnn_hiera_b.py'))
    model = narrowed(config.model)
    set_at(model, path, value)
    if value == 'ATSSAssigner':
        model.train_cfg.rpn.assigner = dict(type='ATSSAssigner', topk=9)
    with in_scope(config):
        with pytest.raises(UserError) as refused:
            MODELS.build(copy.deepcopy(model))
        assert "type='RPNHead'" in str(refused.value) or "type='StandardRoIHead'" in str(refused.value)
        model.rpn_head.type, model.roi_head.type = 'RPNHead', 'StandardRoIHead'
        MODELS.build(model)


@pytest.mark.parametrize(
    'nms', [dict(type='soft_nms', iou_threshold=0.7), dict(iou_threshold=0.7, class_agnostic=True)]
)
def test_another_suppression_is_refused(nms):
    ours, _ = two_models('faster_rcnn_hiera_t.py')
    ours.train_cfg.rpn_proposal.nms = ConfigDict(nms)
    with pytest.raises(UserError, match='nms with iou_threshold alone'):
        ours.loss(torch.randn(2, 3, SIDE, SIDE), BATCHES['full'])


def test_a_batch_is_trained_on_regions_where_they_are_under_autocast():
    """A loss in bfloat16 is close to that in float32, as boxes and anchors stay exact."""
    ours, _ = two_models('mask_rcnn_hiera_b.py')
    samples = BATCHES['full']
    torch.manual_seed(1)
    pixels, draws = torch.randn(2, 3, SIDE, SIDE), Draws(samples)
    with patch.object(sampling.torch, 'rand', draws.rand):
        expected, _ = losses_of(ours, pixels, samples)
        draws.numbers.clear()
        with torch.autocast('cpu', torch.bfloat16):
            got, gradients = losses_of(ours, pixels, samples)
    for key in ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_mask'):
        torch.testing.assert_close(got[key].float(), expected[key], rtol=0.05, atol=0.01, msg=key)
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients.values())
