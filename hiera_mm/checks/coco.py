"""Checks data in COCO's format."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hiera_mm.checks.coco_images import faults_of_images
from hiera_mm.checks.fault import DataPart, Fault, Severity, class_of, classes_of
from hiera_mm.config import dicts_in, in_scope_named
from hiera_mm.datasets import coco
from hiera_mm.errors import UserError, examples, first_few
from hiera_mm.readers.coco_files import CocoFile

from mmdet.datasets import CocoDataset as PlainCocoDataset
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS


def reads_coco(dataset_class: type) -> bool:
    """Whether a data set class reads COCO files like mmdet's ``CocoDataset`` or this package's."""
    own = (PlainCocoDataset, coco.CocoDataset)
    return issubclass(dataset_class, PlainCocoDataset) and all(
        getattr(dataset_class, name) in [getattr(base, name) for base in own]
        for name in ('load_data_list', 'parse_data_info')
    )


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a set whose class :func:`reads_coco`; sets in a remote store (``backend_args``) are skipped."""
    if part.dataset.get('backend_args'):
        return
    folder, path = image_folder(part), annotation_file(part.dataset)
    file = part.read_annotations(
        path, f'{part.key}.ann_file', without_objects=part.for_testing and not _has_labels(part)
    )
    classes = classes_of(part.dataset, part.dataset_class)
    if _needs_masks(part):
        file.for_masks(part.dataset.get('fill_masks_from_boxes'))
    for sentence in (*_faults_of_classes(part, file, classes), *_faults_of_heads(part, classes)):
        yield Fault(Severity.BLOCKS, sentence)
    yield from _faults_of_repairs(part, file)
    yield from _faults_of_objects(part, file, classes)
    yield from faults_of_images(part, file, folder)


def faults_of_metric(
    key: str, metric: ConfigDict, config: Config, read: Callable, predicts_masks: bool
) -> Iterator[Fault]:
    """Faults of a COCO metric: it reads another file than the data set, or scores masks that the model can't
    predict."""
    scored, loader = metric.get('metric', 'bbox'), key.replace('evaluator', 'dataloader')
    if 'segm' in ([scored] if isinstance(scored, str) else scored) and not predicts_masks:
        yield Fault(
            Severity.BLOCKS,
            f"{key} scores masks ('segm'), but the model predicts boxes only; set {key}.metric='bbox'.",
        )
    if not metric.get('ann_file') or metric.get('backend_args'):
        return
    file = read(metric.ann_file, f'{key}.ann_file', without_objects=metric.get('format_only', False))
    dataset = config[loader].dataset
    dataset_class = class_of(dataset, config.get('default_scope'))
    if (
        dataset.get('ann_file')
        and dataset_class is not None
        and reads_coco(dataset_class)
        and not dataset.get('backend_args')
    ):
        yield from _faults_between(
            key, file, loader, read(annotation_file(dataset), f'{loader}.dataset.ann_file', without_objects=True)
        )


def _faults_between(key: str, scored: CocoFile, loader: str, loaded: CocoFile) -> Iterator[Fault]:
    if scored.path.resolve() == loaded.path.resolve():
        return
    names = {image['id']: image['file_name'] for image in scored.images}
    if any(names.get(image['id']) != image['file_name'] for image in loaded.images):
        yield Fault(
            Severity.BLOCKS,
            f"{key}.ann_file is '{scored.path}', which lists other images than '{loaded.path}' of {loader}.dataset; "
            'set both to the same file.',
        )


