"""The loss of a box head on regions of a whole batch."""

from hiera_mm.models.batched.coding import box_loss, encode
from hiera_mm.models.batched.regions import Regions

from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import Tensor


def box_losses(
    head: BBoxHead, cls_score: Tensor, bbox_pred: Tensor, regions: Regions, pos_weight: float
) -> dict[str, Tensor]:
    """``loss_cls``, ``acc`` and ``loss_bbox`` as mmdet's ``BBoxHead.loss`` gives them, without asking the device which
    regions are positive.

    Args:
        cls_score: ``(B * S, classes + 1)``.
        bbox_pred: ``(B * S, classes * 4)``, or ``(B * S, 4)`` for a head without classes.
        regions: The ``B * S`` regions.
        pos_weight: Weight of the positive regions in the loss of classes, 1 if it is not above 0.
    """
    chosen, labels = regions.chosen, regions.labels(head.num_classes).flatten()
    known, positive = chosen.known.flatten(), chosen.positive.flatten()
    count = known.sum()
    weights = known.float()
    if pos_weight > 0:
        weights = weights.masked_fill(positive, pos_weight)
    losses = dict(
        loss_cls=head.loss_cls(cls_score, labels, weights, avg_factor=count.clamp(min=1)),
        acc=((cls_score.argmax(1) == labels) & known).sum()[None] * 100 / count.clamp(min=1),
    )
    targets = encode(head.bbox_coder, regions.boxes, regions.objects.boxes_at(chosen.number), chosen.positive)
    deltas = bbox_pred if head.reg_class_agnostic else _of_class(bbox_pred, labels)
    losses['loss_bbox'] = box_loss(head.loss_bbox, deltas, targets, positive, count)
    return losses


def _of_class(deltas: Tensor, labels: Tensor) -> Tensor:
    """Deltas ``(N, 4)`` of each region's own class; those of the background are of the last class and don't count."""
    deltas = deltas.view(len(deltas), -1, 4)
    places = labels.clamp(max=deltas.shape[1] - 1)[:, None, None].expand(-1, 1, 4)
    return deltas.gather(1, places).squeeze(1)
