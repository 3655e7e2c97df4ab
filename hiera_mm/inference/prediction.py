"""Predictions for many files: batch by batch, resumed after an interruption, with broken files set aside."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hiera_mm.atomic_write import atomic_write, remove_unfinished
from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.explain import describe
from hiera_mm.inference.progress import Progress
from hiera_mm.inference.threads import ahead, behind
from hiera_mm.inference.trained import Predictor
from hiera_mm.readers.channels import visible
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
        for each in {(folder / entry.name).parent for entry in inputs}:
            remove_unfinished(each)
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

    def write_all(results: Iterator[tuple[Input, np.ndarray, Any]]) -> None:
        for entry, pixels, found in results:
            with outcome.unless_broken(entry):
                if drawn:
                    write_image(folder / entry.name, writer.draw(visible(pixels), found))
                writer.write(found, entry.name, None)
                outcome.finish(entry, writer.entry(found))

    images = {entry: described(entry) for entry in outcome.left if entry.kind is Kind.IMAGE}
    predict = partial(predictor.predict, **settings)
    with behind(write_all) as write:
        for result in _each_read(predict, images, batch_size, outcome, predictor.decoded):
            write(result)
    stream = partial(predictor.stream, batch_size=batch_size, interval=interval, **settings)
    for entry in (entry for entry in outcome.left if entry.kind is not Kind.IMAGE):
        with outcome.unless_broken(entry):
            reader = Stream(entry.source) if entry.kind is Kind.STREAM else open_video(entry.source)
            path = result_path(folder, entry.name, '.mp4') if drawn else None
            with behind(partial(_write_frames, path, entry.name, reader, writer)) as write_frame:
                for frame in _predicted_frames(stream, reader, entry.name, outcome.progress, writer, batch_size):
                    write_frame(frame)
            outcome.finish(entry)


def each_result(
    predict: Callable, given: dict[Input, Any], batch_size: int, outcome: Outcome, read: Callable = lambda entry: entry
) -> Iterator[tuple[Input, Any]]:
    """Each input that can be read with its prediction. A batch with a broken file is predicted one by one.

    Args:
        predict: Takes a list of what ``read`` made.
        given: What ``read`` takes, for each file.
        batch_size: Number of inputs that are computed together.
        outcome: Collects the files that are broken.
        read: Reads a file; runs in another thread, ahead of the model.
    """
    for entry, _, found in _each_read(predict, given, batch_size, outcome, read):
        yield entry, found


def _each_read(
    predict: Callable, given: dict[Input, Any], batch_size: int, outcome: Outcome, read: Callable
) -> Iterator[tuple[Input, Any, Any]]:
    """As :func:`each_result`, with what was read."""

    def attempt(entry: Input) -> tuple[Input, Any, Exception | None]:
        try:
            return entry, read(given[entry]), None
        except Exception as error:
            return entry, None, error

    tried = track(ahead(map(attempt, given), batch_size), 'Predicting', len(given), disable=not given)
    while some := list(islice(tried, batch_size)):
        batch = {}
        for entry, inputs, error in some:
            with outcome.unless_broken(entry):
                if error is not None:
                    raise error
                batch[entry] = inputs
        try:
            found = predict(list(batch.values())) if batch else []
        except (OSError, MemoryError):
            raise
        except Exception:  # Anything may be raised for odd files.
            found = [_attempted(predict, entry, inputs, outcome) for entry, inputs in batch.items()]
        yield from ((*pair, one) for pair, one in zip(batch.items(), found, strict=True) if one is not None)


def _attempted(predict: Callable, entry: Input, inputs: Any, outcome: Outcome) -> Any:
    with outcome.unless_broken(entry):
        return predict([inputs])[0]
    return None


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


class _Frame(NamedTuple):
    """A frame, its prediction if it has one, and the latest prediction."""

    number: int
    pixels: np.ndarray
    found: Any
    shown: Any


def _predicted_frames(
    stream: Callable,
    reader: VideoFile | Stream,
    name: str,
    progress: Progress,
    writer: FrameWriter,
    batch_size: int,
) -> Iterator[_Frame]:
    """Each frame with its prediction, which is kept.

    Raises:
        BrokenFileError: if not all frames can be decoded.
    """
    # A camera is not read ahead: its next frame is the newest one, and the user's interrupt ends it.
    total, frames = (len(reader), ahead(reader, batch_size)) if isinstance(reader, VideoFile) else (None, iter(reader))
    number, shown = -1, None
    for number, (frame, found) in enumerate(track(stream(frames), name, total=total)):
        if found is not None:
            time = round(float(reader.times[number]), 6)
            progress.add(name, dict(frame=number, time=time) | writer.entry(found))
            shown = found
        yield _Frame(number, frame, found, shown)
    if number < 0:
        raise BrokenFileError(f"'{name}' has no frames; check that it is a video, or a stream that is being sent.")
    if isinstance(reader, VideoFile):
        check_all_frames(reader, number + 1)


def _write_frames(
    path: Path | None, name: str, reader: VideoFile | Stream, writer: FrameWriter, frames: Iterator[_Frame]
) -> None:
    """Write separate files for the frames that were predicted and, to ``path`` if given, a video of all frames with the
    latest prediction drawn."""

    def drawn() -> Iterator[np.ndarray]:
        for frame in frames:
            if frame.found is not None:
                writer.write(frame.found, name, frame.number)
            yield frame.pixels if path is None else writer.draw(frame.pixels, frame.shown)

    if path is None:
        deque(drawn(), maxlen=0)
    else:
        write_video(path, drawn(), reader.rate, reader.times)


def images_of(predictor: Predictor, found: Sequence[Input]) -> list[Input]:
    """The inputs by which images are named, of a model whose images have several files each.

    Raises:
        UserError: if no input is one.
    """
    reader = predictor.trained.channels
    images = [entry for entry in found if reader is None or reader.is_first(entry.source)]
    if reader is not None and not images:
        raise UserError(
            f"None of the {len(found)} images is of the form '{reader.files[0]}', by which this model's channel_files "
            'name the first file of each image; give the folder that holds them.'
        )
    return images
