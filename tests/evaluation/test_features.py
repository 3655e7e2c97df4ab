"""The metric of features, against folds and votes made by hand."""

from hiera_mm.errors import UserError
from hiera_mm.evaluation.features import FeatureMetric, effective_rank

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold


def judged(features, labels):
    metric = FeatureMetric()
    for row, label in zip(features, labels, strict=True):
        metric.process(None, [dict(features=torch.tensor(row), gt_label=torch.tensor([label]))])
    return metric.evaluate(len(labels))


def around(centres, count, spread, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(centres)), count)
    return (np.array(centres)[labels] + random.normal(0, spread, (len(labels), len(centres[0])))).astype('f4'), labels


def test_classes_that_lie_apart_are_told_and_shuffled_labels_are_not():
    features, labels = around(np.eye(4) * 3, count=15, spread=0.2)
    found = judged(features, labels)
    assert found['features/linear'] == found['features/neighbours'] == 1.0
    wrong = judged(features, np.random.default_rng(1).permutation(labels))
    assert wrong['features/linear'] < 0.5 and wrong['features/neighbours'] < 0.5


def test_neighbours_vote_by_cosine_across_the_folds():
    features, labels = around(np.eye(3), count=10, spread=0.6)
    right = 0
    for given, tested in StratifiedKFold(5, shuffle=True, random_state=0).split(features, labels):
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        for row in tested:
            nearest = given[np.argsort(-(unit[given] @ unit[row]))[:8]]
            right += np.bincount(labels[nearest], minlength=3).argmax() == labels[row]
    assert judged(features, labels)['features/neighbours'] == pytest.approx(right / len(labels))
    assert 0.4 < right / len(labels) < 1


def test_the_rank_counts_directions():
    random = np.random.default_rng(0)
    assert effective_rank(np.eye(12)) == pytest.approx(12)
    line = random.normal(size=(50, 1)) * random.normal(size=(1, 8))
    assert effective_rank(line) == pytest.approx(1, abs=1e-6)
    values = np.array([4.0, 2.0, 1.0])
    shares = values / values.sum()
    left, _ = np.linalg.qr(random.normal(size=(20, 3)))
    right, _ = np.linalg.qr(random.normal(size=(6, 3)))
    assert effective_rank(left * values @ right.T) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


@pytest.mark.parametrize(
    'labels, sentence',
    [([0] * 6, 'the 1 labelled ones 1 have'), ([0, 0, 1, 1, 2], 'the 3 labelled ones 2 have')],
)
def test_sets_that_judge_nothing_are_refused(labels, sentence):
    with pytest.raises(UserError, match=sentence):
        judged(np.eye(len(labels), dtype='f4'), labels)
