"""Two-stage detectors that train without copies on the processor and with few casts."""

from typing import Any

from hiera_mm.models.batched.rpn_head import BatchedRPNHead
from hiera_mm.models.half_precision import in_half_precision

from mmdet.models.detectors import CascadeRCNN as PlainCascadeRCNN
from mmdet.models.detectors import FasterRCNN as PlainFasterRCNN
from mmdet.models.detectors import MaskRCNN as PlainMaskRCNN
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from torch import Tensor


class WholeBatchDetector(TwoStageDetector):
    """A two-stage detector of mmdet that trains around a :class:`BatchedRPNHead` without a copy of all annotations,
    masks too. mmdet makes it to give other heads classes of 0. Under autocast all weights are cast at once.
    """

    rpn_head: Any
    roi_head: Any

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """Losses of images ``(B, 3, H, W)``."""
        if not isinstance(getattr(self, 'rpn_head', None), BatchedRPNHead):
            return super().loss(batch_inputs, batch_data_samples)
        return in_half_precision(self, self._losses, batch_inputs, batch_data_samples)

    def _losses(self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        maps = self.extract_feat(batch_inputs)
        proposal_cfg = self.train_cfg.get('rpn_proposal', self.test_cfg.rpn)
        losses, proposals = self.rpn_head.loss_and_predict(maps, batch_data_samples, proposal_cfg)
        return losses | self.roi_head.loss(maps, proposals, batch_data_samples)


# Under mmdet's own names: with other heads nothing changes.
@MODELS.register_module(name='FasterRCNN', force=True)
class FasterRCNN(WholeBatchDetector, PlainFasterRCNN):
    """mmdet's ``FasterRCNN``."""


@MODELS.register_module(name='MaskRCNN', force=True)
class MaskRCNN(WholeBatchDetector, PlainMaskRCNN):
    """mmdet's ``MaskRCNN``."""


@MODELS.register_module(name='CascadeRCNN', force=True)
class CascadeRCNN(WholeBatchDetector, PlainCascadeRCNN):
    """mmdet's ``CascadeRCNN``."""
