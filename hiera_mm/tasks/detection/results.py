"""The result of detection, in numpy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hiera_mm.errors import require_extra
from hiera_mm.inference.visualization import Label, RunLengths, colour_of

import numpy as np
import pycocotools.mask
from mmdet.structures.mask import encode_mask_results
from mmengine.structures import InstanceData


@dataclass(frozen=True)
class Detections:
    """Objects of an image, highest score first.

    Attributes:
        boxes: ``(N, 4)``, x1, y1, x2, y2 in pixels of the image.
        scores: ``(N,)``, 0 to 1.
        labels: Class numbers ``(N,)``.
        names: Names of all classes of the model, by number.
        size: Height and width of the image.
        run_lengths: The N masks, each None if the object's score was too low for it to be computed; None for a model
            without masks.
        track_ids: The objects' numbers in their video ``(N,)``, -1 for those without one; None where they are not
            followed.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: Sequence[str]
    size: tuple[int, int]
    run_lengths: Sequence[RunLengths | None] | None
    track_ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def masks(self) -> np.ndarray | None:
        """Boolean masks ``(N, H, W)``, empty where none was computed; None for a model without masks. They are stored
        as run lengths, since arrays for large images would take gigabytes."""
        if self.run_lengths is None:
            return None
        empty = np.zeros(self.size, bool)
        decoded = [empty if mask is None else pycocotools.mask.decode(mask).astype(bool) for mask in self.run_lengths]
        return np.array(decoded, bool).reshape(len(self), *self.size)

    def above(self, score: float) -> 'Detections':
        """The objects with at least this score."""
        return self.chosen(np.flatnonzero(self.scores >= score))

    def with_masks_from(self, score: float) -> 'Detections':
        """All objects, but only those with at least this score with masks."""
        if self.run_lengths is None:
            return self
        pairs = zip(self.run_lengths, self.scores, strict=True)
        return replace(self, run_lengths=[mask if own >= score else None for mask, own in pairs])

    def chosen(self, places: Sequence[int] | np.ndarray) -> 'Detections':
        """The objects at these indices, in this order."""
        masks = None if self.run_lengths is None else [self.run_lengths[place] for place in places]
        picked = self.boxes[places], self.scores[places], self.labels[places]
        tracks = None if self.track_ids is None else self.track_ids[places]
        return Detections(*picked, self.names, self.size, masks, tracks)

    def to_coco(self) -> Iterator[dict]:
        """Entries of COCO's result format without image and category ids: ``bbox`` (x, y, width, height),
        ``score``, ``category_name``, and ``segmentation`` of those with masks as text that fits JSON."""
        masks: Sequence[RunLengths | None] = self.run_lengths or [None] * len(self)
        tracks = [None] * len(self) if self.track_ids is None else self.track_ids
        for box, score, label, mask, track in zip(self.boxes, self.scores, self.labels, masks, tracks, strict=True):
            x1, y1, x2, y2 = (round(float(side), 2) for side in box)
            entry: dict = dict(category_name=self.names[label], bbox=[x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)])
            entry['score'] = round(float(score), 5)
            if track is not None and track >= 0:
                entry['track_id'] = int(track)
            if mask is not None:
                entry['segmentation'] = dict(mask, counts=mask['counts'].decode())
            yield entry

    def rows(self, score: float) -> list[dict[str, Any]]:
        """A row for a table of each object with at least this score: class, confidence, and the box in pixels."""
        found = self.above(score)
        return [
            {'class': self.names[label], 'confidence': round(float(confidence), 2)}
            | dict(zip(('left', 'top', 'right', 'bottom'), (round(float(side)) for side in box), strict=True))
            for label, confidence, box in zip(found.labels, found.scores, found.boxes, strict=True)
        ]

    def to_json(self) -> dict:
        """Convert to JSON: ``width``, ``height`` and ``objects``, see :meth:`to_coco`."""
        return dict(width=self.size[1], height=self.size[0], objects=list(self.to_coco()))

    def to_supervision(self) -> Any:
        """Convert to ``supervision.Detections``, with the names as ``data['class_name']``.

        Raises:
            UserError: if the package is not installed.
        """
        require_extra('supervision', 'data')
        import supervision

        names = np.array([self.names[label] for label in self.labels], dtype=object)
        boxes, labels = self.boxes.reshape(-1, 4).astype(np.float32), self.labels.astype(int)
        found: dict[str, Any] = dict(
            confidence=self.scores.astype(np.float32), class_id=labels, data=dict(class_name=names)
        )
        return supervision.Detections(xyxy=boxes, mask=self.masks, **found)


def detections_from(sample: Any, names: Sequence[str], sure: InstanceData | None = None) -> Detections:
    """Convert a predicted ``DetDataSample``; ``sure`` are those of its objects that have masks, by default all."""
    found = sample.pred_instances.numpy()
    masks: list[RunLengths | None] | None = None
    if sure is not None:
        masks = [None] * len(found)
        for place, mask in zip(sure.place.tolist(), encode_mask_results(sure.masks.cpu().numpy()), strict=True):
            masks[place] = mask
    elif 'masks' in found:
        masks = encode_mask_results(found.masks)
    order = np.argsort(-found.scores, kind='stable')
    size = int(sample.ori_shape[0]), int(sample.ori_shape[1])
    return Detections(found.bboxes, found.scores, found.labels, names, size, masks).chosen(order)


def labels_of(found: Detections) -> list[Label]:
    """Labels with class and score of each object, coloured by class, or by number if they are followed."""
    masks: Sequence[RunLengths | None] = found.run_lengths or [None] * len(found)
    texts = [f'{found.names[label]} {score:.2f}' for label, score in zip(found.labels, found.scores, strict=True)]
    colours = found.labels
    if found.track_ids is not None:
        pairs = zip(found.track_ids, texts, strict=True)
        texts, colours = [f'#{track} {text}' if track >= 0 else text for track, text in pairs], found.track_ids
    return [
        Label(box, [text], colour_of(int(colour)), mask)
        for box, text, colour, mask in zip(found.boxes, texts, colours, masks, strict=True)
    ]
