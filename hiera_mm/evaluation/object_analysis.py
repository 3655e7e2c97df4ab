"""Where a detector is right and wrong: by class, by size, by picture, and what it takes for what."""

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
"""COCO's areas, in its order: small is below 32 x 32 pixels, large over 96 x 96."""

IOU = 0.5
"""Overlap (intersection over union) from which a box is counted as the object's in what is told of pictures."""


class ClassResult(NamedTuple):
    """Of one class; NaN where it has no objects of a kind.

    Attributes:
        objects: How many there are.
        precisions: AP, AP50, and AP of small, medium and large objects, 0 to 1.
        curve: Precision ``(101,)`` at recalls of 0, 0.01, ..., 1 for an overlap of a half.
    """

    name: str
    objects: int
    precisions: tuple[float, ...]
    curve: np.ndarray


class ImageFaults(NamedTuple):
    """Of one picture.

    Attributes:
        image: As in the annotation file.
        missed: Objects that nothing overlaps by a half.
        mistaken: Objects found as another class.
        invented: Boxes where no object is.
    """

    image: dict
    missed: int
    mistaken: int
    invented: int

    @property
    def total(self) -> int:
        return self.missed + self.mistaken + self.invented


@dataclass(frozen=True)
class ObjectAnalysis:
    """
    Attributes:
        images, annotations, categories: As in COCO's format; ids of images may be text. Only the categories that the
            model has.
        results: In COCO's result format.
        kind: ``'bbox'`` or ``'segm'``.
        score_thr: Least score of what counts in :attr:`confusion` and :attr:`faults`.
    """

    images: Sequence[dict]
    annotations: Sequence[dict]
    categories: Sequence[dict]
    results: Sequence[dict]
    kind: str
    score_thr: float

    @cached_property
    def by_class(self) -> list[ClassResult]:
        """As COCO scores each class."""
        evaluation = self._evaluated(self.results)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
        # (overlaps, recalls, classes, areas, counts); the last count is 100 boxes a picture.
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
        """``(classes + 1, classes + 1)`` counts: the row is what an object is, the column what it was found as; the
        last row is nothing, the last column missed."""
        count = len(self.categories)
        table = np.zeros((count + 1, count + 1), int)
        for matched in self._matches:
            for row, column in matched.pairs:
                table[row, column] += 1
        return table

    @cached_property
    def faults(self) -> list[ImageFaults]:
        """Of each picture, in the order of ``images``."""
        nothing = len(self.categories)
        return [
            ImageFaults(
                matched.image,
                missed=sum(found == nothing for _, found in matched.pairs),
                invented=sum(real == nothing for real, _ in matched.pairs),
                mistaken=sum(real != found and nothing not in (real, found) for real, found in matched.pairs),
            )
            for matched in self._matches
        ]

    @cached_property
    def _matches(self) -> list['_Matched']:
        """By COCO's own matching with all classes as one, surest boxes first."""
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
        """Ids are counted anew from 1: as numbers, and since COCO's matching takes 0 for no match."""
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
    """A picture, and its objects and boxes as pairs of classes; the number of classes stands for nothing."""

    image: dict
    pairs: list[tuple[int, int]]


def _averages(precision: np.ndarray) -> tuple[float, ...]:
    """Of one class, ``(overlaps, recalls, areas)``."""
    parts = [precision[:, :, 0], precision[0, :, 0], *(precision[:, :, area] for area in range(1, len(SIZES)))]
    return tuple(float(np.nanmean(part)) if not np.isnan(part).all() else float('nan') for part in parts)


def _empty(truth: COCO) -> COCO:
    """Results without any, which ``loadRes`` does not take."""
    found = COCO()
    found.dataset = dict(truth.dataset, annotations=[])
    found.createIndex()
    return found
