"""What is wrong with data in COCO's format."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hiera_mm.checks.fault import DataPart, Fault, Severity, class_of, classes_of
from hiera_mm.checks.pictures import faults_of_pictures
from hiera_mm.config import dicts_in
from hiera_mm.datasets import coco
from hiera_mm.errors import UserError, first_few
from hiera_mm.readers.coco_files import CocoFile

from mmdet.datasets import CocoDataset as PlainCocoDataset
from mmengine.config import Config, ConfigDict


def reads_coco(kind: type) -> bool:
    """Whether a data set's class reads COCO's files as one of the two ``CocoDataset`` does."""
    own = (PlainCocoDataset, coco.CocoDataset)
    return issubclass(kind, PlainCocoDataset) and all(
        getattr(kind, name) in [getattr(base, name) for base in own] for name in ('load_data_list', 'parse_data_info')
    )


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a set that :func:`reads_coco`; those in a remote store (``backend_args``) are passed over."""
    if part.dataset.get('backend_args'):
        return
    folder, path = _image_folder(part), _annotation_file(part.dataset)
    file = part.read_annotations(
        path, f'{part.key}.ann_file', without_objects=part.for_testing and not _has_labels(part)
    )
    classes = classes_of(part.dataset, part.kind)
    if _needs_masks(part):
        file.for_masks(part.dataset.get('fill_masks_from_boxes'))
    for sentence in (*_faults_of_classes(part, file, classes), *_faults_of_heads(part, classes)):
        yield Fault(Severity.BLOCKS, sentence)
    yield from _what_was_repaired(part, file)
    yield from _faults_of_objects(part, file, classes)
    yield from faults_of_pictures(part, file, folder)


def faults_of_metric(
    key: str, metric: ConfigDict, config: Config, read: Callable, predicts_masks: bool
) -> Iterator[Fault]:
    """What is wrong with a COCO metric: another file than the data set reads, or masks that the model can't predict."""
    kinds, loader = metric.get('metric', 'bbox'), key.replace('evaluator', 'dataloader')
    if 'segm' in ([kinds] if isinstance(kinds, str) else kinds) and not predicts_masks:
        yield Fault(
            Severity.BLOCKS,
            f"{key} scores masks ('segm'), but the model predicts boxes only; set {key}.metric='bbox'.",
        )
    if not metric.get('ann_file') or metric.get('backend_args'):
        return
    file = read(metric.ann_file, f'{key}.ann_file', without_objects=metric.get('format_only', False))
    dataset = config[loader].dataset
    kind = class_of(dataset, config.get('default_scope'))
    if dataset.get('ann_file') and kind is not None and reads_coco(kind) and not dataset.get('backend_args'):
        yield from _faults_between(
            key, file, loader, read(_annotation_file(dataset), f'{loader}.dataset.ann_file', without_objects=True)
        )


def _faults_between(key: str, scored: CocoFile, loader: str, loaded: CocoFile) -> Iterator[Fault]:
    if scored.path.resolve() == loaded.path.resolve():
        return
    names = {image['id']: image['file_name'] for image in scored.images}
    if any(names.get(image['id']) != image['file_name'] for image in loaded.images):
        yield Fault(
            Severity.BLOCKS,
            f"{key}.ann_file is '{scored.path}', which lists other pictures than '{loaded.path}' of {loader}.dataset; "
            'set both to the same file.',
        )


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


def _loads_annotations(part: DataPart) -> list[ConfigDict]:
    steps = part.dataset.get('pipeline', ())
    return [step for step in dicts_in(steps) if str(step.get('type')).split('.')[-1] == 'LoadAnnotations']


def _has_labels(part: DataPart) -> bool:
    return bool(_loads_annotations(part))


def _needs_masks(part: DataPart) -> bool:
    return any(step.get('with_mask') for step in _loads_annotations(part))


def _what_was_repaired(part: DataPart, file: CocoFile) -> Iterator[Fault]:
    careful = issubclass(part.kind, coco.CocoDataset)
    for sentence in file.repairs:
        if careful:
            yield Fault(Severity.NOTE, sentence)
        else:
            yield Fault(
                Severity.BLOCKS,
                f'{sentence} {part.kind.__module__}.{part.kind.__name__} does none of that; derive it from '
                'hiera_mm.datasets.coco.CocoDataset, or name the type as text.',
            )
    for sentence in file.doubts:
        yield Fault(Severity.FAULT, sentence)


def _faults_of_classes(part: DataPart, file: CocoFile, classes: list[str]) -> Iterator[str]:
    categories = [category['name'] for category in file.categories]
    absent = [name for name in classes if name not in categories]
    unknown = [name for name in categories if name not in classes]
    if absent and (unknown or not part.for_testing):
        yield (
            f"The classes of {part.key} don't match '{file.path}': the config has {_listed(classes)}, the file has "
            f'{_listed(categories)}; {len(absent)} of the config are not in the file; set {part.key}.metainfo = '
            "dict(classes=(...)) to the file's names."
        )
    elif not issubclass(part.kind, coco.CocoDataset) and classes != [name for name in categories if name in classes]:
        yield (
            f"The classes of {part.key} are in another order than in the annotation file, and mmdet's CocoDataset "
            f"numbers them by the file's order: the config has {_listed(classes)}, '{file.path}' has "
            f'{_listed(categories)}; name the type as text, so that the order does not matter.'
        )


def _faults_of_heads(part: DataPart, classes: Sequence[str]) -> Iterator[str]:
    for place, predicted in part.class_places:
        if predicted != len(classes):
            yield (
                f'The model predicts {predicted} classes ({place}), but the data set has {len(classes)} '
                f'({_listed(classes)}); set classes = (...) at the top of the config, which sets data sets and heads.'
            )


def _faults_of_objects(part: DataPart, file: CocoFile, classes: Sequence[str]) -> Iterator[Fault]:
    names = {category['id']: category['name'] for category in file.categories}
    chosen = set(classes)
    objects = Counter(
        names[a['category_id']] for a in file.annotations if not a['iscrowd'] and names[a['category_id']] in chosen
    )
    if not objects and _has_labels(part):
        crowds = sum(annotation['iscrowd'] for annotation in file.annotations)
        hint = f' ({crowds} are crowds or marked by ignore)' if crowds else ''
        yield Fault(
            Severity.FAULT if part.for_testing else Severity.BLOCKS,
            f"{part.key}: '{file.path}' has {len(file.images)} images, but no object of the classes{hint}; annotate "
            'some, or correct ann_file.',
        )
    if part.before_training:
        return
    without = len(file.images) - len({annotation['image_id'] for annotation in file.annotations})
    counts = ', '.join(f'{name} {objects[name]}' for name in classes[:100])
    yield Fault(
        Severity.NOTE,
        f'{part.key}: {len(file.images)} images, {without} of them without annotations; objects of each class: '
        f'{counts}{", ..." if len(classes) > 100 else ""}.',
    )


def _listed(names: Sequence[str]) -> str:
    shown = first_few([f"'{name}'" for name in names], 10)
    return f'[{shown} {len(names)} in all]' if len(names) > 10 else f'[{shown}]'
