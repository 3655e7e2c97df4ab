"""The Dice score of volumes."""

import math
from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import require_extra

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS


@METRICS.register_module()
class VolumeDiceMetric(BaseMetric):
    """MONAI's Dice of each class except the background, 0 to 1: ``Dice_NAME``, the mean over the volumes that have the
    class, and ``Dice``, the mean over classes and then volumes, as in MONAI's ``DiceMetric``. Classes that a volume
    lacks are ignored there (MONAI's ``ignore_empty``); ``Dice`` is NaN if no volume has any.

    Args:
        collect_device: As in mmengine's metrics.

    Raises:
        UserError: without MONAI.
    """

    def __init__(self, collect_device: str = 'cpu') -> None:
        require_extra('monai', 'volumes')
        super().__init__(collect_device=collect_device)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """
        Args:
            data_batch: Not used.
            data_samples: With ``predicted`` ``(1, D, H, W)`` and ``label`` ``(1, 1, D, H, W)``.
        """
        from monai.metrics import compute_dice

        count = len(self.dataset_meta['classes'])
        for sample in data_samples:
            predicted, label = (_one_hot(sample[name].reshape(sample['predicted'].shape), count) for name in KEYS)
            self.results.append(compute_dice(predicted, label, include_background=False).cpu())

    def compute_metrics(self, results: list[torch.Tensor]) -> dict[str, float]:
        """The metrics of all volumes' Dice scores, each ``(1, classes - 1)``."""
        from monai.metrics.utils import do_metric_reduction

        dice = torch.cat(results)
        # Copies, since the reduction replaces NaN by 0 in place.
        mean, _ = do_metric_reduction(dice.clone(), 'mean')
        each, volumes = do_metric_reduction(dice.clone(), 'mean_batch')
        names = self.dataset_meta['classes'][1:]
        if absent := [name for name, count in zip(names, volumes.tolist(), strict=True) if not count]:
            print_log(f'No volume has the class {", ".join(absent)}, so it has no Dice.', logger='current', level=30)
        scored = {
            f'Dice_{name}': value.item() for name, value, n in zip(names, each, volumes.tolist(), strict=True) if n
        }
        if not scored:
            # MONAI's 0 would be the best so far, as if something had been found badly.
            print_log(
                'No volume has any class but the background, so Dice is undefined (nan), and no checkpoint is the '
                'best; validate on volumes with other classes.',
                logger='current',
                level=30,
            )
        return dict(Dice=mean.item() if scored else math.nan) | scored


KEYS = ('predicted', 'label')


def _one_hot(labels: torch.Tensor, count: int) -> torch.Tensor:
    return F.one_hot(labels.long(), count).movedim(-1, 1)
