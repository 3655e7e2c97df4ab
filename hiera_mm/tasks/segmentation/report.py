"""How well a segmentor tells the classes of pixels, as parts of a report."""

from collections.abc import Iterator
from pathlib import Path

from hiera_mm.inference.report import charts
from hiera_mm.inference.report.parts import PICTURE_SIDE, SHOWN, Section, Table, Tested, as_source, most_confused
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.readers.index_masks import IGNORED
from hiera_mm.tasks.segmentation.results import Segmentation, draw_regions
from hiera_mm.tasks.segmentation.segmenter import Segmenter

import numpy as np


def sections(trained: TrainedModel, tested: Tested) -> Iterator[Section]:
    """Intersection over union of each class, confusions in millions of pixels, and the pictures with most wrong
    pixels."""
    names = list(tested.dataset.metainfo['classes'])
    segmenter = Segmenter(trained, names)
    counts = np.zeros((len(names), len(names)), np.int64)
    right: list[float] = []
    for found in tested.predictions:
        pairs = _pairs(found, len(names))
        counts += pairs
        right.append(float(pairs.trace() / max(pairs.sum(), 1)))
    inside, found_as, is_so = counts.diagonal(), counts.sum(0), counts.sum(1)
    rows = sorted(
        (inside[c] / (found_as[c] + is_so[c] - inside[c]), inside[c] / max(is_so[c], 1), names[c])
        for c in range(len(names))
        if found_as[c] + is_so[c]
    )
    table = Table(('class', 'IoU', 'accuracy'), [(name, f'{iou:.3f}', f'{part:.3f}') for iou, part, name in rows])
    yield Section('Classes', 'Intersection over union and accuracy of each, the worst first.', [table])
    yield Section(
        'What is taken for what',
        'In pixels.',
        tables=[most_confused(counts, names, names)],
        charts=[('Confusion', charts.confusion_table(counts, names, names))],
    )
    worst = np.argsort(right)[:SHOWN]
    pictures = [_beside(segmenter, tested.predictions[place], right[place]) for place in worst]
    yield Section('Worst pictures', 'Ground truth on the left, prediction on the right.', pictures=pictures)


def _pairs(found: dict, count: int) -> np.ndarray:
    """Pixels by their class and the class they are taken for, ``(classes, classes)``."""
    truth, guessed = found['gt_sem_seg'].astype(int), found['pred_sem_seg']
    known = truth < count
    return np.bincount(truth[known] * count + guessed[known], minlength=count**2).reshape(count, count)


def _beside(segmenter: Segmenter, found: dict, right: float) -> tuple[str, str]:
    """The share of right pixels in words, and the picture twice."""
    frame, truth = segmenter.decoded(found['img_path']), found['gt_sem_seg']
    drawn = draw_regions(frame, Segmentation(np.where(truth == IGNORED, 0, truth), segmenter.names))
    # What is ignored stays as it is.
    drawn = np.where((truth == IGNORED)[..., None], frame, drawn)
    pair = np.concatenate([drawn, draw_regions(frame, Segmentation(found['pred_sem_seg'], segmenter.names))], axis=1)
    return f'{Path(found["img_path"]).name}: {right:.1%} of the pixels are right', as_source(pair, 2 * PICTURE_SIDE)
