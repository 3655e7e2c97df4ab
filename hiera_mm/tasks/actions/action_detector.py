"""Who does what, and when: a video in, actions of persons out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.inference.loading import in_scope
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.inference.visualization import Label
from hiera_mm.readers.ava_files import read_action_list
from hiera_mm.readers.frames import FrameReader, frames_at
from hiera_mm.readers.inputs import Kind
from hiera_mm.readers.videos import open_video
from hiera_mm.tasks.detection.detector import Detector

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.logging import print_log
from rich.progress import track

Boxes = Mapping[float, Sequence[Sequence[float]]]
"""Of persons in pixels, x1, y1, x2, y2, by seconds from the video's beginning."""

Persons = tuple[np.ndarray, np.ndarray]
"""Boxes ``(N, 4)`` in parts of the frame's sides, and scores ``(N,)``."""

SHOWN = 3
"""Actions written above a person in the video."""


class ActionDetector:
    """Finds persons in a video and says what each does, once for every step of time.

    Args:
        trained: A model of AVA's kind, such as ``configs/ava_hiera_l.py`` trains.
        actions: Names by number; by default those of its training, or of the config's test set.

    Raises:
        UserError: where the names are not to be found.
    """

    kinds = (Kind.VIDEO,)

    def __init__(self, trained: TrainedModel, actions: Mapping[int, str] | None = None) -> None:
        self.trained = trained
        self.names = (
            dict(actions or {}) or (trained.meta.get('dataset_meta') or {}).get('actions') or self._names_of_config()
        )
        self.fps = trained.test_set.get('fps', 30)
        # The video is open already, and a crop would hide the persons at the edges.
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
        """Actions in a video.

        Args:
            video: The file, of any length and rate; a clip that is too short repeats its first and last frames.
            boxes: Persons by seconds from the beginning, as x1, y1, x2, y2 in pixels; then only these seconds are
                looked at, and no detector is needed.
            persons: What finds them otherwise.
            step: Seconds for each of which persons are looked for, in the frame in its middle.
            score_thr: Least score of an action.

        Returns:
            ``dict(video=..., width=..., height=..., fps=..., predictions=[...])``; each prediction has a ``timestamp``
            in seconds and ``persons``, each of these a ``bbox`` in pixels, a ``bbox_score``, and ``actions`` with
            ``id``, ``name`` and ``score``, the surest first.

        Raises:
            BrokenFileError: if the video can't be read.
            UserError: if there are neither boxes nor what finds persons, or boxes outside this video.
        """
        reader = open_video(video)
        height, width = reader.frames([0])[0].shape[:2]
        sides = np.array([width, height, width, height])
        found = _found(reader, step, persons) if boxes is None else _given(boxes, reader, sides)
        predictions = [
            dict(timestamp=second, persons=self._act(reader, second, there, sides, score_thr))
            for second, there in track(found.items(), 'Recognising actions', total=len(found))
        ]
        return dict(video=str(video), width=width, height=height, fps=reader.rate, predictions=predictions)

    def _names_of_config(self) -> Mapping[int, str]:
        label_file = self.trained.test_set.get('label_file')
        if label_file is None or not Path(label_file).is_file():
            named = f" and the action list '{label_file}' that its config names is not here" if label_file else ''
            raise UserError(
                f"'{self.trained.source}' does not tell the names of its actions{named}; give an action list: "
                '--classes FILE.pbtxt.'
            )
        return read_action_list(label_file)

    def _act(
        self, reader: FrameReader, second: float, persons: Persons, sides: np.ndarray, score_thr: float
    ) -> list[dict]:
        boxes, scores = persons
        if not len(boxes):
            return []
        clip = dict(video_reader=reader, total_frames=len(reader), avg_fps=reader.rate, fps=self.fps, modality='RGB')
        clip.update(timestamp=second, timestamp_start=0, proposals=boxes, gt_bboxes=boxes)
        # The pipeline packs annotations; there are none.
        packed = self.pipeline(dict(clip, gt_labels=np.zeros((len(boxes), 1), np.float32)))
        with torch.no_grad():
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
        # The first of them stands for the background.
        surest = [int(action) for action in np.argsort(-scores[1:]) + 1 if scores[action] >= score_thr]
        return [dict(id=a, name=self.names.get(a, f'action {a}'), score=round(float(scores[a]), 4)) for a in surest]


def labels_at(result: dict) -> dict[float, list[Label]]:
    """What is drawn for a result of :meth:`ActionDetector.predict`, by seconds."""
    return {
        prediction['timestamp']: [
            Label(person['bbox'], [f'{a["name"]} {a["score"]:.2f}' for a in person['actions'][:SHOWN]])
            for person in prediction['persons']
        ]
        for prediction in result['predictions']
    }


class PersonFinder:
    """A frame, RGB ``(H, W, 3)``, to boxes ``(N, 4)`` in parts of its sides and scores ``(N,)``.

    Args:
        detector: A mmdet detector.
        score_thr: Least score of a person.
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
                f"'{known[0]}'; name those that count as persons with det_classes."
            )
        self.wanted = [known.index(name) for name in classes]
        self.detector, self.score_thr = detector, score_thr

    def __call__(self, frame: np.ndarray) -> Persons:
        found: Any = self.detector.predict(frame)
        height, width = frame.shape[:2]
        kept = (found.scores >= self.score_thr) & np.isin(found.labels, self.wanted)
        boxes = (found.boxes[kept] / [width, height, width, height]).clip(0, 1)
        return boxes.astype(np.float32), found.scores[kept]


def _found(reader: FrameReader, step: float, persons: 'PersonFinder | None') -> dict[float, Persons]:
    if persons is None:
        raise UserError('Give boxes of the persons, or a detector that finds them.')
    if step <= 0:
        raise UserError(f"The time between two looks for persons, 'step', must be over 0 seconds, but is {step}.")
    starts = np.arange(0, reader.duration, step)
    middles = (starts + np.minimum(starts + step, reader.duration)) / 2
    found = {}
    for frame in track(np.unique(frames_at(reader, middles)).tolist(), 'Looking for persons'):
        found[float(reader.times[frame])] = persons(reader.frames([frame])[0])
    if not any(len(scores) for _, scores in found.values()):
        print_log(
            f"No person was found in any of the {len(found)} frames looked at in '{reader.path}'; lower "
            f'det_score_thr ({persons.score_thr}) if there are some.',
            logger='current',
            level=30,
        )
    return found


def _given(boxes: Mapping, reader: FrameReader, sides: np.ndarray) -> dict[float, Persons]:
    """A user's boxes in parts of the frame's sides, and scores of 1, by seconds."""
    if not boxes:
        raise UserError('There are no boxes; give some by seconds, such as {1.5: [[x1, y1, x2, y2]]}.')
    found = {}
    for second, given in sorted(boxes.items(), key=lambda item: float(item[0])):
        try:
            corners = np.array(given, np.float32).reshape(-1, 4)
        except ValueError as error:
            raise UserError(f'The boxes at second {second} are no lists of x1, y1, x2, y2: {given}.') from error
        inside = (corners >= 0).all() and (corners <= sides).all() and (corners[:, :2] < corners[:, 2:]).all()
        if not 0 <= float(second) <= reader.duration or not inside:
            raise UserError(
                f"The boxes {given} at second {second} are not in '{reader.path}', which has {sides[0]} x {sides[1]} "
                f'pixels and {reader.duration:.1f} seconds; give x1, y1, x2, y2 in pixels.'
            )
        found[float(second)] = corners / sides, np.ones(len(corners))
    return found
