"""Sections of a report about a segmentor."""

from collections.abc import Iterator
from pathlib import Path

from hiera_mm.inference.report import charts
from hiera_mm.inference.report.parts import IMAGE_SIDE, MAX_SHOWN, Section, Table, Tested, as_data_url, most_confused
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.tasks.segmentation.results import Segmentation, draw_regions
from hiera_mm.tasks.segmentation.segmenter import Segmenter

import numpy as np


def sections(trained: TrainedModel, tested: Tested) -> Iterator[Section]:
    """Intersection over union of each class, confusions in pixels, and the images with the most wrong
    pixels."""
    names = list(tested.dataset.metainfo['classes'])
    segmenter = Segmenter(trained, names)
    counts = np.zeros((len(names), len(names)), np.int64)
    right: list[float] = []
    for found in tested.predictions:
        pixels = _confusion(found, len(names))
        counts += pixels
        right.append(float(pixels.trace() / max(pixels.sum(), 1)))
    inside, found_as, is_so = counts.diagonal(), counts.sum(0), counts.sum(1)
    rows = sorted(
        (inside[c] / (found_as[c] + is_so[c] - inside[c]), inside[c] / max(is_so[c], 1), names[c])
        for c in range(len(names))
        if found_as[c] + is_so[c]
    )
    table = Table(('class', 'IoU', 'accuracy'), [(name, f'{iou:.3f}', f'{part:.3f}') for iou, part, name in rows])
    yield Section('Classes', 'Intersection over union and accuracy of each, the worst first.', [table])
    yield Section(
        'Confusion matrix',
        'In pixels.',
        tables=[most_confused(counts, names, names)],
        charts=[('Confusion', charts.confusion_table(counts, names, names))],
    )
    worst = np.argsort(right)[:MAX_SHOWN]
    pictures = [_comparison(segmenter, tested.predictions[place], right[place]) for place in worst]
    yield Section('Worst images', 'Ground truth on the left, prediction on the right.', pictures=pictures)


def _confusion(found: dict, count: int) -> np.ndarray:
    """Numbers of pixels by true and predicted class, ``(classes, classes)``."""
    truth, guessed = found['gt_sem_seg'].astype(int), found['pred_sem_seg']
    known = truth < count
    return np.bincount(truth[known] * count + guessed[known], minlength=count**2).reshape(count, count)


def _comparison(segmenter: Segmenter, found: dict, right: float) -> tuple[str, str]:
    """A caption with the share of right pixels, and the image with truth and prediction."""
    frame = segmenter.shown(found['img_path'])
    both = [Segmentation(found[key], segmenter.names) for key in ('gt_sem_seg', 'pred_sem_seg')]
    pair = np.concatenate([draw_regions(frame, labels) for labels in both], axis=1)
    return f'{Path(found["img_path"]).name}: {right:.1%} of the pixels are right', as_data_url(pair, 2 * IMAGE_SIDE)
