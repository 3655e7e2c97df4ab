"""Classifies many images or clips, and writes a table."""

import csv
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.inference.prediction import Outcome, each_result
from hiera_mm.readers.inputs import Input
from hiera_mm.tasks.classification.classifier import FRAME_RATE, Classifier


def classify_files(
    classifier: Classifier,
    inputs: Sequence[Input],
    folder: Path,
    batch_size: int = 1,
    topk: int = 5,
    rate: float = FRAME_RATE,
) -> Outcome:
    """Write ``predictions.csv`` with the most probable classes of each input.

    Args:
        classifier: The model.
        inputs: Images, or videos and folders of frames.
        folder: Output folder.
        batch_size: Number of inputs that are computed together.
        topk: Number of classes per input.
        rate: Frames per second at which the frames in folders were extracted.
    """
    settings = dict(model=classifier.trained.version, classes=classifier.names, topk=topk, rate=rate)
    outcome = Outcome(folder, settings, inputs)
    files = {entry: entry.source for entry in outcome.left}
    for entry, found in each_result(partial(classifier.predict, rate=rate), files, batch_size, outcome):
        outcome.finish(entry, dict(classes=[[name, round(score, 5)] for name, score in found.top(topk)]))
    write_classes(folder, outcome.progress.entries())
    outcome.close()
    return outcome


def write_classes(folder: Path, entries: Iterable[dict]) -> None:
    """Write ``predictions.csv``: a row for each input, the most probable class and its score first.

    Args:
        folder: Output folder.
        entries: A dict for each input: ``input``, and ``classes``, pairs of name and score.
    """
    with atomic_write(folder / 'predictions.csv') as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.writer(file)
        for count, entry in enumerate(entries):
            if count == 0:
                heads = [
                    f'{head}_{place}' for place in range(1, len(entry['classes']) + 1) for head in ('class', 'score')
                ]
                writer.writerow(['file', *heads])
            writer.writerow([entry['input'], *(cell for pair in entry['classes'] for cell in pair)])
