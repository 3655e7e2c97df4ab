"""Predictions for many files: batch by batch, resumed after an interruption, with broken files set aside."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.explain import describe
from hiera_mm.inference.progress import Progress
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.readers.streams import Stream
from hiera_mm.readers.video_index import broken
from hiera_mm.readers.videos import VideoFile, open_video
from hiera_mm.readers.write_video import write_video

import numpy as np
from PIL import Image
from rich.progress import track


class Outcome:
    """The state of a prediction of many inputs.

    Args:
        folder: Output folder.
        settings: Everything that the results depend on besides the inputs.
        inputs: All inputs.

    Attributes:
        left: The inputs that an interrupted run with the same settings has not finished.
        broken: A sentence for each input that can't be read.
        progress: The results so far.
    """

    def __init__(self, folder: Path, settings: dict, inputs: Sequence[Input]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        versions = {entry.name: entry.version for entry in inputs}
        self.progress, self.broken = Progress(folder, settings, versions), list[str]()
        self.left = [entry for entry in inputs if entry.name not in self.progress.done]

    @contextmanager
    def unless_broken(self, entry: Input) -> Iterator[None]:
        """If the input that is read inside can't be used, record that and continue. A full disk or memory ends the
        run."""
        try:
            yield
        except UserError as error:
            sentence = str(error)
            self.broken.append(sentence if entry.source in sentence else f"'{entry.source}': {sentence}")
        except (OSError, MemoryError):
            raise
        except Exception as error:  # Decoders, resizing and encoders raise anything for odd files.
            self.broken.append(f"'{entry.source}' can't be predicted: {describe(error)}")

    def finish(self, entry: Input, result: dict | None = None) -> None:
        """Keep the result of an input, if given, and mark the input as finished."""
        if result is not None:
            self.progress.add(entry.name, result)
        self.progress.finish(entry.name)

    def close(self) -> None:
        """End the run. Its progress is kept if an input was broken, as the file may be repaired."""
        self.progress.close(remove=not self.broken)


class FrameSource(Protocol):
    """A predictor of images and frames, such as :class:`hiera_mm.inference.frame_predictor.FramePredictor`."""

    @property
    def predict(self) -> Callable[..., Any]:
        """Predict for one image, or for each of a list."""
        ...

    @property
    def stream(self) -> Callable[..., Iterator[tuple[np.ndarray, Any]]]:
        """Each of some frames with its prediction."""
        ...

    @property
    def decoded(self) -> Callable[[Any], np.ndarray]:
        """The image that predictions refer to, RGB ``(H, W, 3)``."""
        ...


class FrameWriter(Protocol):
    """Handles a task's predictions for images and frames of videos."""

    def entry(self, found: Any) -> dict:
        """The entry for the results file, in JSON types."""
        ...

    def write(self, found: Any, name: str, frame: int | None) -> None:
        """Write separate files for an image, or for a frame of the video ``name``."""
        ...

    def draw(self, frame: np.ndarray, found: Any) -> np.ndarray:
        """The image or frame, RGB ``(H, W, 3)``, with the prediction drawn on it."""
        ...


def predict_frames(
    predictor: FrameSource,
    outcome: Outcome,
    folder: Path,
    writer: FrameWriter,
    batch_size: int = 1,
    drawn: bool = True,
    interval: int = 1,
    described: Callable[[Input], Any] = lambda entry: entry.source,
    **settings: Any,
) -> None:
    """Predict all remaining images, videos and streams, and write copies with the predictions drawn.

    Args:
        predictor: The model.
        outcome: The remaining inputs; collects the results.
        folder: Output folder for drawn images and videos.
        writer: Handles each prediction.
        batch_size: Number of images or frames that are computed together.
        drawn: Whether to draw.
        interval: Predict only every ``interval``-th frame of a video; the frames between show its prediction.
        described: Returns the predictor's input for an image.
        **settings: Arguments of the predictor's ``predict``.
    """
    images = {entry: described(entry) for entry in outcome.left if entry.kind is Kind.IMAGE}
    for entry, found in each_result(partial(predictor.predict, **settings), images, batch_size, outcome):
        if drawn:
            write_image(folder / entry.name, writer.draw(predictor.decoded(images[entry]), found))
        writer.write(found, entry.name, None)
        outcome.finish(entry, writer.entry(found))
    stream = partial(predictor.stream, batch_size=batch_size, interval=interval, **settings)
    for entry in (entry for entry in outcome.left if entry.kind is not Kind.IMAGE):
        with outcome.unless_broken(entry):
            reader = Stream(entry.source) if entry.kind is Kind.STREAM else open_video(entry.source)
            frames = _drawn_frames(stream, reader, entry.name, outcome.progress, writer)
            if drawn:
                write_video(result_path(folder, entry.name, '.mp4'), frames, reader.rate, reader.times)
            else:
                deque(frames, maxlen=0)
            outcome.finish(entry)


