"""Writes predictions to a file atomically."""

import pickle
from collections.abc import Sequence
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError

import numpy as np
from mmdet.evaluation import DumpDetResults
from mmengine.evaluator import DumpResults
from mmengine.registry import METRICS


class WholeDump(DumpResults):
    """mmengine's ``DumpResults``, but if the file can't be written, the other metrics are still computed."""

    fault: OSError | None = None

    def compute_metrics(self, results: list) -> dict:
        try:
            with atomic_write(self.out_file_path) as unfinished, unfinished.open('wb') as file:
                pickle.dump(results, file)
        except OSError as error:
            self.fault = error
        return {}

    def raise_fault(self) -> None:
        """Report a failed write; call it after testing.

        Raises:
            UserError: if the file could not be written.
        """
        if self.fault:
            raise UserError(
                f"The predictions can't be written to '{self.out_file_path}' ({self.fault.strerror}); the metrics are "
                'above. Make room, or set --out to another place.'
            ) from self.fault


class DumpDetections(WholeDump, DumpDetResults):
    """mmdet's ``DumpDetResults``, with masks as run lengths."""


class DumpRegions(WholeDump):
    """Dumps the class of each pixel, ``pred_sem_seg`` and ``gt_sem_seg``, both ``(H, W)``, and the ``img_path`` of each
    image; the scores of all classes would take hundreds of times as much space."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            masks = {
                key: sample[key]['data'][0].cpu().numpy().astype(np.uint8)
                for key in ('pred_sem_seg', 'gt_sem_seg')
                if key in sample
            }
            self.results.append(dict(img_path=sample['img_path'], **masks))


@METRICS.register_module()
class DumpNamedResults(WholeDump):
    """Adds the name of the predicted class to each prediction, as ``pred_name``.

    The names come from the test set (``metainfo.classes``); without them the key is left out.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        before = len(self.results)
        super().process(data_batch, data_samples)
        classes: Sequence[str] = (self.dataset_meta or {}).get('classes') or ()
        for result in self.results[before:]:
            if classes and 'pred_label' in result:
                result['pred_name'] = classes[int(result['pred_label'])]
