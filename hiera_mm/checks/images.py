"""Checks sets of labelled or unlabelled images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.datasets.images import ReadImage
from hiera_mm.errors import BrokenFileError, UserError, examples
from hiera_mm.readers.channels import loading_step
from hiera_mm.readers.class_names import classes_from, numbers_by_name
from hiera_mm.readers.image_lists import LabelledImages, class_folders, read_images
from hiera_mm.readers.labelled_lists import check_labels

from mmengine.config import ConfigDict


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of an ``ImageDataset``; before training, only the names of class folders are checked."""
    found = _read_names(part.dataset) if part.before_training else _read(part.dataset)
    _check_classes(part, found)
    if part.before_training:
        return
    paths = [path for path, _ in found.entries]
    missing = [path for path in paths if not Path(path).is_file()] if part.dataset.get('ann_file') else []
    if missing:
        yield Fault(Severity.FAULT, f'{part.key}: {examples(missing)} do not exist; correct data_prefix or ann_file.')
    step = dict(loading_step(part.dataset.get('pipeline')))
    read = ReadImage(**step) if step.pop('type', '').endswith('ReadImage') else ReadImage()
    for path in sample(sorted({*paths} - {*missing}), part.count):
        try:
            read.transform(dict(img_path=path))
        except BrokenFileError as error:
            yield Fault(Severity.FAULT, f'{part.key}: {error}')
    if found.classes is not None:
        used = {label for _, label in found.entries}
        if empty := [name for label, name in enumerate(found.classes) if label not in used]:
            yield Fault(Severity.NOTE, f'{part.key}: no image has the class {examples(empty)}.')


def faults_between(datasets: Sequence[ConfigDict]) -> Iterator[Fault]:
    """Sets with different class folders: each would number its classes differently."""
    folders = [_folder(dataset) for dataset in datasets if _in_folders(dataset)]
    folders = [folder for folder in folders if folder.is_dir()]
    for folder in folders[1:]:
        if differing := sorted({*class_folders(folder)} ^ {*class_folders(folders[0])}):
            yield Fault(
                Severity.BLOCKS,
                f"The class folders in '{folders[0]}' and '{folder}' must be the same, but only one of them has "
                f'{examples(differing)}.',
            )


def _read(dataset: ConfigDict) -> LabelledImages:
    files = loading_step(dataset.get('pipeline')).get('channel_files')
    return read_images(_folder(dataset), _ann_file(dataset), dataset.get('with_label', True), files)


def _read_names(dataset: ConfigDict) -> LabelledImages:
    """The entries of a list, or only the class names of class folders, since listing a large set takes long."""
    return LabelledImages([], class_folders(_folder(dataset))) if _in_folders(dataset) else _read(dataset)


def _check_classes(part: DataPart, found: LabelledImages) -> None:
    source = _ann_file(part.dataset) or _folder(part.dataset)
    chosen = part.dataset.get('metainfo', {}).get('classes')
    if found.classes is not None and chosen:
        numbers_by_name(found.classes, classes_from(chosen), source)
        return
    for key, predicted in part.class_places:
        if found.classes is not None and len(found.classes) != predicted:
            raise UserError(
                f"'{source}' of {part.key} has {len(found.classes)} classes, but the model predicts {predicted}; set "
                f'{key}={len(found.classes)} (and num_classes in the blending, if there is one).'
            )
        check_labels(found.entries, predicted, 'images', source, part.key)


def _in_folders(dataset: ConfigDict) -> bool:
    return dataset.get('with_label', True) and not dataset.get('ann_file')


def _folder(dataset: ConfigDict) -> Path:
    return Path(dataset.get('data_root') or '', dataset.get('data_prefix', {}).get('img', ''))


def _ann_file(dataset: ConfigDict) -> str:
    return str(Path(dataset.get('data_root') or '', dataset.ann_file)) if dataset.get('ann_file') else ''
