"""The head of action detection, for mmaction2's ``AVARoIHead``."""

from hiera_mm.errors import UserError

import torch
from mmaction.models.roi_heads import BBoxHeadAVA
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor


@MODELS.register_module()
class WholeFrameBBoxHeadAVA(BBoxHeadAVA):
    """mmaction2's head, whose results keep the persons' boxes of the whole frame, as PySlowFast scores them.

    The features come from the part of a box inside the crop. mmaction2 also reports that part as the person's box; for
    a person at the edge of the frame it then overlaps the annotated box too little to count as found.

    Raises:
        UserError: in prediction, if the pipeline did not pack ``boxes_in_frame``.
    """

    def _predict_by_feat_single(self, roi: Tensor, cls_score: Tensor, img_meta: dict, **kwargs) -> InstanceData:
        """``bboxes`` ``(N, 4)``, relative to the width and height of the frame, and ``scores`` ``(N, num_classes)``."""
        results = super()._predict_by_feat_single(roi, cls_score, img_meta, **kwargs)
        if 'boxes_in_frame' not in img_meta:
            raise UserError(
                'WholeFrameBBoxHeadAVA needs the boxes as they were before any crop; begin the test pipeline with '
                "BoxesToPixels as in ava_hiera_l.py, and add 'boxes_in_frame' to the meta_keys of PackActionInputs."
            )
        results.bboxes = torch.as_tensor(img_meta['boxes_in_frame'], dtype=roi.dtype, device=roi.device)
        return results
