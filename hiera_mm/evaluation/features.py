"""How well frozen features tell classes apart, and how many dimensions they use."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import UserError, require_extra

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

MAX_NEIGHBOURS = 20
"""Most neighbours that vote; no more than the samples of the smallest class."""

REGULARISATION_STRENGTHS = tuple(10.0**power for power in range(-3, 5))
"""Strengths of the linear classifier's regularisation, chosen by leave-one-out cross-validation."""

FOLDS = 5


@METRICS.register_module()
class FeatureMetric(BaseMetric):
    """Judges features that are learned without labels by a labelled set: the top-1 accuracies of two classifiers, each
    fitted to four fifths of the samples and tested on the rest, five times (``linear`` and ``neighbours``, 0 to 1), and
    :func:`effective_rank` (``rank``).

    Args:
        collect_device: As in mmengine's metrics.

    Raises:
        UserError: without scikit-learn; and in an evaluation, where a class has a single sample, or there is one class.
    """

    default_prefix = 'features'

    def __init__(self, collect_device: str = 'cpu') -> None:
        require_extra('sklearn', 'probe', 'scikit-learn')
        super().__init__(collect_device=collect_device)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """
        Args:
            data_batch: Not used.
            data_samples: With ``features`` ``(C,)`` and ``gt_label`` ``(1,)``.
        """
        self.results += [(s['features'].float().cpu().numpy(), int(s['gt_label'])) for s in data_samples]

    def compute_metrics(self, results: list[tuple[np.ndarray, int]]) -> dict[str, float]:
        features, labels = np.stack([row for row, _ in results]), np.array([label for _, label in results])
        folds = folds_for(labels)
        neighbours = nearest_neighbours(labels, share=1 - 1 / folds)
        return dict(
            linear=_accuracy(linear_classifier(), features, labels, folds),
            neighbours=_accuracy(neighbours, features, labels, folds),
            rank=effective_rank(features),
        )


def effective_rank(features: np.ndarray) -> float:
    """RankMe (Garrido et al., ICML 2023, arXiv 2210.02885): the exponential of the entropy of the singular values of
    features ``(samples, channels)``, 1 if all lie on a line and the number of channels if they fill all directions
    equally. Features that collapse have a low one."""
    values = np.linalg.svd(features.astype(np.float64), compute_uv=False)
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def folds_for(labels: np.ndarray) -> int:
    """How many folds a cross-validation over samples with these labels has.

    Raises:
        UserError: for fewer than two classes, or a class with a single sample.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or counts.min() < 2:
        raise UserError(
            f'Features are judged by at least two classes with two samples each, but of the {len(classes)} labelled '
            f'ones {(counts > 1).sum()} have so many; add samples, or leave the validation set out.'
        )
    return min(FOLDS, int(counts.min()))


def linear_classifier() -> Any:
    """Least squares on the classes with L2 regularisation, on features of mean 0 and deviation 1, as in the few-shot
    evaluation of ViT and Scaling ViT (arXiv 2010.11929, section 4.1; 2106.04560)."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeClassifierCV(REGULARISATION_STRENGTHS))


def nearest_neighbours(labels: np.ndarray, share: float = 1.0) -> Any:
    """The most frequent class of the nearest samples by cosine.

    Args:
        labels: Labels of the samples.
        share: The part of them that the classifier is fitted to.
    """
    from sklearn.neighbors import KNeighborsClassifier

    smallest = int(np.unique(labels, return_counts=True)[1].min() * share)
    return KNeighborsClassifier(max(1, min(MAX_NEIGHBOURS, smallest)), metric='cosine')


def _accuracy(classifier: Any, features: np.ndarray, labels: np.ndarray, folds: int) -> float:
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    return float((cross_val_predict(classifier, features, labels, cv=split) == labels).mean())
