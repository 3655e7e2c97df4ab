"""Follows objects through the frames of a video, by the ByteTrack of the package trackers."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import require_extra
from hiera_mm.inference.images import ImageInput
from hiera_mm.tasks.detection.detector import Detector
from hiera_mm.tasks.detection.results import Detections

import numpy as np

LEAST_SCORE = 0.1
"""Objects below this score are not followed (ByteTrack, arXiv 2110.06864, section 3)."""


class TrackingDetector:
    """A detector that numbers the objects of each video from 1. An object gets its number in the second frame that
    shows it, and keeps it while it is in sight, and for 30 predicted frames out of sight.

    Args:
        detector: The detector.
        score_thr: Score from which an object gets a number; later it keeps it down to :data:`LEAST_SCORE`.

    Raises:
        UserError: without the package trackers.
    """

    def __init__(self, detector: Detector, score_thr: float) -> None:
        require_extra('trackers', 'track')
        self.detector, self.score_thr = detector, score_thr

    def decoded(self, image: ImageInput | Mapping) -> np.ndarray:
        return self.detector.decoded(image)

    def predict(self, pictures: Any, **settings: Any) -> Any:
        return self.detector.predict(pictures, **settings)

    def stream(self, frames: Iterator[np.ndarray], **settings: Any) -> Iterator[tuple[np.ndarray, Detections | None]]:
        """As :meth:`Detector.stream`, with ``track_ids``."""
        tracks = Tracks(self.score_thr)
        for frame, found in self.detector.stream(frames, **settings):
            yield frame, None if found is None else tracks.update(found)


class Tracks:
    """The objects of one video. Each class is followed by itself, so that neighbours of two classes never exchange
    their numbers."""

    def __init__(self, score_thr: float) -> None:
        import trackers

        def tracker() -> Any:
            return trackers.ByteTrackTracker(
                track_activation_threshold=score_thr, high_conf_det_threshold=score_thr, minimum_consecutive_frames=1
            )

        self.trackers: dict[int, Any] = defaultdict(tracker)
        self.numbers: dict[tuple[int, int], int] = {}

    def update(self, found: Detections) -> Detections:
        """The objects of the next frame with ``track_ids``; -1 for one that is seen for the first time, or never surely
        enough."""
        track_ids = np.full(len(found), -1)
        for label in sorted({*self.trackers, *found.labels.tolist()}):
            own = np.flatnonzero((found.labels == label) & (found.scores >= LEAST_SCORE))
            # A tracker also counts the frames without its class.
            followed = self.trackers[label].update(_for_tracker(found, own))
            for place, number in zip(followed.data.get('place', ()), followed.tracker_id, strict=False):
                if number >= 0:
                    track_ids[place] = self.numbers.setdefault((label, int(number)), len(self.numbers) + 1)
        return replace(found, track_ids=track_ids)


def _for_tracker(found: Detections, places: np.ndarray) -> Any:
    import supervision

    return supervision.Detections(
        xyxy=found.boxes[places].astype(np.float32).reshape(-1, 4),
        confidence=found.scores[places].astype(np.float32),
        class_id=found.labels[places].astype(int),
        data=dict(place=places),
    )


def write_tracks(path: Path, entries: Iterable[dict]) -> None:
    """Write a row for each object with a number in each frame, in pixels.

    Args:
        path: The CSV file.
        entries: As for :func:`hiera_mm.tasks.detection.files.write_coco`.
    """
    with atomic_write(path) as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['file', 'frame', 'time', 'track', 'class', 'score', 'x', 'y', 'width', 'height'])
        for entry in entries:
            for found in (found for found in entry['objects'] if 'track_id' in found):
                what = found['track_id'], found['category_name'], found['score']
                writer.writerow([entry['input'], entry['frame'], entry['time'], *what, *found['bbox']])