def image_folder(part: DataPart) -> Path:
    """The folder of the images.

    Raises:
        UserError: if it or the data folder does not exist.
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


def annotation_file(dataset: ConfigDict) -> Path:
    return Path(dataset.get('data_root') or '.', dataset.ann_file)


def _loads_annotations(part: DataPart) -> list[ConfigDict]:
    steps = part.dataset.get('pipeline', ())
    return [step for step in dicts_in(steps) if str(step.get('type')).split('.')[-1] == 'LoadAnnotations']


def _has_labels(part: DataPart) -> bool:
    return bool(_loads_annotations(part))


def _needs_masks(part: DataPart) -> bool:
    return any(step.get('with_mask') for step in _loads_annotations(part))


def _faults_of_repairs(part: DataPart, file: CocoFile) -> Iterator[Fault]:
    repairs_files = issubclass(part.dataset_class, coco.CocoDataset)
    for sentence in file.repairs:
        if repairs_files:
            yield Fault(Severity.NOTE, sentence)
        else:
            yield Fault(
                Severity.BLOCKS,
                f'{sentence} {_full_name(part.dataset_class)} does not do that; derive it from '
                "hiera_mm.datasets.coco.CocoDataset, or write the type as a string: type='CocoDataset'.",
            )
    for sentence in file.doubts:
        yield Fault(Severity.FAULT, sentence)


def _faults_of_classes(part: DataPart, file: CocoFile, classes: list[str]) -> Iterator[str]:
    categories = [category['name'] for category in file.categories]
    missing = [name for name in classes if name not in categories]
    unknown = [name for name in categories if name not in classes]
    if missing and (unknown or not part.for_testing):
        yield (
            f"The classes of {part.key} don't match '{file.path}': the config has {_list_names(classes)}, the file has "
            f"{_list_names(categories)}; {len(missing)} of the config's are not in the file; set {part.key}.metainfo = "
            "dict(classes=(...)) to the file's names."
        )
    elif not issubclass(part.dataset_class, coco.CocoDataset) and classes != [
        name for name in categories if name in classes
    ]:
        yield (
            f"The classes of {part.key} are in another order than in the annotation file, and mmdet's CocoDataset "
            f"numbers them by the file's order: the config has {_list_names(classes)}, '{file.path}' has "
            f"{_list_names(categories)}; write the type as a string, type='CocoDataset', which ignores the order."
        )


def _faults_of_heads(part: DataPart, classes: Sequence[str]) -> Iterator[str]:
    for key, predicted in part.class_places:
        if predicted != len(classes):
            yield (
                f'The model predicts {predicted} classes ({key}), but the data set has {len(classes)} '
                f'({_list_names(classes)}); set classes = (...) at the top of the config, for all data sets and heads.'
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
    yield from _counts_of_loaded(part, file, classes)


def _counts_of_loaded(part: DataPart, file: CocoFile, classes: Sequence[str]) -> Iterator[Fault]:
    """What the data set yields, which may be less than the file lists."""
    with in_scope_named('mmdet'):
        loaded = DATASETS.build(dict(part.dataset, type=part.dataset_class, pipeline=[], lazy_init=True))
        loaded.file = file
        loaded.full_init()
    objects: Counter[str] = Counter()
    empty = 0
    for number in range(len(loaded)):
        instances = loaded.get_data_info(number).get('instances', ())
        empty += not instances
        objects.update(classes[each['bbox_label']] for each in instances if not each['ignore_flag'])
    counts = ', '.join(f'{name} {objects[name]}' for name in classes[:100])
    yield Fault(
        Severity.NOTE,
        f'{part.key}: {len(loaded)} images, {empty} of them without annotations; objects of each class: '
        f'{counts}{", ..." if len(classes) > 100 else ""}.',
    )
    dropped = len(file.images) - len(loaded)
    if dropped:
        least = (part.dataset.get('filter_cfg') or {}).get('min_size', 0)
        small = [
            image['file_name']
            for image in file.images
            if min(image.get('width', least), image.get('height', least)) < least
        ]
        named = f'{examples(small)} of them have a side under min_size = {least} pixels' if small else 'no small ones'
        yield Fault(
            Severity.FAULT if len(small) > len(loaded) else Severity.NOTE,
            f"{part.key}: {dropped} of the {len(file.images)} images in '{file.path}' are left out by filter_cfg: "
            f'{named}, the others have no objects of the classes; set filter_cfg=None in the data set to use all.',
        )


def _full_name(dataset_class: type) -> str:
    return f'{dataset_class.__module__}.{dataset_class.__name__}'


def _list_names(names: Sequence[str]) -> str:
    shown = first_few([f"'{name}'" for name in names], 10)
    return f'[{shown} {len(names)} in all]' if len(names) > 10 else f'[{shown}]'
