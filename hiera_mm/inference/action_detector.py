"""Who does what, and when: a video in, actions of persons out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.checks.fault import class_of, classes_of
from hiera_mm.datasets.ava import AVAClipDataset
from hiera_mm.errors import UserError
from hiera_mm.inference.models import in_scope, load_model
from hiera_mm.inference.visualization import Label, write_annotated
from hiera_mm.readers.ava_files import read_action_list
from hiera_mm.readers.frames import FrameReader, frames_at
from hiera_mm.readers.videos import VideoFile, open_video

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.apis import inference_detector
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.logging import print_log
from rich.progress import track

Persons = tuple[np.ndarray, np.ndarray]
"""Boxes ``(N, 4)`` in parts of the frame's sides, and scores ``(N,)``."""

SHOWN = 3
"""Actions written above a person in the video."""


class ActionDetector:
    """Finds persons in a video and says what each does, once for every step of time.

    Args:
        config, checkpoint: Of an action detector, such as ``configs/ava_hiera_l.py`` and what training it wrote.
        det_config, det_checkpoint: Of a mmdet detector that finds persons; not needed where boxes are given.
        det_score_thr: Least score of a person.
        det_classes: Names of the detector's classes that count as persons.
        action_score_thr: Least score of an action.
        label_file: Action list with the names; by default that of the config's test set.
        device: Such as ``'cuda:0'``; by default a GPU if there is one.

    Raises:
        UserError: for files that can't be read or don't belong together, and classes the detector does not know.
    """

    def __init__(
        self,
        config: str,
        checkpoint: str,
        det_config: str | None = None,
        det_checkpoint: str | None = None,
        det_score_thr: float = 0.8,
        det_classes: Sequence[str] = ('person',),
        action_score_thr: float = 0.5,
        label_file: str | None = None,
        device: str | None = None,
    ) -> None:
        device = device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
        if (det_config is None) != (det_checkpoint is None):
            raise UserError('A person detector needs both det_config and det_checkpoint.')
        self.model, self.config, _ = load_model(config, checkpoint, device)
        dataset = self.config.test_dataloader.dataset
        kind = class_of(dataset, self.config.get('default_scope'))
        if kind is None or not issubclass(kind, AVAClipDataset):
            raise UserError(f"The config '{config}' is not for action detection; take one such as ava_hiera_l.py.")
        self.fps = dataset.get('fps', 30)
        label_file = label_file or dataset.get('label_file')
        if label_file is None:
            raise UserError(f"The test set of '{config}' names no action list; give one as label_file.")
        self.names = read_action_list(label_file)
        self.action_score_thr = action_score_thr
        # The video is open already, and a crop would hide the persons at the edges.
        steps = [step for step in dataset.pipeline if step.type not in ('OpenVideo', 'CenterCrop')]
        with in_scope(self.config):
            self.pipeline = Compose(steps)
        self.persons = None
        if det_config is not None and det_checkpoint is not None:
            self.persons = PersonFinder(det_config, det_checkpoint, det_score_thr, det_classes, device)

    def __call__(
        self,
        video: str | Path,
        boxes: Mapping[float, Sequence[Sequence[float]]] | None = None,
        step: float = 1.0,
        out_dir: str | Path | None = None,
    ) -> dict:
        """Actions in a video, also as ``out_dir/NAME_actions.json`` and the video ``out_dir/NAME_actions.mp4``.

        Args:
            video: The file, of any length and rate; a clip that is too short repeats its first and last frames.
            boxes: Persons by seconds from the beginning, as x1, y1, x2, y2 in pixels; then only these seconds are
                looked at, and no detector is needed.
            step: Seconds for each of which persons are looked for, in the frame in its middle.
            out_dir: Nothing is written without it.

        Returns:
            ``dict(video=..., width=..., height=..., fps=..., predictions=[...])``; each prediction has a ``timestamp``
            in seconds and ``persons``, each of these a ``bbox`` in pixels, a ``bbox_score``, and ``actions`` with
            ``id``, ``name`` and ``score``, the surest first.

        Raises:
            BrokenFileError: if the video can't be read.
            UserError: if there are neither boxes nor a detector, or boxes outside this video.
        """
        reader = open_video(video)
        height, width = reader.frames([0])[0].shape[:2]
        sides = np.array([width, height, width, height])
        found = self._found(reader, step) if boxes is None else _given(boxes, reader, sides)
        predictions = [
            dict(timestamp=second, persons=self._act(reader, second, boxes_there, scores, sides))
            for second, (boxes_there, scores) in track(found.items(), 'Recognising actions', total=len(found))
        ]
        result = dict(video=str(video), width=width, height=height, fps=reader.rate, predictions=predictions)
        if out_dir is not None:
            self._write(result, reader, Path(out_dir), Path(video).stem)
        return result

    def _found(self, reader: FrameReader, step: float) -> dict[float, Persons]:
        if self.persons is None:
            raise UserError('Give boxes of the persons, or det_config and det_checkpoint of a detector to find them.')
        if step <= 0:
            raise UserError(f"The time between two looks for persons, 'step', must be over 0 seconds, but is {step}.")
        starts = np.arange(0, reader.duration, step)
        middles = (starts + np.minimum(starts + step, reader.duration)) / 2
        found = {}
        for frame in track(np.unique(frames_at(reader, middles)).tolist(), 'Looking for persons'):
            found[float(reader.times[frame])] = self.persons(reader.frames([frame])[0])
        if not any(len(scores) for _, scores in found.values()):
            print_log(
                f"No person was found in any of the {len(found)} frames looked at in '{reader.path}'; lower "
                f'det_score_thr ({self.persons.score_thr}) if there are some.',
                logger='current',
                level=30,
            )
        return found

    def _act(
        self, reader: FrameReader, second: float, boxes: np.ndarray, scores: np.ndarray, sides: np.ndarray
    ) -> list[dict]:
        if not len(boxes):
            return []
        clip = dict(video_reader=reader, total_frames=len(reader), avg_fps=reader.rate, fps=self.fps, modality='RGB')
        clip.update(timestamp=second, timestamp_start=0, proposals=boxes, gt_bboxes=boxes)
        # The pipeline packs annotations; there are none.
        packed = self.pipeline(dict(clip, gt_labels=np.zeros((len(boxes), 1), np.float32)))
        with torch.no_grad():
            batch = dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']])
            predicted = self.model.test_step(batch)[0].pred_instances
        return [
            dict(
                bbox=(box * sides).round(2).tolist(),
                bbox_score=round(float(score), 4),
                actions=self._named(action_scores),
            )
            for box, score, action_scores in zip(boxes, scores, predicted.scores.cpu().numpy(), strict=True)
        ]

    def _named(self, scores: np.ndarray) -> list[dict]:
        # The first of them stands for the background.
        surest = [int(action) for action in np.argsort(-scores[1:]) + 1 if scores[action] >= self.action_score_thr]
        return [dict(id=a, name=self.names.get(a, f'action {a}'), score=round(float(scores[a]), 4)) for a in surest]

    def _write(self, result: dict, reader: VideoFile, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / f'{name}_actions.json') as unfinished:
            unfinished.write_text(json.dumps(result, indent=1))
        labels = {
            prediction['timestamp']: [
                Label(person['bbox'], [f'{a["name"]} {a["score"]:.2f}' for a in person['actions'][:SHOWN]])
                for person in prediction['persons']
            ]
            for prediction in result['predictions']
        }
        write_annotated(folder / f'{name}_actions.mp4', reader, labels)


