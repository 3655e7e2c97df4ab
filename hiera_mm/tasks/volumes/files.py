"""The class of every voxel of many files, as NIfTI masks and in millilitres."""

import csv
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.inference.prediction import Outcome, each_result
from hiera_mm.readers.inputs import Input
from hiera_mm.tasks.volumes.volume_segmenter import VolumeSegmentation, VolumeSegmenter

MASKS = 'masks'
"""Folder of the masks, among the results."""


def segment_volumes(segmenter: VolumeSegmenter, inputs: Sequence[Input], folder: Path) -> Outcome:
    """Write ``masks/NAME``, NIfTI files whose voxels are class numbers, in the places of the volume's own voxels, and
    ``predictions.csv`` with each class's millilitres.

    Args:
        segmenter: The model.
        inputs: Volumes.
        folder: Where the results go.
    """
    outcome = Outcome(folder, dict(model=segmenter.trained.version, classes=segmenter.names), inputs)
    files = {entry: entry.source for entry in outcome.left}
    for entry, found in each_result(segmenter.predict, files, 1, outcome):
        write_labels(folder / MASKS / entry.name, found)
        outcome.finish(entry, dict(millilitres=[round(amount, 3) for amount in found.millilitres().values()]))
    write_millilitres(folder, outcome.progress.entries(), segmenter.names)
    outcome.close()
    return outcome


def write_labels(path: Path, found: VolumeSegmentation) -> None:
    """Write the class numbers as a NIfTI file that lies where its volume does."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    content = nibabel.Nifti1Image(found.labels, found.affine).to_bytes()
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(gzip.compress(content, mtime=0) if path.name.lower().endswith('.gz') else content)


def write_millilitres(folder: Path, entries: Iterable[dict], names: Sequence[str]) -> None:
    """Write ``predictions.csv``: a row for each volume with the millilitres that each class has.

    Args:
        folder: Where the file goes.
        entries: A dict for each volume: ``input`` and ``millilitres``.
        names: The classes.
    """
    with atomic_write(folder / 'predictions.csv') as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['file', *names])
        for entry in entries:
            writer.writerow([entry['input'], *entry['millilitres']])
