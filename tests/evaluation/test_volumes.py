"""Dice of volumes: MONAI's own metric, and sets of voxels."""

from hiera_mm.evaluation.volumes import VolumeDiceMetric

import numpy as np
import pytest
import torch
from mmengine.hooks import CheckpointHook
from monai.metrics import DiceMetric

CLASSES = ('background', 'liver', 'spleen', 'aorta')


def scored(samples):
    metric = VolumeDiceMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    for predicted, label in samples:
        metric.process({}, [dict(predicted=predicted[None], label=label[None, None])])
    return metric.evaluate(len(samples))


def one_hot(labels):
    return torch.nn.functional.one_hot(labels.long(), len(CLASSES)).movedim(-1, 0)[None]


@pytest.fixture
def samples():
    """Of three sizes; the last class is in the first volume alone, and found in another."""
    made = []
    for number, size in enumerate([(4, 5, 6), (7, 3, 2), (5, 5, 5)]):
        label = torch.randint(4 if number == 0 else 3, size, dtype=torch.uint8)
        predicted = torch.where(torch.rand(size) < 0.6, label, torch.randint(4, size)).to(torch.uint8)
        made.append((predicted, label))
    return made


def test_dice_equals_monais_metric(samples):
    for reduction, keys in (('mean', ['Dice']), ('mean_batch', [f'Dice_{name}' for name in CLASSES[1:]])):
        metric = DiceMetric(include_background=False, reduction=reduction)
        for predicted, label in samples:
            metric(one_hot(predicted), one_hot(label))
        expected = np.atleast_1d(metric.aggregate().numpy())
        np.testing.assert_allclose([scored(samples)[key] for key in keys], expected, rtol=1e-6)


def test_dice_equals_that_of_sets_of_voxels(samples):
    found = scored(samples)
    for number, name in enumerate(CLASSES[1:], start=1):
        each = []
        for predicted, label in samples:
            is_so, guessed = set(np.flatnonzero(label == number)), set(np.flatnonzero(predicted == number))
            if is_so:
                each.append(2 * len(is_so & guessed) / (len(is_so) + len(guessed)))
        assert found[f'Dice_{name}'] == pytest.approx(np.mean(each), rel=1e-6)


def test_a_class_that_no_volume_has_gets_no_figure(capfd):
    label = torch.zeros(2, 2, 2, dtype=torch.uint8)
    label[0] = 1
    found = scored([(label, label)])
    assert found == dict(Dice=1.0, Dice_liver=1.0)


def test_volumes_of_background_alone_have_no_dice():
    """Found or not, NaN is never the best, and the next validation that has a figure is."""
    empty = torch.zeros(2, 2, 2, dtype=torch.uint8)
    for predicted in (empty, empty + 1):
        found = scored([(predicted, empty)])
        assert list(found) == ['Dice'] and np.isnan(found['Dice'])
    hook = CheckpointHook(interval=1, save_best='Dice', rule='greater')
    hook._init_rule(hook.rules, hook.key_indicators)
    assert not hook.is_better_than['Dice'](found['Dice'], hook.init_value_map['greater'])
    assert hook.is_better_than['Dice'](0.1, hook.init_value_map['greater'])
