"""Random samples of boxes, for all images of a batch at once."""

from dataclasses import dataclass

import torch
from mmdet.models.task_modules.samplers import RandomSampler
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """``S`` places for boxes of each image: first its positive ones, then background, then empty places.

    Attributes:
        index: ``(B, S)``, the place's box.
        number: ``(B, S)``, the object of a positive box, numbered from 0; 0 for others.
        positive: ``(B, S)``, whether the box has an object.
        known: ``(B, S)``, whether the place is filled.
    """

    index: Tensor
    number: Tensor
    positive: Tensor
    known: Tensor


def sample(sampler: RandomSampler, assigned: Tensor) -> Sample:
    """What mmdet's ``RandomSampler`` samples of assigned boxes ``(B, N)`` (:func:`assigning.assign`), by sorting random
    numbers instead of drawing from a list whose length the processor has to know."""
    count = assigned.shape[1]
    places, most = min(sampler.num, count), min(int(sampler.num * sampler.pos_fraction), count)
    draws = torch.rand(assigned.shape, device=assigned.device)
    positives = draws.masked_fill(assigned <= 0, -1).topk(most)
    negatives = draws.masked_fill(assigned != 0, -1).topk(places)
    filled = (positives.values >= 0).sum(1, keepdim=True)
    place = torch.arange(places, device=assigned.device).expand(len(assigned), -1)
    positive = place < filled
    # The positives fill the first places, the negatives follow.
    source = torch.where(positive, place, most + place - filled)
    index = torch.cat([positives.indices, negatives.indices], 1).gather(1, source)
    known = torch.cat([positives.values, negatives.values], 1).gather(1, source) >= 0
    number = (assigned.gather(1, index) - 1).clamp(min=0)
    return Sample(index, number, positive, known)
