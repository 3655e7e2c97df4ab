"""Classifies many images or clips, and writes a table."""

import csv
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError
from hiera_mm.inference.prediction import Outcome, each_result
from hiera_mm.readers.inputs import Input
from hiera_mm.tasks.classification.classifier import FRAME_RATE, Classification, Classifier

from rich.progress import track


def classify_files(
    classifier: Classifier,
    inputs: Sequence[Input],
    folder: Path,
    batch_size: int = 1,
    topk: int = 5,
    rate: float = FRAME_RATE,
    window: float | None = None,
    stride: float | None = None,
) -> Outcome:
    """Write ``predictions.csv`` with the most probable classes of each input, or of each window along it.

    Args:
        classifier: The model.
        inputs: Images, or videos and folders of frames.
        folder: Output folder.
        batch_size: Number of inputs that are computed together.
        topk: Number of classes per input.
        rate: Frames per second at which the frames in folders were extracted.
        window, stride: Seconds of a window along a video, by default the whole, and between the starts of two windows,
            by default a window's length.

    Raises:
        UserError: as :meth:`Classifier.predict_windows`.
    """
    settings = dict(model=classifier.trained.version, classes=classifier.names, topk=topk, rate=rate)
    if stride is not None and window is None:
        raise UserError('--stride is the time between two windows; set their length as well: --window SECONDS.')
    if window is not None:
        classifier.check_windows(window, window if stride is None else stride)
    outcome = Outcome(folder, settings | dict(window=window, stride=stride), inputs)
    if window is None:
        _classify_whole(classifier, outcome, batch_size, topk, rate)
    else:
        _classify_windows(classifier, outcome, topk, rate, window, window if stride is None else stride)
    write_classes(folder, outcome.progress.entries())
    outcome.close()
    return outcome


def _classify_whole(classifier: Classifier, outcome: Outcome, batch_size: int, topk: int, rate: float) -> None:
    files = {entry: entry.source for entry in outcome.left}
    read = partial(classifier.prepared, rate=rate)
    for entry, found in each_result(classifier.classified, files, batch_size, outcome, read):
        outcome.finish(entry, dict(classes=_top(found, topk)))


def _classify_windows(
    classifier: Classifier, outcome: Outcome, topk: int, rate: float, window: float, stride: float
) -> None:
    for entry in track(outcome.left, 'Predicting'):
        with outcome.unless_broken(entry):
            for start, end, found in classifier.predict_windows(entry.source, window, stride, rate):
                times = dict(start=round(start, 6), end=round(end, 6))
                outcome.progress.add(entry.name, times | dict(classes=_top(found, topk)))
            outcome.finish(entry)


def _top(found: Classification, count: int) -> list[list]:
    return [[name, round(score, 5)] for name, score in found.top(count)]


def write_classes(folder: Path, entries: Iterable[dict]) -> None:
    """Write ``predictions.csv``: a row for each input or window, the most probable class and its score first.

    Args:
        folder: Output folder.
        entries: A dict for each: ``input``, for windows ``start`` and ``end``, and ``classes``, pairs of name and
            score.
    """
    with atomic_write(folder / 'predictions.csv') as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.writer(file)
        for count, entry in enumerate(entries):
            if count == 0:
                heads = [
                    f'{head}_{place}' for place in range(1, len(entry['classes']) + 1) for head in ('class', 'score')
                ]
                times = [key for key in ('start', 'end') if key in entry]
                writer.writerow(['file', *times, *heads])
            cells = [cell for pair in entry['classes'] for cell in pair]
            writer.writerow([entry['input'], *(entry[key] for key in times), *cells])
