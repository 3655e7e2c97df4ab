"""Sections of a report about a panoptic model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hiera_mm.evaluation.panoptic import Segments, panoptic_statistics, qualities
from hiera_mm.inference.report.parts import IMAGE_SIDE, MAX_SHOWN, Section, Table, Tested, as_data_url
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.tasks.panoptic.results import draw_segments, segmentation_of
from hiera_mm.tasks.panoptic.segmenter import PanopticSegmenter
from hiera_mm.tasks.panoptic.truth import infos_by_id, truth_of

import numpy as np


def sections(trained: TrainedModel, tested: Tested) -> Iterator[Section]:
    """Panoptic, segmentation and recognition quality of each class, and the images with the lowest."""
    from panopticapi.evaluation import PQStat

    segmenter = PanopticSegmenter(trained, tested.dataset.metainfo['classes'])
    names, things = segmenter.names, segmenter.things
    infos, total = infos_by_id(tested.dataset), PQStat()
    scored: list[tuple[float, dict, Segments]] = []
    for found in tested.predictions:
        truth = truth_of(infos[found['img_id']])
        if truth is not None:
            statistics = panoptic_statistics(truth, Segments(found['ids'], found['segments']), len(names))
            scored.append((qualities(statistics, things, len(names))['']['pq'], found, truth))
            total += statistics
    yield Section(
        'Classes',
        'Panoptic quality (PQ) of each, the worst first: the segmentation quality (SQ), which is the mean overlap of '
        'segments that were found, times the recognition quality (RQ), which counts missed and wrong segments.',
        [_table(total, names, things)],
    )
    worst = sorted(scored, key=lambda entry: entry[0])[:MAX_SHOWN]
    pictures = [_comparison(segmenter, *entry) for entry in worst]
    yield Section('Worst images', 'Ground truth on the left, prediction on the right.', pictures=pictures)


def _table(total: Any, names: list[str], things: int) -> Table:
    by_class = qualities(total, things, len(names))['classes']
    head = ('class', 'kind', 'PQ', 'SQ', 'RQ', 'found', 'missed', 'wrong')
    rows = []
    for label, quality in sorted(by_class.items(), key=lambda item: item[1]['pq']):
        figures = (f'{quality[key]:.3f}' for key in ('pq', 'sq', 'rq'))
        counts = total[label].tp, total[label].fn, total[label].fp
        rows.append((names[label], 'thing' if label < things else 'stuff', *figures, *counts))
    return Table(head, rows)


def _comparison(segmenter: PanopticSegmenter, quality: float, found: dict, truth: Segments) -> tuple[str, str]:
    """A caption with the panoptic quality, and the image with truth and prediction."""
    height, width = truth.ids.shape
    given: Any = dict(img_path=found['img_path'], width=width, height=height)
    frame = segmenter.shown(given)
    both = [
        draw_segments(frame, segmentation_of(part, segmenter.names, segmenter.things))
        for part in (truth, Segments(found['ids'], found['segments']))
    ]
    words = f'{Path(found["img_path"]).name}: panoptic quality {quality:.2f}'
    return words, as_data_url(np.concatenate(both, axis=1), 2 * IMAGE_SIDE)
