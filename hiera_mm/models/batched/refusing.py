"""What heads that train a whole batch at once don't compute as mmdet does, they refuse."""

from typing import Any

from hiera_mm.errors import UserError

from mmdet.models.losses import BalancedL1Loss, CrossEntropyLoss, L1Loss, MSELoss, SmoothL1Loss
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.models.task_modules.samplers import RandomSampler

ELEMENTWISE = (L1Loss, SmoothL1Loss, BalancedL1Loss, MSELoss)
"""Losses with a value for each number, as those of encoded boxes are."""


def refuse_unless(follows: bool, found: Any, wanted: str) -> None:
    """Refuse a part of a detector.

    Args:
        follows: Whether its results would be mmdet's.
        found: The part.
        wanted: What is followed.

    Raises:
        UserError: unless it follows.
    """
    if not follows:
        raise UserError(
            f"Heads that train a whole batch at once follow {wanted}, not this {type(found).__name__}; set mmdet's own "
            "types for others: rpn_head=dict(type='RPNHead'), roi_head=dict(type='StandardRoIHead') or "
            "'CascadeRoIHead'."
        )


def require_plain_sampling(assigner: Any, sampler: Any) -> None:
    """Check that regions would be assigned and sampled as mmdet does.

    Raises:
        UserError: for other kinds, or for settings that are not followed.
    """
    refuse_unless(
        type(assigner) is MaxIoUAssigner
        and isinstance(assigner.neg_iou_thr, float | tuple)
        and assigner.gt_max_assign_all
        and assigner.ignore_wrt_candidates
        and not assigner.perm_repeat_gt_cfg,
        assigner,
        'a MaxIoUAssigner whose neg_iou_thr is a number or a tuple, without gt_max_assign_all=False, '
        'ignore_wrt_candidates=False and perm_repeat_gt_cfg',
    )
    refuse_unless(
        type(sampler) is RandomSampler and sampler.neg_pos_ub < 0, sampler, 'a RandomSampler with neg_pos_ub=-1'
    )


def require_plain_box_losses(head: Any, use_sigmoid: bool) -> None:
    """Check the losses of a head for classes and boxes.

    Raises:
        UserError: for others.
    """
    own = isinstance(head, BBoxHead) and type(head).loss is not BBoxHead.loss
    refuse_unless(not own, head, "box heads with mmdet's BBoxHead.loss")
    loss = head.loss_cls
    kind = 'with' if use_sigmoid else 'without'
    refuse_unless(
        type(loss) is CrossEntropyLoss and loss.use_sigmoid == use_sigmoid,
        loss,
        f'a CrossEntropyLoss {kind} use_sigmoid for classes',
    )
    refuse_unless(
        isinstance(head.loss_bbox, ELEMENTWISE) and not head.reg_decoded_bbox,
        head.loss_bbox,
        'an L1Loss, SmoothL1Loss, BalancedL1Loss or MSELoss of encoded boxes (reg_decoded_bbox=False)',
    )
