"""Heads that train a whole batch at once give what mmdet's give image by image."""

import copy
from collections import defaultdict
from unittest.mock import patch

from hiera_mm.config import in_scope
from hiera_mm.models.batched import assigning, regions, rpn_head, sampling
from hiera_mm.settings import read_config

import numpy as np
import pytest
import torch
from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks
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


def image(count, *, shape=(SIDE, SIDE), crowds=0, seed=0, unknown=(), masks=BitmapMasks):
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
        metainfo=dict(img_shape=shape, pad_shape=(SIDE, SIDE), batch_input_shape=(SIDE, SIDE), scale_factor=(1.0, 1.0))
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
    unknown_masks=[image(4, unknown=(0, 2)), image(2, unknown=(0, 1), seed=1)],
    many=[image(130), image(2, seed=1)],
    polygons=[image(3, masks=PolygonMasks), image(0, seed=1, masks=PolygonMasks), image(2, seed=2, masks=PolygonMasks)],
)
CONFIGS = ['mask_rcnn_hiera_b.py', 'faster_rcnn_hiera_t.py', 'cascade_mask_rcnn_hiera_t.py']


def two_models(name, **crowds):
    """The same model with this package's heads and with mmdet's."""
    config = read_config(str(FOLDER / name))
    model = narrowed(copy.deepcopy(config.model))
    model.backbone.arch.depths = (1, 1, 1, 1)
    model.backbone.drop_path_rate = 0.0
    model.backbone.pop('global_blocks', None)
    for assigner in assigners_of(model):
        assigner.update(crowds)
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
    ours.rpn_head.propose = in_order(ours.rpn_head.propose)
    theirs.rpn_head.predict_by_feat = in_order(theirs.rpn_head.predict_by_feat)
    return ours.train(), theirs.train()


def in_order(propose):
    """Proposals of equal scores come in any order; here the draws have to meet the same boxes."""

    def sort(found):
        return found[torch.from_numpy(np.lexsort((*found.bboxes.T.numpy(), found.scores.numpy())).copy())]

    return lambda *args, **named: [sort(found) for found in propose(*args, **named)]


def assigners_of(model):
    stages = model.train_cfg.rcnn if isinstance(model.train_cfg.rcnn, list) else [model.train_cfg.rcnn]
    return [model.train_cfg.rpn.assigner, *(stage.assigner for stage in stages)]


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
    ours, theirs = two_models(name, **(dict(ignore_iof_thr=0.5) if kind == 'crowds' else {}))
    samples = BATCHES[kind]
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
