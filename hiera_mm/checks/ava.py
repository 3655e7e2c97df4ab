"""Checks data in AVA's format."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.checks.videos import other_size_at_reading
from hiera_mm.datasets.ava import locate_videos
from hiera_mm.datasets.video import OpenVideo
from hiera_mm.errors import BrokenFileError, examples
from hiera_mm.readers.ava_files import Row, frame_key, read_action_list, read_exclusions, read_proposals, read_rows
from hiera_mm.readers.frame_folders import FrameFolder
from hiera_mm.readers.frames import FrameReader

import numpy as np
from mmengine.config import ConfigDict


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of an ``AVAClipDataset``."""
    dataset, files = part.dataset, Files(part.dataset)
    for sentence in _faults_of_files(part, files):
        yield Fault(Severity.BLOCKS, sentence)
    if wrong := other_size_at_reading(part):
        yield Fault(Severity.BLOCKS, wrong)
    if part.before_training:
        return
    rows = [row for row in files.rows if row.key not in files.excluded]
    lines = [f'line {row.line}' for row in rows if row.box[0] >= row.box[2] or row.box[1] >= row.box[3]]
    if lines:
        yield Fault(
            Severity.FAULT,
            f"{part.key}: the boxes of {examples(lines)} in '{dataset.ann_file}' are empty; x2 must exceed x1, and y2 "
            'must exceed y1.',
        )
    unlisted = sorted({row.action for row in rows} - set(files.actions)) if files.actions else []
    if unlisted:
        yield Fault(
            Severity.NOTE,
            f"{part.key}: {examples(unlisted)} of the actions in '{dataset.ann_file}' are not in the list "
            f"'{dataset.label_file}': they are trained, but not scored (like 20 of AVA's 80).",
        )
    yield from _notes_on_proposals(part, rows, files.proposals)
    yield from _faults_of_videos(part, rows)


def faults_of_metric(key: str, metric: ConfigDict, class_places: Sequence[tuple[str, int]]) -> Iterator[Fault]:
    """Faults of an evaluator: files that are missing, not in AVA's formats, or don't belong together."""
    rows, actions = read_rows(metric.ann_file), read_action_list(metric.label_file)
    if metric.get('exclude_file'):
        read_exclusions(metric.exclude_file)
    if not {row.action for row in rows} & set(actions):
        yield Fault(
            Severity.BLOCKS,
            f"No action of '{metric.ann_file}' is in the list '{metric.label_file}' of {key}, so nothing can be "
            'scored; correct label_file.',
        )
    for sentence in _faults_of_class_count(key, metric, class_places):
        yield Fault(Severity.BLOCKS, sentence)


class Files:
    """The contents of a data set's files, each read once when first needed; empty if the config names no such file."""

    def __init__(self, dataset: ConfigDict) -> None:
        self.dataset = dataset

    @cached_property
    def rows(self) -> list[Row]:
        return read_rows(self.dataset.ann_file)

    @cached_property
    def excluded(self) -> set[str]:
        return read_exclusions(self.dataset.exclude_file) if self.dataset.get('exclude_file') else set()

    @cached_property
    def actions(self) -> dict[int, str]:
        return read_action_list(self.dataset.label_file) if self.dataset.get('label_file') else {}

    @cached_property
    def proposals(self) -> dict[str, np.ndarray]:
        return read_proposals(self.dataset.proposal_file) if self.dataset.get('proposal_file') else {}


def _faults_of_files(part: DataPart, files: Files) -> Iterator[str]:
    """Faults of the files' contents.

    Raises:
        UserError: for a file that can't be read.
    """
    key, dataset, loader = part.key, part.dataset, part.loader
    yield from _faults_of_class_count(key, dataset, part.class_places)
    if dataset.get('test_mode') and loader.get('batch_size', 1) > 1:
        yield (
            f'{key}: the action head predicts one clip at a time, but batch_size is {loader.batch_size}; set '
            f'{part.loader_key}.batch_size=1.'
        )
    rows = files.rows
    classes = dataset.get('num_classes', 81)
    place = f"in '{dataset.ann_file}' of {key}"
    lines = [f'line {row.line}' for row in rows if not 1 <= row.action < classes]
    if lines:
        yield (
            f'The actions of {examples(lines)} {place} are outside 1 to {classes - 1}; correct them, or set '
            'num_classes in the data set, model.roi_head.bbox_head and evaluators to the highest number plus one.'
        )
    lines = [f'line {row.line}' for row in rows if not all(0 <= corner <= 1 for corner in row.box)]
    if lines:
        yield (
            f'The boxes of {examples(lines)} {place} leave the frame; x1, y1, x2, y2 are fractions of the width and '
            'height of the frame, from 0 to 1.'
        )
    if files.excluded >= {row.key for row in rows}:
        yield f"All annotated seconds {place} are excluded by '{dataset.exclude_file}'; correct exclude_file."
    # Reading the action list checks it.
    _, proposals = files.actions, files.proposals
    if proposals:
        yield from _faults_of_proposals(part, rows, proposals)
    prefix = dataset.get('data_prefix', {})
    locate_videos(prefix)
    source, folder = next(iter(prefix.items()))
    if not Path(folder).is_dir():
        yield (
            f"The folder '{folder}' of {key} does not exist; put the {'frames' if source == 'img' else 'videos'} there "
            f'or set it with --cfg-options {key}.data_prefix.{source}=FOLDER.'
        )


