"""The predictor of action detection: the actions of persons in a video."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.config import in_scope
from hiera_mm.errors import UserError
from hiera_mm.inference.running import running
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.inference.visualization import Label
from hiera_mm.readers.ava_files import read_action_list
from hiera_mm.readers.frames import FrameReader, frames_at
from hiera_mm.readers.inputs import Kind
from hiera_mm.readers.videos import open_video
from hiera_mm.tasks.detection.detector import Detector

import numpy as np
from mmcv.transforms import Compose
from mmengine.logging import print_log
from rich.progress import track

MAX_BOX_SIZE = 1.1
"""Sides of a person's box as a share of the frame's, at most."""

Boxes = Mapping[float, Sequence[Sequence[float]]]
"""Boxes of persons, x1, y1, x2, y2 in pixels, by seconds from the start of the video."""

Persons = tuple[np.ndarray, np.ndarray]
"""Boxes ``(N, 4)`` relative to the frame's width and height, and scores ``(N,)``."""

MAX_DRAWN_ACTIONS = 3
"""Most actions written above a person in the video."""


class ActionDetector:
    """Finds persons in a video and predicts their actions, at regular times.

    Args:
        trained: An action detector, such as ``configs/ava_hiera_l.py`` trains.
        actions: Names by number; by default those of training, or of the config's test set.

    Raises:
        UserError: if the names can't be found.
    """

    kinds = (Kind.VIDEO,)

    def __init__(self, trained: TrainedModel, actions: Mapping[int, str] | None = None) -> None:
        self.trained = trained
        self.names = (
            dict(actions or {}) or (trained.meta.get('dataset_meta') or {}).get('actions') or self._names_from_config()
        )
        self.fps = trained.test_set.get('fps', 30)
        # The video is already open, and a crop would remove persons at the edges.
        steps = [step for step in trained.test_pipeline if step.type not in ('OpenVideo', 'CenterCrop')]
        with in_scope(trained.config):
            self.pipeline = Compose(steps)

    def predict(
        self,
        video: str | Path,
        boxes: Boxes | None = None,
        persons: 'PersonFinder | None' = None,
        step: float = 1.0,
        score_thr: float = 0.5,
    ) -> dict:
        """Predict the actions in a video.

        Args:
            video: The file, of any length and rate; a clip that is too short repeats its first and last frames.
            boxes: Boxes of persons by seconds, x1, y1, x2, y2 in pixels, or all as shares of the sides; then only these
                seconds are used, and no
                detector is needed.
            persons: Finds the persons if no boxes are given.
            step: Interval in seconds; persons are searched in the frame in the middle of each interval.
            score_thr: Score threshold for actions.

        Returns:
            ``dict(video=..., width=..., height=..., fps=..., predictions=[...])``; each prediction has a ``timestamp``
            in seconds and ``persons``, each of these a ``bbox`` in pixels, a ``bbox_score``, and ``actions`` with
            ``id``, ``name`` and ``score``, highest score first.

        Raises:
            BrokenFileError: if the video can't be read.
            UserError: without boxes and a person finder, or for boxes outside this video.
        """
        reader = open_video(video)
        height, width = reader.frames([0])[0].shape[:2]
        sides = np.array([width, height, width, height])
        found = _find_persons(reader, step, persons) if boxes is None else _check_boxes(boxes, reader, sides)
        predictions = [
            dict(timestamp=second, persons=self._predict_second(reader, second, there, sides, score_thr))
            for second, there in track(found.items(), 'Recognising actions', total=len(found))
        ]
        return dict(video=str(video), width=width, height=height, fps=reader.rate, predictions=predictions)

    def _names_from_config(self) -> Mapping[int, str]:
        label_file = self.trained.test_set.get('label_file') if self.trained.trusted else None
        if label_file is None or not Path(label_file).is_file():
            named = f" and the action list '{label_file}' that its config names does not exist" if label_file else ''
            raise UserError(
                f"'{self.trained.source}' has no names for its actions{named}; give an action list: "
                '--classes FILE.pbtxt.'
            )
        return read_action_list(label_file)

    def _predict_second(
        self, reader: FrameReader, second: float, persons: Persons, sides: np.ndarray, score_thr: float
    ) -> list[dict]:
        boxes, scores = persons
        if not len(boxes):
            return []
        clip = dict(video_reader=reader, total_frames=len(reader), avg_fps=reader.rate, fps=self.fps, modality='RGB')
        clip.update(timestamp=second, timestamp_start=0, proposals=boxes, gt_bboxes=boxes)
        # The pipeline packs annotations, so it gets empty ones.
        packed = self.pipeline(dict(clip, gt_labels=np.zeros((len(boxes), 1), np.float32)))
        with running(self.trained):
            batch = dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']])
            predicted = self.trained.model.test_step(batch)[0].pred_instances
        return [
            dict(
                bbox=(box * sides).round(2).tolist(),
                bbox_score=round(float(score), 4),
                actions=self._named(action_scores, score_thr),
            )
            for box, score, action_scores in zip(boxes, scores, predicted.scores.float().cpu().numpy(), strict=True)
        ]

    def _named(self, scores: np.ndarray, score_thr: float) -> list[dict]:
        # The first score is the background.
        best = [int(action) for action in np.argsort(-scores[1:]) + 1 if scores[action] >= score_thr]
        return [dict(id=a, name=self.names.get(a, f'action {a}'), score=round(float(scores[a]), 4)) for a in best]


