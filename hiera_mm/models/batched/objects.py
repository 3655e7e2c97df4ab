"""The objects of a batch of images as tensors of one shape."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class Objects:
    """The objects of ``B`` images, padded to the ``M >= 1`` of the image with most.

    Attributes:
        boxes: ``(B, M, 4)`` as x1, y1, x2, y2 in pixels, zeros where there is no object.
        labels: ``(B, M)``.
        known: ``(B, M)``, whether there is an object.
        crowds: ``(B, I, 4)``, boxes of regions to leave out, zeros where there is none.
    """

    boxes: Tensor
    labels: Tensor
    known: Tensor
    crowds: Tensor

    @classmethod
    def of(cls, truth: Sequence[InstanceData], ignored: Sequence[InstanceData | None] | None) -> 'Objects':
        """Of what an image's ``gt_instances`` and ``ignored_instances`` hold."""
        boxes, known = padded([get_box_tensor(one.bboxes) for one in truth])
        labels = pad_sequence([one.labels for one in truth], batch_first=True)
        if not labels.shape[1]:
            labels = labels.new_zeros(known.shape)
        none = boxes.new_zeros(0, 4)
        crowds = [none if one is None else get_box_tensor(one.bboxes) for one in ignored or [None] * len(truth)]
        return cls(boxes, labels, known, padded(crowds)[0] if any(map(len, crowds)) else boxes[:, :0])

    def boxes_at(self, numbers: Tensor) -> Tensor:
        """Boxes ``(B, S, 4)`` of the objects with numbers ``(B, S)``."""
        return take(self.boxes, numbers)

    def labels_at(self, numbers: Tensor) -> Tensor:
        """Labels ``(B, S)`` of the objects with numbers ``(B, S)``."""
        return self.labels.gather(1, numbers)


def padded(boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Boxes ``(count, 4)`` of each image as one tensor ``(B, M, 4)`` with ``M >= 1``, and where they are, ``(B, M)``.

    The counts are known to the processor, so that it waits for no device.
    """
    counts = torch.tensor([len(one) for one in boxes]).to(boxes[0].device, non_blocking=True)
    together = pad_sequence([*boxes], batch_first=True)
    if not together.shape[1]:
        together = together.new_zeros(len(boxes), 1, 4)
    return together, torch.arange(together.shape[1], device=together.device) < counts[:, None]


def take(boxes: Tensor, places: Tensor) -> Tensor:
    """Boxes ``(B, S, 4)`` at places ``(B, S)`` of boxes ``(B, N, 4)``."""
    return boxes.gather(1, places[..., None].expand(-1, -1, boxes.shape[2]))
