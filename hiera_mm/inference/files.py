"""Predictions for files: written in formats that other programs read, drawn, and gone on with after an interruption."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import BrokenFileError
from hiera_mm.inference.action_detector import ActionDetector, Boxes, PersonFinder, labels_at
from hiera_mm.inference.classifier import FRAME_RATE, Classifier
from hiera_mm.inference.detector import Detector, Tiles
from hiera_mm.inference.outputs import (
    Numbers,
    write_actions,
    write_classes,
    write_coco,
    write_labels,
    write_mask,
    write_millilitres,
    write_shares,
)
from hiera_mm.inference.predictor import Predictor
from hiera_mm.inference.progress import Progress
from hiera_mm.inference.results import Detections, Segmentation
from hiera_mm.inference.segmenter import Segmenter
from hiera_mm.inference.visualization import Label, draw, draw_found, draw_regions, labels_of, write_annotated
from hiera_mm.inference.volume_segmenter import VolumeSegmenter
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.readers.streams import Stream
from hiera_mm.readers.video_index import broken
from hiera_mm.readers.videos import VideoFile, open_video
from hiera_mm.readers.write_video import write_video

import numpy as np
from PIL import Image
from rich.progress import track

OF_FRAMES = (Kind.PICTURE, Kind.VIDEO, Kind.STREAM)
TAKES = {
    Detector: OF_FRAMES,
    Segmenter: OF_FRAMES,
    ActionDetector: (Kind.VIDEO,),
    VolumeSegmenter: (Kind.VOLUME,),
}
MASKS = 'masks'
"""Folder of the pictures that hold numbers of classes."""


def kinds_taken(predictor: Predictor) -> tuple[Kind, ...]:
    """What may be asked of a model."""
    if isinstance(predictor, Classifier):
        return (Kind.PICTURE,) if predictor.of_pictures else (Kind.VIDEO, Kind.FRAMES)
    return TAKES[type(predictor)]


class Outcome:
    """Of many inputs.

    Args:
        folder: Of the results.
        settings: What they depend on.
        inputs: All that were asked for.

    Attributes:
        left: Those that an interrupted run with the same settings has not done.
        broken: A sentence for each that can't be read.
        progress: What was predicted.
    """

    def __init__(self, folder: Path, settings: dict, inputs: Sequence[Input]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        versions = {entry.name: entry.version for entry in inputs}
        self.progress, self.broken = Progress(folder, settings, versions), list[str]()
        self.left = [entry for entry in inputs if entry.name not in self.progress.done]

    @contextmanager
    def unless_broken(self) -> Iterator[None]:
        """What is inside is for one input."""
        try:
            yield
        except BrokenFileError as error:
            self.broken.append(str(error))

    def close(self) -> None:
        """Everything is written where it belongs; an input that was broken may be mended, and the rest is kept for that
        time."""
        self.progress.close(remove=not self.broken)


def detect_in_files(
    detector: Detector,
    inputs: Sequence[Input],
    folder: Path,
    batch_size: int = 1,
    score_thr: float = 0.3,
    drawn: bool = True,
    interval: int = 1,
    tiles: Tiles | None = None,
    ann_file: str | None = None,
) -> Outcome:
    """Write ``predictions.json`` and ``images.json`` (see :func:`hiera_mm.inference.outputs.write_coco`), and each
    picture and video again with its objects.

    Args:
        detector: The model.
        inputs: Pictures, videos and streams.
        folder: Where to.
        batch_size: Pictures or frames that are computed together.
        score_thr: Least score of what is drawn; the files hold all that the model gives.
        drawn: Whether to draw.
        interval: Of a video, every first of so many frames is looked at; the others show what was found in it.
        tiles: How to cut large pictures.
        ann_file: COCO's, whose numbers of pictures and categories are taken.

    Raises:
        UserError: if the annotation file does not fit.
    """
    numbers = Numbers(detector.names, ann_file)
    settings = dict(model=detector.trained.version, classes=detector.names, interval=interval, tiles=tiles)
    outcome = Outcome(folder, dict(settings, drawn=drawn, score_thr=score_thr, ann_file=ann_file), inputs)
    pictures = {
        entry: dict(img_path=entry.source, **numbers.size_of(entry.name))
        for entry in outcome.left
        if entry.kind is Kind.PICTURE
    }
    for entry, found in _each(partial(detector.predict, tiles=tiles), pictures, batch_size, outcome):
        if drawn:
            _write_picture(folder / entry.name, draw_found(detector.decoded(pictures[entry]), found, score_thr))
        outcome.progress.add(entry.name, as_entry(found))
        outcome.progress.finish(entry.name)
    watch = partial(detector.stream, batch_size=batch_size, interval=interval, tiles=tiles)
    for entry in (entry for entry in outcome.left if entry.kind is not Kind.PICTURE):
        with outcome.unless_broken():
            reader = _reader_of(entry)
            frames = _watched(watch, reader, entry.name, outcome.progress, score_thr)
            if drawn:
                write_video(_beside(folder, entry.name, '.mp4'), frames, reader.rate, reader.times)
            else:
                deque(frames, maxlen=0)
            outcome.progress.finish(entry.name)
    write_coco(folder, outcome.progress.entries(), numbers)
    outcome.close()
    return outcome


def segment_files(
    segmenter: Segmenter,
    inputs: Sequence[Input],
    folder: Path,
    batch_size: int = 1,
    drawn: bool = True,
    interval: int = 1,
) -> Outcome:
    """Write ``masks/NAME.png`` (of a video ``masks/NAME/FRAME.png``), whose pixels are the numbers of classes, each
    picture and video again with its classes in colours, and ``predictions.csv``, the part that each class has.

    Args:
        segmenter: The model.
        inputs: Pictures, videos and streams.
        folder: Where to.
        batch_size: Pictures or frames that are computed together.
        drawn: Whether to draw.
        interval: Of a video, every first of so many frames is looked at; the others show what was found in it.
    """
    settings = dict(model=segmenter.trained.version, classes=segmenter.names, interval=interval, drawn=drawn)
    outcome = Outcome(folder, settings, inputs)
    pictures = {entry: entry.source for entry in outcome.left if entry.kind is Kind.PICTURE}
    for entry, found in _each(segmenter.predict, pictures, batch_size, outcome):
        if drawn:
            _write_picture(folder / entry.name, draw_regions(segmenter.decoded(entry.source), found))
        write_mask(folder / MASKS / _as_png(entry.name), found)
        outcome.progress.add(entry.name, dict(shares=_rounded(found)))
        outcome.progress.finish(entry.name)
    watch = partial(segmenter.stream, batch_size=batch_size, interval=interval)
    for entry in (entry for entry in outcome.left if entry.kind is not Kind.PICTURE):
        with outcome.unless_broken():
            reader = _reader_of(entry)
            frames = _segmented(watch, reader, entry.name, outcome.progress, folder / MASKS / entry.name)
            if drawn:
                write_video(_beside(folder, entry.name, '.mp4'), frames, reader.rate, reader.times)
            else:
                deque(frames, maxlen=0)
            outcome.progress.finish(entry.name)
    write_shares(folder, outcome.progress.entries(), segmenter.names)
    outcome.close()
    return outcome


def segment_volumes(segmenter: VolumeSegmenter, inputs: Sequence[Input], folder: Path) -> Outcome:
    """Write ``masks/NAME``, NIfTI files whose voxels are the numbers of classes, in the places of the volume's own, and
    ``predictions.csv``, the millilitres that each class has.

    Args:
        segmenter: The model.
        inputs: Volumes.
        folder: Where to.
    """
    outcome = Outcome(folder, dict(model=segmenter.trained.version, classes=segmenter.names), inputs)
    files = {entry: entry.source for entry in outcome.left}
    for entry, found in _each(segmenter.predict, files, 1, outcome):
        write_labels(folder / MASKS / entry.name, found)
        outcome.progress.add(entry.name, dict(millilitres=[round(v, 3) for v in found.millilitres().values()]))
        outcome.progress.finish(entry.name)
    write_millilitres(folder, outcome.progress.entries(), segmenter.names)
    outcome.close()
    return outcome


def classify_files(
    classifier: Classifier,
    inputs: Sequence[Input],
    folder: Path,
    batch_size: int = 1,
    topk: int = 5,
    rate: float = FRAME_RATE,
) -> Outcome:
    """Write ``predictions.csv`` with the surest classes of each input.

    Args:
        classifier: The model.
        inputs: Pictures, or videos and folders of frames.
        folder: Where to.
        batch_size: Inputs that are computed together.
        topk: How many classes of each.
        rate: Frames a second at which the frames in folders were extracted.
    """
    settings = dict(model=classifier.trained.version, classes=classifier.names, topk=topk, rate=rate)
    outcome = Outcome(folder, settings, inputs)
    files = {entry: entry.source for entry in outcome.left}
    for entry, found in _each(partial(classifier.predict, rate=rate), files, batch_size, outcome):
        outcome.progress.add(entry.name, dict(classes=[[name, round(score, 5)] for name, score in found.top(topk)]))
        outcome.progress.finish(entry.name)
    write_classes(folder, outcome.progress.entries())
    outcome.close()
    return outcome


def act_in_files(
    detector: ActionDetector,
    inputs: Sequence[Input],
    folder: Path,
    boxes: Boxes | None = None,
    persons: PersonFinder | None = None,
    step: float = 1.0,
    score_thr: float = 0.5,
    drawn: bool = True,
) -> Outcome:
    """Write ``NAME_actions.json`` for each video, see :meth:`ActionDetector.predict`, and ``NAME_actions.mp4``.

    Args:
        detector: The model.
        inputs: Videos.
        folder: Where to.
        boxes, persons, step, score_thr: As for :meth:`ActionDetector.predict`.
        drawn: Whether to write the videos.
    """
    finder = persons and dict(
        model=persons.detector.trained.version, score_thr=persons.score_thr, wanted=persons.wanted
    )
    settings = dict(model=detector.trained.version, boxes=boxes, persons=finder, step=step, score_thr=score_thr)
    outcome = Outcome(folder, dict(settings, drawn=drawn), inputs)
    for entry in outcome.left:
        with outcome.unless_broken():
            result = detector.predict(entry.source, boxes, persons, step, score_thr)
            name = Path(entry.name).with_suffix('').as_posix()
            write_actions(_beside(folder, name, '_actions.json'), result)
            if drawn:
                reader = open_video(entry.source)
                write_annotated(_beside(folder, name, '_actions.mp4'), reader, labels_at(result))
            outcome.progress.finish(entry.name)
    outcome.close()
    return outcome


def _each(predict: Callable, given: dict[Input, Any], batch_size: int, outcome: Outcome) -> Iterator[tuple[Input, Any]]:
    """Each input that can be read with its result; those of a batch with a broken file one by one."""
    entries = list(given)
    starts = range(0, len(entries), batch_size)
    for batch in (entries[start : start + batch_size] for start in track(starts, 'Predicting', disable=not entries)):
        try:
            yield from zip(batch, predict([given[entry] for entry in batch]), strict=True)
        except BrokenFileError:
            for entry in batch:
                with outcome.unless_broken():
                    yield entry, predict(given[entry])


def _reader_of(entry: Input) -> VideoFile | Stream:
    return Stream(entry.source) if entry.kind is Kind.STREAM else open_video(entry.source)


def _watched(
    watch: Callable, reader: VideoFile | Stream, name: str, progress: Progress, score_thr: float
) -> Iterator[np.ndarray]:
    """The frames as they are drawn; what is found in them is kept."""
    shown: list[Label] = []
    for place, frame, found in _seen(watch, reader, name):
        if found is not None:
            progress.add(name, place | as_entry(found))
            shown = labels_of(found.above(score_thr))
        yield draw(frame, shown)


def _segmented(
    watch: Callable, reader: VideoFile | Stream, name: str, progress: Progress, masks: Path
) -> Iterator[np.ndarray]:
    """The frames as they are drawn; their masks are written."""
    shown: Segmentation
    for place, frame, found in _seen(watch, reader, name):
        if found is not None:
            progress.add(name, place | dict(shares=_rounded(found)))
            write_mask(masks / f'{place["frame"]:06d}.png', found)
            shown = found
        yield draw_regions(frame, shown)


def _seen(watch: Callable, reader: VideoFile | Stream, name: str) -> Iterator[tuple[dict, np.ndarray, Any]]:
    """Number and time of each frame, the frame, and what is found in it.

    Raises:
        BrokenFileError: if not all frames come out.
    """
    total = len(reader) if isinstance(reader, VideoFile) else None
    number = -1
    for number, (frame, found) in enumerate(track(watch(iter(reader)), name, total=total)):
        yield dict(frame=number, time=round(float(reader.times[number]), 6)), frame, found
    if number < 0:
        raise BrokenFileError(f"'{name}' gives no frames; check that it is a video, and that it is sent.")
    if isinstance(reader, VideoFile):
        must_be_whole(reader, number + 1)


def _rounded(found: Segmentation) -> list[float]:
    return [round(share, 5) for share in found.shares().values()]


def _as_png(name: str) -> Path:
    """Pictures of one name with several endings keep theirs."""
    path = Path(name)
    return path if path.suffix == '.png' else path.with_name(path.name + '.png')


def must_be_whole(reader: VideoFile, count: int) -> None:
    """
    Raises:
        BrokenFileError: if so many frames are not all.
    """
    if count < len(reader):
        raise broken(reader.path, f'{count} of its {len(reader)} frames come out')


def as_entry(found: Detections) -> dict:
    """As JSON takes it: ``width``, ``height`` and ``objects``, see :meth:`Detections.to_coco`."""
    return dict(width=found.size[1], height=found.size[0], objects=list(found.to_coco()))


def _write_picture(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        Image.fromarray(picture).save(unfinished, format=Image.registered_extensions()[path.suffix.lower()])


def _beside(folder: Path, name: str, ending: str) -> Path:
    path = folder / name
    path = path if path.suffix == ending else path.with_name(path.name + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