def each_result(
    predict: Callable, given: dict[Input, Any], batch_size: int, outcome: Outcome
) -> Iterator[tuple[Input, Any]]:
    """Each input that can be read with its prediction. A batch with a broken file is predicted one by one."""
    entries = list(given)
    starts = range(0, len(entries), batch_size)
    for batch in (entries[start : start + batch_size] for start in track(starts, 'Predicting', disable=not entries)):
        try:
            yield from zip(batch, predict([given[entry] for entry in batch]), strict=True)
        except (OSError, MemoryError):
            raise
        except Exception:  # Anything may be raised for odd files.
            for entry in batch:
                with outcome.unless_broken(entry):
                    yield entry, predict(given[entry])


def check_all_frames(reader: VideoFile, count: int) -> None:
    """Check that all frames of a video were decoded.

    Raises:
        BrokenFileError: if ``count`` is less than the frames of the video.
    """
    if count < len(reader):
        raise broken(reader.path, f'{count} of its {len(reader)} frames can be decoded')


def write_image(path: Path, image: np.ndarray) -> None:
    """Write RGB ``(H, W, 3)`` in the format of the name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        Image.fromarray(image).save(unfinished, format=Image.registered_extensions()[path.suffix.lower()])


def names_without_endings(inputs: Sequence[Input]) -> dict[Input, str]:
    """As :func:`result_names`, where results are named after inputs without ``.jpg`` and the like."""
    return result_names(inputs, lambda entry: Path(entry.name).with_suffix('').as_posix())


def drawn_name(entry: Input) -> str:
    """Name of the copy of an image, video or stream with its predictions drawn."""
    return entry.name if entry.kind is Kind.IMAGE else with_ending(Path(entry.name), '.mp4').as_posix()


def result_names(inputs: Sequence[Input], name_of: Callable[[Input], str]) -> dict[Input, str]:
    """The name of each input's result.

    Raises:
        UserError: if the results of two inputs would have the same name.
    """
    check_result_names(inputs, name_of)
    return {entry: name_of(entry) for entry in inputs}


def check_result_names(inputs: Sequence[Input], *names_of: Callable[[Input], str]) -> None:
    """Check that no two results have the same name, where an input has several.

    Raises:
        UserError: as :func:`result_names`.
    """
    names: dict[str, Input] = {}
    for entry in inputs:
        for name_of in names_of:
            first = names.setdefault(name_of(entry), entry)
            if first is not entry:
                raise UserError(
                    f'The results of {first.source} and {entry.source} would both be named {name_of(entry)}: rename '
                    'one of the files, or predict them into folders of their own (--out-dir).'
                )


def result_path(folder: Path, name: str, ending: str) -> Path:
    """The path of a result for the input ``name``; creates its folder."""
    path = with_ending(folder / name, ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def with_ending(path: Path, ending: str) -> Path:
    """The path, with an ending behind its own if that is another one, since inputs may differ in it alone."""
    return path if path.suffix == ending else path.with_name(path.name + ending)


def _drawn_frames(
    stream: Callable, reader: VideoFile | Stream, name: str, progress: Progress, writer: FrameWriter
) -> Iterator[np.ndarray]:
    """Frames with the latest prediction drawn; keeps the predictions.

    Raises:
        BrokenFileError: if not all frames can be decoded.
    """
    total = len(reader) if isinstance(reader, VideoFile) else None
    number, shown = -1, None
    for number, (frame, found) in enumerate(track(stream(iter(reader)), name, total=total)):
        if found is not None:
            time = round(float(reader.times[number]), 6)
            progress.add(name, dict(frame=number, time=time) | writer.entry(found))
            writer.write(found, name, number)
            shown = found
        yield writer.draw(frame, shown)
    if number < 0:
        raise BrokenFileError(f"'{name}' has no frames; check that it is a video, or a stream that is being sent.")
    if isinstance(reader, VideoFile):
        check_all_frames(reader, number + 1)