class PersonFinder:
    """A mmdet detector: a frame, RGB ``(H, W, 3)``, to boxes ``(N, 4)`` in parts of its sides and scores ``(N,)``."""

    def __init__(self, config: str, checkpoint: str, score_thr: float, classes: Sequence[str], device: str) -> None:
        self.model, cfg, content = load_model(config, checkpoint, device)
        self.model.cfg = cfg
        trained = content.get('meta', {}).get('dataset_meta', {}).get('classes')
        known = list(trained or _classes_of_test_set(self.model.cfg))
        absent = [name for name in classes if name not in known]
        if absent:
            raise UserError(
                f"The detector '{config}' has no class '{absent[0]}' among its {len(known)}, such as "
                f"'{known[0]}'; name those that count as persons with det_classes."
            )
        self.wanted = [known.index(name) for name in classes]
        self.score_thr = score_thr
        pipeline = get_test_pipeline_cfg(self.model.cfg)
        pipeline[0].type = 'mmdet.LoadImageFromNDArray'
        with in_scope(self.model.cfg):
            self.pipeline = Compose(pipeline)

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with in_scope(self.model.cfg):
            found = inference_detector(self.model, frame[..., ::-1], self.pipeline).pred_instances.cpu().numpy()
        height, width = frame.shape[:2]
        kept = (found.scores >= self.score_thr) & np.isin(found.labels, self.wanted)
        boxes = (found.bboxes[kept] / [width, height, width, height]).clip(0, 1)
        return boxes.astype(np.float32), found.scores[kept]


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


def _classes_of_test_set(config: Config) -> list[str]:
    dataset = config.test_dataloader.dataset
    return classes_of(dataset, class_of(dataset, config.get('default_scope')))