def labels_at(result: dict) -> dict[float, list[Label]]:
    """The labels to draw for a result of :meth:`ActionDetector.predict`, by seconds."""
    return {
        prediction['timestamp']: [
            Label(person['bbox'], [f'{a["name"]} {a["score"]:.2f}' for a in person['actions'][:MAX_DRAWN_ACTIONS]])
            for person in prediction['persons']
        ]
        for prediction in result['predictions']
    }


class PersonFinder:
    """Finds persons in a frame, RGB ``(H, W, 3)``: relative boxes ``(N, 4)`` and scores ``(N,)``.

    Args:
        detector: An object detector.
        score_thr: Score threshold for persons.
        classes: Names of the detector's classes that count as persons.

    Raises:
        UserError: for a class that the detector does not know.
    """

    def __init__(self, detector: Detector, score_thr: float = 0.8, classes: Sequence[str] = ('person',)) -> None:
        known = detector.names
        absent = [name for name in classes if name not in known]
        if absent:
            raise UserError(
                f"The detector '{detector.trained.source}' has no class '{absent[0]}' among its {len(known)}, such as "
                f"'{known[0]}'; set the classes that count as persons with det_classes."
            )
        self.wanted = [known.index(name) for name in classes]
        self.detector, self.score_thr = detector, score_thr

    def __call__(self, frame: np.ndarray) -> Persons:
        found: Any = self.detector.predict(frame)
        height, width = frame.shape[:2]
        kept = (found.scores >= self.score_thr) & np.isin(found.labels, self.wanted)
        boxes = (found.boxes[kept] / [width, height, width, height]).clip(0, 1)
        return boxes.astype(np.float32), found.scores[kept]


def check_step(step: float) -> None:
    """Refuse a time between two searches for persons that is not positive.

    Raises:
        UserError: naming it.
    """
    if not step > 0:
        raise UserError(f"The time between two searches for persons, 'step', must be above 0 seconds, but is {step}.")


def _find_persons(reader: FrameReader, step: float, persons: 'PersonFinder | None') -> dict[float, Persons]:
    if persons is None:
        raise UserError('Give boxes of the persons, or a detector that finds them.')
    check_step(step)
    starts = np.arange(0, reader.duration, step)
    middles = (starts + np.minimum(starts + step, reader.duration)) / 2
    found = {}
    for frame in track(np.unique(frames_at(reader, middles)).tolist(), 'Looking for persons'):
        found[float(reader.times[frame])] = persons(reader.frames([frame])[0])
    if not any(len(scores) for _, scores in found.values()):
        print_log(
            f"No person was found in {len(found)} frames of '{reader.path}'; lower det_score_thr "
            f'({persons.score_thr}) if there are any.',
            logger='current',
            level=30,
        )
    return found


def _are_shares(boxes: Mapping) -> bool:
    """Whether all boxes are shares of the frame's sides, which a tracker may place a little outside 0 to 1."""
    try:
        return all(-0.5 <= float(side) <= 1.5 for given in boxes.values() for box in given for side in box)
    except (TypeError, ValueError):
        return False


def _check_boxes(boxes: Mapping, reader: FrameReader, sides: np.ndarray) -> dict[float, Persons]:
    """A user's boxes as far as they lie in the frame, relative to it, with scores of 1, by seconds."""
    if not boxes:
        raise UserError('There are no boxes; give some by seconds, such as {1.5: [[x1, y1, x2, y2]]}.')
    found = {}
    if _are_shares(boxes):
        # As in AVA's files; no person is smaller than a pixel.
        sides = np.ones(4, np.float32)
    for second, given in sorted(boxes.items(), key=lambda item: float(item[0])):
        try:
            corners: np.ndarray = np.array(given, np.float32).reshape(-1, 4)
        except ValueError as error:
            raise UserError(f'The boxes at second {second} are not lists of x1, y1, x2, y2: {given}.') from error
        sizes = corners[:, 2:] - corners[:, :2]
        # Trackers follow persons beyond the frame; larger boxes than the frame are those of another one.
        corners = np.where(np.isfinite(corners), corners.clip(0, sides), np.nan)
        inside = (corners[:, :2] < corners[:, 2:]).all() and (sizes <= MAX_BOX_SIZE * sides[2:]).all()
        if not 0 <= float(second) <= reader.duration or not inside:
            raise UserError(
                f"The boxes {given} at second {second} are outside '{reader.path}', which has {sides[0]} x {sides[1]} "
                f'pixels and {reader.duration:.1f} seconds; give x1, y1, x2, y2 in pixels.'
            )
        found[float(second)] = corners / sides, np.ones(len(corners))
    return found
