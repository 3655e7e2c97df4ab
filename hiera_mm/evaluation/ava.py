"""What a model that has learned nothing would score."""

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from mmaction.evaluation import AVAMetric
from mmengine.registry import METRICS


@METRICS.register_module()
class ConstantAVAMetric(AVAMetric):
    """mmaction2's ``AVAMetric`` with the same score for every action of every box: the floor that a mAP stands on.

    The boxes stay the predicted ones, so it depends on them and on how frequent the actions are.
    """

    def process(self, data_batch: Sequence[Any], data_samples: Sequence[dict]) -> None:
        constant = []
        for sample in data_samples:
            predicted = copy(sample['pred_instances'])
            predicted['scores'] = torch.full_like(predicted['scores'], 0.5)
            constant.append(dict(sample, pred_instances=predicted))
        super().process(data_batch, constant)
