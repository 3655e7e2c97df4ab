"""What is wrong with sets of labelled or unlabelled images, in sentences."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hiera_mm.checks.ava import sample
from hiera_mm.errors import BrokenFileError, UserError, examples
from hiera_mm.readers.image_lists import LabelledImages, class_folders, read_images
from hiera_mm.readers.labelled_lists import check_labels

from mmengine.config import Config, ConfigDict


def check_images(key: str, dataset: ConfigDict, model: ConfigDict) -> None:
    """Refuse an ``ImageDataset`` that can't be trained on or evaluated; of folders only the names are looked at.

    Raises:
        UserError: for a folder or file that is missing or in another format, or another number of classes than the
            head's.
    """
    _check_classes(key, dataset, model, _named(dataset))


def check_same_classes(config: Config, loaders: Sequence[str]) -> None:
    """Refuse data loaders whose sets lie in class folders that differ: each would number its classes for itself.

    Raises:
        UserError: naming what one has and the other lacks.
    """
    sets = [config[loader].dataset for loader in loaders if config.get(loader) is not None]
    folders = [_folder(part) for part in sets if part.get('type') == 'ImageDataset' and _in_folders(part)]
    folders = [folder for folder in folders if folder.is_dir()]
    for folder in folders[1:]:
        if differing := sorted({*class_folders(folder)} ^ {*class_folders(folders[0])}):
            raise UserError(
                f"The class folders in '{folders[0]}' and '{folder}' must be the same, but only one of them has "
                f'{examples(differing)}.'
            )


def inspect_images(key: str, loader: ConfigDict, model: ConfigDict, count: int | None) -> Iterator[str]:
    """All faults of a loader's ``ImageDataset``, one sentence each.

    Args:
        key: Place of the data set in the config.
        loader: The data loader.
        model: Of the same config.
        count: How many images to decode, chosen at random; None for all.
    """
    from hiera_mm.datasets.images import ReadImage

    dataset = loader.dataset
    try:
        found = read_images(_folder(dataset), _ann_file(dataset), dataset.get('with_label', True))
        _check_classes(key, dataset, model, found)
    except UserError as error:
        yield str(error)
        return
    paths = [path for path, _ in found.entries]
    missing = [path for path in paths if not Path(path).is_file()] if dataset.get('ann_file') else []
    if missing:
        yield f'{key}: {examples(missing)} do not exist; correct data_prefix or ann_file.'
    for path in sample(sorted({*paths} - {*missing}), count):
        try:
            ReadImage().transform(dict(img_path=path))
        except BrokenFileError as error:
            yield f'{key}: {error}'
    if found.classes is not None:
        held = {label for _, label in found.entries}
        if empty := [name for label, name in enumerate(found.classes) if label not in held]:
            yield f'Note: {key}: no image has the class {examples(empty)}.'


def _named(dataset: ConfigDict) -> LabelledImages:
    """The entries of a list; of class folders no entries, since reading a large set's takes long."""
    if not _in_folders(dataset):
        return read_images(_folder(dataset), _ann_file(dataset), dataset.get('with_label', True))
    return LabelledImages([], class_folders(_folder(dataset)))


def _check_classes(key: str, dataset: ConfigDict, model: ConfigDict, found: LabelledImages) -> None:
    classes = model.get('cls_head', {}).get('num_classes')
    if classes is None:
        return
    source = _ann_file(dataset) or _folder(dataset)
    if found.classes is not None and len(found.classes) != classes:
        raise UserError(
            f"'{source}' of {key} has {len(found.classes)} classes, but the model predicts {classes}; set "
            f'model.cls_head.num_classes={len(found.classes)} (and num_classes in the blending, if there is one).'
        )
    check_labels(found.entries, classes, 'images', source, key)


def _in_folders(dataset: ConfigDict) -> bool:
    return dataset.get('with_label', True) and not dataset.get('ann_file')


def _folder(dataset: ConfigDict) -> Path:
    return Path(dataset.get('data_root') or '', dataset.get('data_prefix', {}).get('img', ''))


def _ann_file(dataset: ConfigDict) -> str:
    return str(Path(dataset.get('data_root') or '', dataset.ann_file)) if dataset.get('ann_file') else ''
