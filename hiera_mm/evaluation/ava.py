"""AVA's mean average precision."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from hiera_mm.readers.ava_files import frame_key, read_action_list, read_exclusions, read_rows

import numpy as np
from mmaction.evaluation import AVAMetric as PlainAVAMetric
from mmaction.evaluation.functional.ava_evaluation.metrics import compute_average_precision, compute_precision_recall
from mmaction.evaluation.functional.ava_utils import tpfp_single
from mmaction.registry import METRICS as MMACTION_METRICS
from mmengine.logging import print_log

AVA_FIRST_ACTION = 'bend/bow (at the waist)'
GROUPS = dict(person_movement=range(1, 15), object_manipulation=range(15, 64), person_interaction=range(64, 81))
"""Numbers of AVA's actions by the paper's groups (Gu et al., CVPR 2018, table 1)."""


class Boxes(NamedTuple):
    """The boxes of one second: corners ``(N, 4)``, action numbers ``(N,)`` and scores ``(N,)``, highest first."""

    corners: np.ndarray
    actions: np.ndarray
    scores: np.ndarray


# Registered under mmaction2's name, so that its configs are evaluated in the same way.
@MMACTION_METRICS.register_module(name='AVAMetric', force=True)
class AVAMetric(PlainAVAMetric):
    """mmaction2's ``AVAMetric`` for any list of actions; predictions at seconds without annotations count as wrong.

    A box is correct if its IoU with an annotated box of its action is at least 0.5; each annotated box is matched once.
    Gives ``overall``, the mean over the actions that have examples, and for AVA's own list its three groups; the
    average precision of each action is printed. The official evaluation also counts predictions at seconds without
    annotations (the data set has these seconds with ``idle_seconds=True``); excluded seconds are skipped.

    Args:
        ann_file, exclude_file, label_file: See :mod:`hiera_mm.readers.ava_files`.
        num_classes, action_thr, custom_classes, collect_device, prefix: As in mmaction2.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The metrics of the predictions that :meth:`process` has collected."""
        names = read_action_list(self.label_file)
        if self.custom_classes is not None:
            names = {number: names[number] for number in self.custom_classes[1:]}
        precisions = dict(self._average_precisions(results, list(names)))
        self.by_action = {names[number]: precision for number, precision in precisions.items()}
        lines = [f'{number:4} {names[number]:50} {precision:.4f}' for number, precision in precisions.items()]
        print_log('Average precision of each action:\n' + '\n'.join(lines), 'current')
        metrics = dict(overall=_mean(precisions.values()))
        if names.get(1) == AVA_FIRST_ACTION:
            for group, numbers in GROUPS.items():
                metrics[group] = _mean(precisions[number] for number in numbers if number in precisions)
        return metrics

    def _average_precisions(self, results: list, actions: list[int]) -> Iterator[tuple[int, float]]:
        """The actions that have examples, by number, with their average precision."""
        excluded = read_exclusions(self.exclude_file) if self.exclude_file else set()
        truth = defaultdict(list)
        for row in read_rows(self.ann_file):
            if row.action in actions and row.key not in excluded:
                truth[row.key].append(row)
        outputs = defaultdict(list)
        for result in results:
            outputs[frame_key(result['video_id'], result['timestamp'])].append(result['outputs'])
        scores: dict[int, list] = defaultdict(list)
        hits: dict[int, list] = defaultdict(list)
        for key, found in outputs.items():
            if key in excluded:
                continue
            rows = truth.get(key, [])
            corners, numbers = np.array([row.box for row in rows]).reshape(-1, 4), [row.action for row in rows]
            of_second = tpfp_single((corners, numbers, *self._boxes(found, actions)))
            for collected, found_there in zip((scores, hits), of_second, strict=True):
                for action, values in found_there.items():
                    collected[action].append(values)
        examples = Counter(row.action for rows in truth.values() for row in rows)
        for action in actions:
            if examples[action] and action not in scores:
                yield action, 0.0
            elif examples[action]:
                found_at, right = np.concatenate(scores[action]), np.concatenate(hits[action])
                curve = compute_precision_recall(found_at, right, examples[action])
                yield action, float(compute_average_precision(*curve))

    def _boxes(self, found: list[list[np.ndarray]], actions: list[int]) -> Boxes:
        """Join the boxes and scores ``(N, 5)`` of each class, of each sample of a second."""
        numbers = self.custom_classes[1:] if self.custom_classes is not None else range(1, self.num_classes)
        rows = np.concatenate([boxes for outputs in found for boxes in outputs])
        labels = np.concatenate([np.repeat(numbers, [len(boxes) for boxes in outputs]) for outputs in found])
        order = np.argsort(-rows[:, 4], kind='stable')
        order = order[np.isin(labels[order], actions)]
        return Boxes(rows[order, :4], labels[order], rows[order, 4])


def _mean(values: Any) -> float:
    values = list(values)
    return sum(values) / len(values) if values else math.nan