def _faults_of_class_count(key: str, part: ConfigDict, class_places: Sequence[tuple[str, int]]) -> Iterator[str]:
    classes = part.get('num_classes', 81)
    for model_key, predicted in class_places:
        if classes != predicted:
            yield (
                f'The model predicts {predicted} classes ({model_key}, with the background), but {key}.num_classes is '
                f'{classes}; make them the same.'
            )


def _faults_of_proposals(part: DataPart, rows: list[Row], proposals: dict[str, np.ndarray]) -> Iterator[str]:
    place = f"'{part.dataset.proposal_file}' of {part.key}"
    wrong = [name for name in proposals if not re.fullmatch(r'.+,\d{4,}', name)]
    wanted = _proposal_keys(part, rows)
    if wrong or not wanted & proposals.keys():
        yield (
            f"The proposals in {place} are under keys such as '{next(iter(wrong or proposals))}', where annotated "
            f"seconds have keys such as '{min(wanted)}': the video, a comma and the second in four digits; rename them."
        )
    outside = [
        name
        for name, boxes in proposals.items()
        if not (boxes.min() >= 0 and boxes.max() <= 1 and (boxes[:, 2:4] >= boxes[:, :2]).all())
    ]
    if outside:
        yield (
            f'The proposals in {place} have boxes or scores outside 0 to 1, or corners in the wrong order, for '
            f"{examples(outside)}; x1, y1, x2, y2 are fractions of the frame's sides, and the fifth column is a score."
        )


def _notes_on_proposals(part: DataPart, rows: list[Row], proposals: dict[str, np.ndarray]) -> Iterator[Fault]:
    key, dataset = part.key, part.dataset
    scoreless = [name for name, boxes in proposals.items() if boxes.shape[1] == 4]
    if scoreless:
        yield Fault(
            Severity.FAULT,
            f"{key}: the proposals for {examples(scoreless)} in '{dataset.proposal_file}' have no fifth column with "
            'scores, so person_det_score_thr cannot filter them; add one (1.0 for a certain box).',
        )
    wanted = _proposal_keys(part, rows)
    missing = sorted(wanted - proposals.keys())
    if proposals and missing:
        yield Fault(
            Severity.NOTE,
            f'{key}: {examples(missing)} of the {len(wanted)} annotated seconds have no proposals in '
            f"'{dataset.proposal_file}'; the whole frame is taken as one person there.",
        )


def _faults_of_videos(part: DataPart, rows: list[Row]) -> Iterator[Fault]:
    key, dataset = part.key, part.dataset
    seconds: dict[str, set[int]] = {}
    for row in rows:
        seconds.setdefault(row.video_id, set()).add(row.timestamp)
    place_of, fps = locate_videos(dataset.data_prefix), dataset.get('fps', 30)
    naming = dict(
        filename_tmpl=dataset.get('filename_tmpl', 'img_{:05}.jpg'), start_index=dataset.get('start_index', 1), fps=fps
    )
    other_rates = {}
    for name in sample(sorted(seconds), part.count):
        try:
            reader = OpenVideo()(dict(naming, **place_of(name)))['video_reader']
            for sentence in _faults_of_seconds(part, name, reader, sorted(seconds[name])):
                yield Fault(Severity.FAULT, sentence)
            if abs(reader.rate / fps - 1) > 0.01:
                other_rates[name] = reader.rate
        except BrokenFileError as error:
            yield Fault(Severity.FAULT, f'{key}: {error}')
    if other_rates:
        shown = examples([f'{name} with {rate:g}' for name, rate in other_rates.items()])
        yield Fault(
            Severity.NOTE,
            f'{key}: {shown} of the videos have a rate other than {fps} frames a second (fps); their clips are '
            f'taken at {fps} by repeating or leaving out frames.',
        )


def _faults_of_seconds(part: DataPart, name: str, reader: FrameReader, seconds: list[int]) -> Iterator[str]:
    key, dataset = part.key, part.dataset
    starts_at = part.dataset_class.starts_at(name, dataset.get('timestamp_start', 900))
    ends_at = starts_at + reader.duration
    outside = [second for second in seconds if not starts_at <= second <= ends_at]
    if outside:
        yield (
            f"{key}: '{name}' has no frames for {examples(outside)} of its annotated seconds: its {len(reader)} frames "
            f'at {reader.rate:g} a second reach from second {starts_at} (timestamp_start) to {ends_at:.1f}; correct '
            f'timestamp_start, or extract the frames again, {dataset.get("fps", 30)} a second (fps).'
        )
        return
    if isinstance(reader, FrameFolder):
        frames = {second: round((second - starts_at) * reader.rate) for second in seconds}
        missing = [s for s, frame in frames.items() if not reader.file(min(frame, len(reader) - 1)).is_file()]
        if missing:
            yield f"{key}: '{reader.path}' lacks the frames of {examples(missing)} seconds; extract them again."
    else:
        reader.frames([0, len(reader) // 2, len(reader) - 1])


def _proposal_keys(part: DataPart, rows: list[Row]) -> set[str]:
    return {frame_key(part.dataset_class.film_of(row.video_id), row.timestamp) for row in rows}
