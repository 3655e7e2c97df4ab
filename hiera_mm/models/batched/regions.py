"""Regions that a RoI head learns from, for all images of a batch at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hiera_mm.models.batched.assigning import assign
from hiera_mm.models.batched.objects import Objects, padded, take
from hiera_mm.models.batched.sampling import Sample, sample

import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.models.task_modules.samplers import RandomSampler
from torch import Tensor


@dataclass(frozen=True)
class Regions:
    """``S`` places for regions of each image, which :class:`sampling.Sample` describes.

    Attributes:
        boxes: ``(B, S, 4)``.
        chosen: What fills the places.
        objects: The images' objects.
        is_object: ``(B, S)``, whether a region is the very box of an object.
    """

    boxes: Tensor
    chosen: Sample
    objects: Objects
    is_object: Tensor

    @cached_property
    def rois(self) -> Tensor:
        """``(B * S, 5)``, the number of the image and the box, as RoIAlign takes them."""
        images = torch.arange(len(self.boxes), device=self.boxes.device, dtype=self.boxes.dtype)[:, None, None]
        return torch.cat([images.expand(-1, self.boxes.shape[1], 1), self.boxes], 2).flatten(0, 1)

    def labels(self, background: int) -> Tensor:
        """Classes ``(B, S)``."""
        return self.objects.labels_at(self.chosen.number).masked_fill(~self.chosen.positive, background)


def sample_regions(
    assigner: MaxIoUAssigner,
    sampler: RandomSampler,
    proposals: Sequence[Tensor] | tuple[Tensor, Tensor],
    objects: Objects,
) -> Regions:
    """Regions of what an assigner and a sampler of mmdet do with proposals.

    Args:
        proposals: Boxes ``(count, 4)`` of each image; or boxes ``(B, P, 4)`` and which of them count, ``(B, P)``.
    """
    boxes, known = proposals if isinstance(proposals, tuple) else padded(proposals)
    assigned, first = assign(assigner, boxes, objects, known), 0
    if sampler.add_gt_as_proposals:
        first = objects.boxes.shape[1]
        own = torch.arange(1, first + 1, device=boxes.device)
        assigned = torch.cat([own.expand_as(objects.known).masked_fill(~objects.known, -1), assigned], 1)
        boxes = torch.cat([objects.boxes, boxes], 1)
    chosen = sample(sampler, assigned)
    return Regions(take(boxes, chosen.index), chosen, objects, chosen.index < first)
