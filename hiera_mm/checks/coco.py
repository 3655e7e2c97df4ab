"""What is wrong with data in COCO's format."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from hiera_mm.checks.fault import DataPart, Fault, Severity, class_of, classes_of
from hiera_mm.config import dicts_in
from hiera_mm.errors import UserError, examples, first_few

from mmdet.datasets import CocoDataset
from mmengine.config import ConfigDict
from mmengine.registry import MODELS


def reads_coco(kind: type) -> bool:
    """Whether a data set's class reads COCO's files as ``CocoDataset`` does."""
    readers = ('load_data_list', 'parse_data_info')
    return issubclass(kind, CocoDataset) and all(getattr(kind, n) is getattr(CocoDataset, n) for n in readers)


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a set that :func:`reads_coco`; those in a remote store (``backend_args``) are passed over."""
    if part.dataset.get('backend_args'):
        return
    folder, path = _image_folder(part), _annotation_file(part.dataset)
    content = part.read_annotations(path, f'{part.key}.ann_file')
    classes = classes_of(part.dataset, part.kind)
    blocking = [
        *_faults_of_classes(part.key, path, classes, [category['name'] for category in content['categories']]),
        *_faults_of_heads(part.model, classes),
    ]
    yield from (Fault(Severity.BLOCKS, sentence) for sentence in blocking)
    if not part.before_training and not blocking:
        yield from (Fault(Severity.FAULT, sentence) for sentence in _faults_inside(part.key, path, folder, content))


def _image_folder(part: DataPart) -> Path:
    """The folder of the images.

    Raises:
        UserError: if it, or the data folder that it lies in, does not exist.
    """
    root = Path(part.dataset.get('data_root') or '.')
    if not root.is_dir():
        raise UserError(
            f"The data folder '{root}' of {part.key} does not exist; put the data there or set the folder with "
            f'--cfg-options {part.key}.data_root=FOLDER.'
        )
    images = root / part.dataset.get('data_prefix', {}).get('img', '')
    if not images.is_dir():
        raise UserError(
            f"The image folder '{images}' of {part.key} does not exist; set it with "
            f'--cfg-options {part.key}.data_prefix.img=FOLDER (inside the data folder).'
        )
    return images


def _annotation_file(dataset: ConfigDict) -> Path:
    return Path(dataset.get('data_root') or '.', dataset.ann_file)


def _faults_of_classes(key: str, path: Path, classes: list[str], categories: list[str]) -> Iterator[str]:
    remedy = f"set {key}.metainfo = dict(classes=(...)) to the file's names, in the file's order."
    absent = [name for name in classes if name not in categories]
    if absent:
        yield (
            f"The classes of {key} don't match '{path}': the config has {_listed(classes)}, the file has "
            f'{_listed(categories)}; {len(absent)} of the config are not in the file; {remedy}'
        )
        return
    in_file_order = [name for name in categories if name in classes]
    if in_file_order != classes:
        yield (
            f'The classes of {key} are in another order than in the annotation file, and mmdet numbers them by the '
            f"file's order: the config has {_listed(classes)}, '{path}' has {_listed(in_file_order)}; {remedy}"
        )


def _faults_of_heads(model: ConfigDict, classes: Sequence[str]) -> Iterator[str]:
    for place, head in _heads(model):
        predicted = head.get('num_classes', _default_number(head))
        if predicted not in (None, len(classes)):
            yield (
                f'The model predicts {predicted} classes ({place}.num_classes), but the data set has {len(classes)} '
                f'({_listed(classes)}); set num_classes={len(classes)} there.'
            )


def _heads(model: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """The heads that predict classes of boxes or masks, with their place in the config."""
    for owner, place in ((model, 'model'), (model.get('roi_head', {}), 'model.roi_head')):
        for name in ('bbox_head', 'mask_head'):
            for head in dicts_in(owner.get(name)):
                if 'num_classes' in head or head is owner.get(name):
                    yield f'{place}.{name}', head


def _default_number(head: ConfigDict) -> int | None:
    """What a head predicts whose config doesn't say it."""
    kind = class_of(head, 'mmdet', MODELS)
    for base in inspect.getmro(kind) if kind else ():
        parameter = inspect.signature(vars(base).get('__init__', lambda: None)).parameters.get('num_classes')
        if parameter is not None:
            return parameter.default if isinstance(parameter.default, int) else None
    return None


def _faults_inside(key: str, path: Path, folder: Path, content: dict) -> Iterator[str]:
    images = {image['id']: image for image in content['images']}
    yield from _group(
        (image['file_name'] for image in images.values() if not (folder / image['file_name']).is_file()),
        lambda names: f"{key}: {names} named in '{path}' are not in '{folder}'; put them there or take them out.",
    )
    orphans = [annotation['id'] for annotation in content['annotations'] if annotation['image_id'] not in images]
    yield from _group(
        map(str, orphans), lambda ids: f"{key}: the annotations {ids} in '{path}' belong to no image of the file."
    )
    categories = {category['id'] for category in content['categories']}
    yield from _group(
        (str(a['id']) for a in content['annotations'] if a['category_id'] not in categories),
        lambda ids: f"{key}: the annotations {ids} in '{path}' have a category that the file does not list.",
    )
    yield from _group(
        (
            str(a['id'])
            for a in content['annotations']
            if a['image_id'] in images and _outside(a, images[a['image_id']])
        ),
        lambda ids: f"{key}: the boxes of the annotations {ids} in '{path}' are empty or leave their image.",
    )
    if not content['annotations']:
        yield f"{key}: '{path}' has {len(images)} images and no annotation."


def _outside(annotation: dict, image: dict) -> bool:
    x, y, width, height = annotation['bbox']
    # A pixel of tolerance, as real sets round.
    beyond = x < -1 or y < -1 or x + width > image['width'] + 1 or y + height > image['height'] + 1
    return beyond or width <= 0 or height <= 0


def _group(found: Iterable[str], sentence: Callable[[str], str]) -> Iterator[str]:
    found = list(found)
    if found:
        yield sentence(examples(found))


def _listed(names: Sequence[str]) -> str:
    shown = first_few([f"'{name}'" for name in names], 10)
    return f'[{shown} {len(names)} in all]' if len(names) > 10 else f'[{shown}]'
