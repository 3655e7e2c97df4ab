"""Analyses a detector's results by class, object size and image, and its confusions between classes."""

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

SIZES = ('all', 'small', 'medium', 'large')
"""COCO's object sizes, in its order: small is below 32 x 32 pixels, large above 96 x 96."""

IOU = 0.5
"""Least IoU at which a box matches an object, in the confusions and the faults of images."""


class ClassResult(NamedTuple):
    """The results of one class; NaN where there are no such objects.

    Attributes:
        objects: Number of objects.
        precisions: AP, AP50, and AP of small, medium and large objects, 0 to 1.
        curve: Precision ``(101,)`` at recalls of 0, 0.01, ..., 1, at an IoU of 0.5.
    """

    name: str
    objects: int
    precisions: tuple[float, ...]
    curve: np.ndarray


class ImageFaults(NamedTuple):
    """The faults in one image.

    Attributes:
        image: The image, as in the annotation file.
        missed: Number of objects that no box matches.
        mistaken: Number of objects found as another class.
        false_positives: Number of boxes that match no object.
    """

    image: dict
    missed: int
    mistaken: int
    false_positives: int

    @property
    def total(self) -> int:
        return self.missed + self.mistaken + self.false_positives


@dataclass(frozen=True)
class ObjectAnalysis:
    """Analyses detections against their ground truth.

    Attributes:
        images, annotations, categories: In COCO's format; image ids may be strings. Only the model's categories.
        results: In COCO's result format.
        kind: ``'bbox'`` or ``'segm'``.
        score_thr: Score threshold for :attr:`confusion` and :attr:`faults`.
    """

    images: Sequence[dict]
    annotations: Sequence[dict]
    categories: Sequence[dict]
    results: Sequence[dict]
    kind: str
    score_thr: float

    @cached_property
    def by_class(self) -> list[ClassResult]:
        """COCO's scores of each class."""
        evaluation = self._evaluated(self.results)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
        # (IoUs, recalls, classes, sizes, counts); the last count is 100 boxes an image.
        precision = np.where(evaluation.eval['precision'] < 0, np.nan, evaluation.eval['precision'])[..., -1]
        counts = Counter(entry['category_id'] for entry in self.annotations if not entry.get('iscrowd'))
        return [
            ClassResult(
                category['name'],
                counts[category['id']],
                precisions=_averages(precision[:, :, place]),
                curve=precision[0, :, place, 0],
            )
            for place, category in enumerate(self.categories)
        ]

    @cached_property
    def confusion(self) -> np.ndarray:
        """Counts ``(classes + 1, classes + 1)``: rows are true classes, columns predicted ones; the last row counts
        boxes without an object, the last column missed objects."""
        count = len(self.categories)
        table = np.zeros((count + 1, count + 1), int)
        for matched in self._matches:
            for row, column in matched.pairs:
                table[row, column] += 1
        return table

    @cached_property
    def faults(self) -> list[ImageFaults]:
        """The faults in each image, in the order of ``images``."""
        nothing = len(self.categories)
        return [
            ImageFaults(
                matched.image,
                missed=sum(found == nothing for _, found in matched.pairs),
                false_positives=sum(real == nothing for real, _ in matched.pairs),
                mistaken=sum(real != found and nothing not in (real, found) for real, found in matched.pairs),
            )
            for matched in self._matches
        ]

    @cached_property
    def _matches(self) -> list['_Matched']:
        """COCO's own matching, with all classes treated as one, highest scores first."""
        sure = [entry for entry in self.results if entry['score'] >= self.score_thr]
        evaluation = self._evaluated(sure, useCats=0, iouThrs=np.array([IOU]), areaRng=[[0, 1e10]], areaRngLbl=['all'])
        places = {category['id']: place for place, category in enumerate(self.categories)}
        truth, found = evaluation.cocoGt.anns, evaluation.cocoDt.anns
        pairs: list[list[tuple[int, int]]] = [[] for _ in self.images]
        nothing = len(places)
        for entry in filter(None, evaluation.evalImgs):
            collected = pairs[entry['image_id'] - 1]
            for number, match, ignored in zip(entry['dtIds'], entry['dtMatches'][0], entry['dtIgnore'][0], strict=True):
                if not ignored:
                    real = places[truth[int(match)]['category_id']] if match else nothing
                    collected.append((real, places[found[number]['category_id']]))
            unmatched = zip(entry['gtIds'], entry['gtMatches'][0], entry['gtIgnore'], strict=True)
            collected += [
                (places[truth[number]['category_id']], nothing)
                for number, match, ignored in unmatched
                if not match and not ignored
            ]
        return [_Matched(image, found) for image, found in zip(self.images, pairs, strict=True)]

    def _evaluated(self, results: Sequence[dict], **parameters: Any) -> COCOeval:
        """Evaluate with pycocotools; ids are renumbered from 1, since they may be strings and 0 means no match."""
        numbers = {image['id']: number for number, image in enumerate(self.images, start=1)}
        wanted = {category['id'] for category in self.categories}
        truth = COCO()
        truth.dataset = dict(
            info={},
            images=[dict(image, id=numbers[image['id']]) for image in self.images],
            annotations=[
                dict(entry, id=number, image_id=numbers[entry['image_id']])
                for number, entry in enumerate(self.annotations, start=1)
                if entry['image_id'] in numbers and entry['category_id'] in wanted
            ],
            categories=list(self.categories),
        )
        with contextlib.redirect_stdout(io.StringIO()):
            truth.createIndex()
            found = [dict(entry, image_id=numbers[entry['image_id']]) for entry in results]
            evaluation = COCOeval(truth, truth.loadRes(found) if found else _empty(truth), self.kind)
            for name, value in parameters.items():
                setattr(evaluation.params, name, value)
            evaluation.params.catIds = [category['id'] for category in self.categories]
            evaluation.evaluate()
        return evaluation


class _Matched(NamedTuple):
    """An image, with its objects and boxes as pairs of a true and a predicted class; the number of classes stands for
    no object or no box."""

    image: dict
    pairs: list[tuple[int, int]]


def _averages(precision: np.ndarray) -> tuple[float, ...]:
    """The mean precisions of one class, from ``(IoUs, recalls, sizes)``."""
    parts = [precision[:, :, 0], precision[0, :, 0], *(precision[:, :, area] for area in range(1, len(SIZES)))]
    return tuple(float(np.nanmean(part)) if not np.isnan(part).all() else float('nan') for part in parts)


def _empty(truth: COCO) -> COCO:
    """Empty results, which ``loadRes`` does not accept."""
    found = COCO()
    found.dataset = dict(truth.dataset, annotations=[])
    found.createIndex()
    return found
