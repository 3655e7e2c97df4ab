"""Segments many files: index masks, drawings, and a table of shares."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.inference.prediction import Outcome, check_result_names, drawn_name, predict_frames, with_ending
from hiera_mm.inference.visualization import palette_of
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.tasks.segmentation.results import Segmentation, draw_regions
from hiera_mm.tasks.segmentation.segmenter import Segmenter

import numpy as np
from PIL import Image

MASK_FOLDER = 'masks'
"""Name of the folder of the masks."""


def segment_files(
    segmenter: Segmenter,
    inputs: Sequence[Input],
    folder: Path,
    batch_size: int = 1,
    drawn: bool = True,
    interval: int = 1,
    full_size: bool = False,
) -> Outcome:
    """Write index masks ``masks/NAME.png`` (for videos ``masks/NAME/FRAME.png``), copies of images and videos with the
    classes in colour, and ``predictions.csv`` with each class's share of each image.

    Args:
        segmenter: The model.
        inputs: Images, videos and streams.
        folder: Output folder.
        batch_size: Number of images or frames that are computed together.
        drawn: Whether to draw.
        interval: Predict only every ``interval``-th frame of a video; the frames between show its classes.
        full_size: As for :meth:`Segmenter.predict`.

    Raises:
        UserError: if the results of two inputs would have the same name.
    """
    check_result_names(inputs, _mask_name, *([drawn_name] if drawn else []))
    settings = dict(model=segmenter.trained.version, classes=segmenter.names, interval=interval, drawn=drawn)
    outcome = Outcome(folder, dict(settings, full_size=full_size), inputs)
    writer = MaskWriter(folder / MASK_FOLDER)
    predict_frames(segmenter, outcome, folder, writer, batch_size, drawn, interval, full_size=full_size)
    write_shares(folder, outcome.progress.entries(), segmenter.names)
    outcome.close()
    return outcome


def _mask_name(entry: Input) -> str:
    return f'{MASK_FOLDER}/{mask_path(entry.name, None if entry.kind is Kind.IMAGE else 0).as_posix()}'


class MaskWriter:
    """Writes the mask of each image or frame into a folder and keeps each class's share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, found: Segmentation) -> dict:
        return dict(shares=[round(share, 5) for share in found.shares().values()])

    def write(self, found: Segmentation, name: str, frame: int | None) -> None:
        write_mask(self.folder / mask_path(name, frame), found)

    def draw(self, frame: np.ndarray, found: Segmentation) -> np.ndarray:
        return draw_regions(frame, found)


def write_mask(path: Path, found: Segmentation) -> None:
    """Write the class numbers as an image of one channel, with a palette for viewers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(found.labels, 'P')
    mask.putpalette(palette_of(len(found.names)).tobytes())
    with atomic_write(path) as unfinished:
        mask.save(unfinished, format='PNG')


def write_shares(folder: Path, entries: Iterable[dict], names: Sequence[str]) -> None:
    """Write ``predictions.csv``: a row for each image or frame with the share of each class.

    Args:
        folder: Output folder.
        entries: A dict for each image or frame: ``input``, ``shares``, and for videos ``frame`` and ``time``.
        names: The classes.
    """
    with atomic_write(folder / 'predictions.csv') as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['file', 'frame', 'time', *names])
        for entry in entries:
            writer.writerow([entry['input'], entry.get('frame'), entry.get('time'), *entry['shares']])


def mask_path(name: str, frame: int | None) -> Path:
    """Where the mask of an image, or of a frame of a video, is written below the folder of masks."""
    return with_ending(Path(name), '.png') if frame is None else Path(name, f'{frame:06d}.png')
