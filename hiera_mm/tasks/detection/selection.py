"""Which images to label next: those that a detector is unsure of, and that are unlike each other."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, examples
from hiera_mm.inference.data_sheet import Tile, write_sheet
from hiera_mm.inference.prediction import Outcome, each_result, images_of
from hiera_mm.inference.visualization import draw
from hiera_mm.readers.channels import visible
from hiera_mm.readers.inputs import Input
from hiera_mm.readers.thumbnails import directions, near_duplicates, packed, thumbnail, unpacked
from hiera_mm.tasks.detection.detector import Detector
from hiera_mm.tasks.detection.results import Detections, labels_of

import numpy as np
import torch.nn as nn
from torch import Tensor

LIST, TABLE, SHEET = 'selected.txt', 'selected.csv', 'selected.png'

CANDIDATES = 4
"""As many of the most uncertain images, for each that is wanted, are those among which the least alike are chosen."""

LEAST_SCORE = 0.3
"""Score from which objects are drawn."""

SHOWN = 100
"""Most images on the sheet."""


class Choice(NamedTuple):
    """An image to be labelled.

    Attributes:
        entry: The image.
        uncertainty: In bits, see :func:`uncertainty`.
        distance: Between 0 and 2, to the most similar image that was chosen before it or is labelled already; None for
            the first.
    """

    entry: Input
    uncertainty: float
    distance: float | None


class Selection(NamedTuple):
    """What was chosen, the first first, and the images that were left out since they repeat others, with these."""

    chosen: list[Choice]
    repeated: list[tuple[Input, Input]]
    outcome: Outcome


def select_images(
    model: Any, pool: Sequence[Input], labelled: Sequence[Input], count: int, folder: Path, batch_size: int
) -> Selection:
    """Choose images by a detector's uncertainty and by how well they cover what the images show.

    Of the most uncertain images, four times as many as wanted and without near-duplicates, one after the other is
    chosen that is farthest from those before it: greedy k-centre (Sener and Savarese, ICLR 2018, arXiv 1708.00489), on
    the mean of the backbone's last map. Writes ``selected.txt``, ``selected.csv`` and ``selected.png``.

    Args:
        model: A detector.
        pool: Images to choose from.
        labelled: Other images, which have labels already: what repeats them is not chosen.
        count: How many to choose; fewer are if there are not so many.
        folder: Output folder.
        batch_size: Number of images that are computed together.

    Raises:
        UserError: for a model of another task, or if no image can be read.
    """
    trained = model.trained
    if not isinstance(model, Detector):
        raise UserError(
            f"'{trained.source}' is one of the {trained.task.name}, but images are chosen by a detector; name one."
        )
    pool = images_of(model, pool) if pool else []
    labelled = images_of(model, labelled) if labelled else []
    if not pool:
        raise UserError('All images have labels already; name a folder with others.')
    outcome = Outcome(folder, dict(select=trained.version, batch_size=batch_size), [*pool, *labelled])
    _glance_at_all(model, outcome, batch_size)
    found = {entry['input']: entry for entry in outcome.progress.entries()}
    seen = [entry for entry in pool if entry.name in found]
    if not seen:
        raise UserError(f'None of the images can be read: {examples(outcome.broken)}.')
    known = [entry for entry in labelled if entry.name in found]
    everything = [*seen, *known]
    uncertainties = np.array([found[entry.name]['uncertainty'] for entry in seen])
    features = np.array([found[entry.name]['features'] for entry in everything])
    thumbnails = unpacked([found[entry.name]['thumbnail'] for entry in everything])
    candidates, repeated = candidates_of(uncertainties, thumbnails, CANDIDATES * count)
    places = spread(features, candidates, list(range(len(seen), len(everything))), count)
    chosen = [Choice(seen[place], float(uncertainties[place]), distance) for place, distance in places]
    selection = Selection(chosen, [(everything[one], everything[other]) for one, other in repeated], outcome)
    _write(model, selection, folder)
    outcome.close()
    return selection


def uncertainty(scores: np.ndarray) -> float:
    """How unsure a detector is of an image, from the scores of its objects: the sum of their binary entropies in bits,
    1 for each object that is as likely there as not."""
    inner = scores[(scores > 0) & (scores < 1)].astype(np.float64)
    return float(-(inner * np.log2(inner) + (1 - inner) * np.log2(1 - inner)).sum())


def candidates_of(
    uncertainties: np.ndarray, thumbnails: np.ndarray, most: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """The most uncertain images that repeat none with labels and no more uncertain one.

    Args:
        uncertainties: Of the images to choose from ``(N,)``.
        thumbnails: Theirs, and then those of images that have labels ``(N + M, 16, 16, 3)``.
        most: How many to find at most.

    Returns:
        Their indices, the most uncertain first; and the index of each image that was left out with that of the image
        that it repeats.
    """
    vectors = directions(thumbnails)
    candidates: list[int] = []
    repeated: list[tuple[int, int]] = []
    for place in np.argsort(-uncertainties, kind='stable').tolist():
        if len(candidates) == most:
            break
        others = [*range(len(uncertainties), len(vectors)), *candidates]
        near = [others[other] for _, other in near_duplicates(vectors[[place]], vectors[others])]
        repeated += [(place, other) for other in near]
        candidates += [] if near else [place]
    return candidates, repeated


def spread(
    features: np.ndarray, candidates: Sequence[int], known: Sequence[int], count: int
) -> list[tuple[int, float | None]]:
    """Choose images that are far from each other: greedy k-centre.

    Args:
        features: Of all images ``(N, C)``.
        candidates: Indices of those to choose from; of equally far ones the first is chosen.
        known: Indices of those that are labelled already.
        count: How many to choose; fewer are if there are not so many.

    Returns:
        Indices of the chosen with their distances, see :class:`Choice`.
    """
    centred = features.astype(np.float64) - features.mean(0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    vectors = centred / np.where(lengths > 0, lengths, 1)
    nearest = np.full(len(candidates), np.inf)
    for place in known:
        nearest = np.minimum(nearest, np.linalg.norm(vectors[candidates] - vectors[place], axis=1))
    chosen: list[tuple[int, float | None]] = []
    for _ in range(min(count, len(candidates))):
        best = int(nearest.argmax())
        chosen.append((candidates[best], float(nearest[best]) if np.isfinite(nearest[best]) else None))
        nearest = np.minimum(nearest, np.linalg.norm(vectors[candidates] - vectors[candidates[best]], axis=1))
        nearest[best] = -1
    return chosen


def _glance_at_all(detector: Detector, outcome: Outcome, batch_size: int) -> None:
    def glance(images: list[np.ndarray]) -> list[dict[str, Any]]:
        with _pooled_maps(detector.trained.model) as features:
            # No object's score is so high: masks are not needed.
            found = cast(list[Detections], detector.predict(images, mask_score_thr=2))
        thumbnails = packed([thumbnail(visible(image)) for image in images])
        return [
            dict(uncertainty=uncertainty(one.scores), features=row, thumbnail=small)
            for one, row, small in zip(found, features, thumbnails, strict=True)
        ]

    images = {entry: dict(img_path=entry.source) for entry in outcome.left}
    for entry, result in each_result(glance, images, batch_size, outcome, detector.decoded):
        outcome.finish(entry, result)


@contextmanager
def _pooled_maps(model: nn.Module) -> Iterator[list[list[float]]]:
    """The means of the backbone's last map over each image that a detector predicts inside, without its padding."""
    pooled: list[list[float]] = []
    parts: list[tuple[float, float]] = []

    def remember_sizes(module: nn.Module, positional: tuple, named: dict) -> None:
        height, width = named['inputs'].shape[-2:]
        shapes = [sample.img_shape[:2] for sample in named['data_samples']]
        parts[:] = [(shape[0] / height, shape[1] / width) for shape in shapes]

    def pool(module: nn.Module, positional: tuple, maps: Sequence[Tensor]) -> None:
        for last, (height, width) in zip(maps[-1].float(), parts, strict=True):
            rows, columns = (
                max(1, round(side * part)) for side, part in zip(last.shape[1:], (height, width), strict=True)
            )
            pooled.append([float(f'{value:.5g}') for value in last[:, :rows, :columns].mean((1, 2)).tolist()])

    handles = (
        model.register_forward_pre_hook(remember_sizes, with_kwargs=True),
        cast(nn.Module, model.backbone).register_forward_hook(pool),
    )
    try:
        yield pooled
    finally:
        for handle in handles:
            handle.remove()


def _write(detector: Detector, selection: Selection, folder: Path) -> None:
    with atomic_write(folder / LIST) as unfinished:
        unfinished.write_text(''.join(f'{choice.entry.source}\n' for choice in selection.chosen))
    with atomic_write(folder / TABLE) as unfinished, unfinished.open('w', newline='') as file:
        table = csv.writer(file)
        table.writerow(['file', 'uncertainty', 'distance', 'repeats'])
        for choice in selection.chosen:
            distance = '' if choice.distance is None else f'{choice.distance:.3f}'
            table.writerow([choice.entry.source, f'{choice.uncertainty:.3f}', distance, ''])
        table.writerows([entry.source, '', '', other.source] for entry, other in selection.repeated)
    tiles = []
    for choice in selection.chosen[:SHOWN]:
        pixels = detector.decoded(dict(img_path=choice.entry.source))
        found = cast(Detections, detector.predict(pixels, mask_score_thr=2))
        drawing = draw(visible(pixels), labels_of(found.above(LEAST_SCORE)))
        tiles.append(Tile(drawing, f'{choice.uncertainty:.1f} bits  {choice.entry.name}'))
    write_sheet(tiles, folder / SHEET)
