"""Predictions in a file, with the names of their classes."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import DumpResults
from mmengine.registry import METRICS


@METRICS.register_module()
class DumpNamedResults(DumpResults):
    """mmengine's ``DumpResults``; each prediction of a class also says its name, as ``pred_name``.

    The names are those of the test set (``metainfo.classes``); without them there is no such key.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        before = len(self.results)
        super().process(data_batch, data_samples)
        classes: Sequence[str] = (self.dataset_meta or {}).get('classes') or ()
        for result in self.results[before:]:
            if classes and 'pred_label' in result:
                result['pred_name'] = classes[int(result['pred_label'])]
