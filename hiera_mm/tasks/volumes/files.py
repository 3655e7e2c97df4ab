"""Segments many volumes: NIfTI masks and a table of millilitres."""

import csv
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.inference.prediction import Outcome, each_result
from hiera_mm.readers.inputs import Input
from hiera_mm.readers.volumes import file_affine
from hiera_mm.tasks.volumes.volume_segmenter import VolumeSegmentation, VolumeSegmenter

MASK_FOLDER = 'masks'
"""Name of the folder of the masks."""


def segment_volumes(segmenter: VolumeSegmenter, inputs: Sequence[Input], folder: Path) -> Outcome:
    """Write ``masks/NAME``, NIfTI files of class numbers on the volume's own voxel grid, and ``predictions.csv`` with
    each class's millilitres.

    Args:
        segmenter: The model.
        inputs: Volumes.
        folder: Output folder.
    """
    outcome = Outcome(folder, dict(model=segmenter.trained.version, classes=segmenter.names), inputs)
    files = {entry: (entry.source, *entry.more) for entry in outcome.left}
    for entry, found in each_result(segmenter.predict, files, 1, outcome):
        write_labels(folder / MASK_FOLDER / entry.name, found)
        outcome.finish(entry, dict(millilitres=[float(f'{amount:.6g}') for amount in found.millilitres().values()]))
    write_millilitres(folder, outcome.progress.entries(), segmenter.names)
    outcome.close()
    return outcome


def write_labels(path: Path, found: VolumeSegmentation) -> None:
    """Write the class numbers as a NIfTI file with the volume's affine and unit of length."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(found.labels, file_affine(found.header))
    image.header.set_xyzt_units(found.header.unit)
    content = image.to_bytes()
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(gzip.compress(content, mtime=0) if path.name.lower().endswith('.gz') else content)


def write_millilitres(folder: Path, entries: Iterable[dict], names: Sequence[str]) -> None:
    """Write ``predictions.csv``: a row for each volume with the millilitres of each class.

    Args:
        folder: Output folder.
        entries: A dict for each volume: ``input`` and ``millilitres``.
        names: The classes.
    """
    with atomic_write(folder / 'predictions.csv') as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['file', *names])
        for entry in entries:
            writer.writerow([entry['input'], *entry['millilitres']])
