"""Says in sentences what is wrong with a config's data before a run starts."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hiera_mm.checks.ava import METRICS, TYPES, check_ava, check_ava_metric
from hiera_mm.checks.images import check_images, check_same_classes
from hiera_mm.errors import UserError
from hiera_mm.readers.labelled_lists import check_labels, read_video_list

from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict


def check_data(config: Config, loaders: Sequence[str]) -> None:
    """Look at the COCO-format and AVA-format sets, the images and the video lists of the named data loaders, and at
    their evaluators' files.

    Args:
        config: Of the whole run.
        loaders: Such as ``['train_dataloader', 'val_dataloader']``; absent ones are passed over, and so is
            data in a remote store (``backend_args``). Of several processes only the first looks.

    Raises:
        UserError: for a folder, annotation file or list that is missing, one that isn't one, classes that the file
            lacks or lists in another order, heads or blending with another number of classes, and what
            :func:`check_ava` and :func:`check_images` refuse.
    """
    if int(os.environ.get('RANK', 0)) > 0:
        return
    check_blending(config.model)
    for loader in loaders:
        if config.get(loader) is None:
            continue
        if config[loader].dataset.get('type') == 'ImageDataset':
            check_images(f'{loader}.dataset', config[loader].dataset, config.model)
        if config[loader].dataset.get('type') in TYPES:
            check_ava(f'{loader}.dataset', config[loader], config.model)
        if config[loader].dataset.get('type') == 'ClipDataset':
            check_video_list(f'{loader}.dataset', config[loader].dataset, config.model)
            _check_repeats(loader, config[loader])
        for key, dataset in coco_datasets(f'{loader}.dataset', config[loader].dataset):
            categories = _categories(key, dataset)
            classes = classes_of(dataset)
            _check_classes(key, dataset, classes, categories)
            _check_heads(config.model, classes)
        _check_evaluators(config, loader.replace('dataloader', 'evaluator'))
    check_same_classes(config, loaders)


def check_video_list(key: str, dataset: ConfigDict, model: ConfigDict) -> list[tuple[str, int]]:
    """The names and labels of a ``ClipDataset``'s list.

    Raises:
        UserError: for a list or folder that is missing, a line that is none, or labels that the head does not have.
    """
    entries = read_video_list(dataset.ann_file)
    folder = Path(dataset.get('data_prefix', {}).get('video', ''))
    if not folder.is_dir():
        raise UserError(
            f"The video folder '{folder}' of {key} does not exist; put the videos there or set the folder with "
            f'--cfg-options {key}.data_prefix.video=FOLDER.'
        )
    check_labels(entries, model.get('cls_head', {}).get('num_classes'), 'videos', dataset.ann_file, key)
    return entries


def _check_repeats(key: str, loader: ConfigDict) -> None:
    repeats, collate = loader.dataset.get('num_repeats', 1), loader.get('collate_fn', {}).get('type', 'pseudo_collate')
    needed = 'repeat_pseudo_collate' if repeats > 1 else 'pseudo_collate'
    if collate != needed and collate in ('pseudo_collate', 'repeat_pseudo_collate'):
        raise UserError(
            f'{key}.dataset.num_repeats is {repeats}, whose samples {collate} does not put together; set '
            f"{key}.collate_fn.type='{needed}'."
        )


def coco_datasets(key: str, dataset: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """The local sets in COCO format with their place in the config, also inside wrappers such as RepeatDataset."""
    for place, part in unwrapped(key, dataset):
        if part.get('type') == 'CocoDataset' and not part.get('backend_args'):
            yield place, part


def unwrapped(key: str, dataset: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """The data sets inside wrappers such as ``RepeatDataset``, or the one itself, with their place in the config."""
    inner = [(f'{key}.dataset', dataset.dataset)] if 'dataset' in dataset else []
    inner += [(f'{key}.datasets.{number}', part) for number, part in enumerate(dataset.get('datasets', ()))]
    for place, part in inner:
        yield from unwrapped(place, part)
    if not inner:
        yield key, dataset


def _categories(key: str, dataset: ConfigDict) -> list[str]:
    root = Path(dataset.get('data_root') or '.')
    if not root.is_dir():
        raise UserError(
            f"The data folder '{root}' of {key} does not exist; put the data there or set the folder with "
            f'--cfg-options {key}.data_root=FOLDER.'
        )
    images = root / dataset.get('data_prefix', {}).get('img', '')
    if not images.is_dir():
        raise UserError(
            f"The image folder '{images}' of {key} does not exist; set it with "
            f'--cfg-options {key}.data_prefix.img=FOLDER (inside the data folder).'
        )
    content = _read_annotations(root / dataset.ann_file, f'{key}.ann_file')
    return [category['name'] for category in content['categories']]


def _read_annotations(path: Path, key: str) -> dict:
    if not path.is_file():
        raise UserError(
            f"The annotation file '{path}' of {key} does not exist; put it there or set it with "
            f'--cfg-options {key}=FILE.'
        )
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f"The annotation file '{path}' of {key} is not valid JSON: {error}.") from error
    absent = [part for part in ('images', 'annotations', 'categories') if part not in content]
    if absent:
        raise UserError(f"The annotation file '{path}' of {key} is not in COCO format: it lacks {', '.join(absent)}.")
    return content


def classes_of(dataset: ConfigDict) -> list[str]:
    """Names of the classes of a data set's config, those of its type if it names none."""
    chosen = dataset.get('metainfo', {}).get('classes')
    if chosen is None:
        chosen = DATASETS.get(dataset.type).METAINFO['classes']
    return [chosen] if isinstance(chosen, str) else list(chosen)


def _check_classes(key: str, dataset: ConfigDict, classes: list[str], categories: list[str]) -> None:
    path = Path(dataset.get('data_root') or '.', dataset.ann_file)
    remedy = f"set {key}.metainfo = dict(classes=(...)) to the file's names, in the file's order."
    absent = [name for name in classes if name not in categories]
    if absent:
        raise UserError(
            f"The classes of {key} don't match '{path}': the config has {_listed(classes)}, the file has "
            f'{_listed(categories)}; {len(absent)} of the config are not in the file; {remedy}'
        )
    in_file_order = [name for name in categories if name in classes]
    if in_file_order != classes:
        raise UserError(
            f'The classes of {key} are in another order than in the annotation file, and mmdet numbers them by the '
            f"file's order: the config has {_listed(classes)}, '{path}' has {_listed(in_file_order)}; {remedy}"
        )


def _check_heads(model: ConfigDict, classes: list[str]) -> None:
    for part in ('bbox_head', 'mask_head'):
        heads = model.get('roi_head', {}).get(part, ())
        for head in heads if isinstance(heads, list | tuple) else [heads]:
            if head.get('num_classes', len(classes)) != len(classes):
                raise UserError(
                    f'The model predicts {head.num_classes} classes (model.roi_head.{part}.num_classes), but the data '
                    f'set has {len(classes)} ({_listed(classes)}); set num_classes={len(classes)} there.'
                )


def check_blending(model: ConfigDict) -> None:
    """Refuse mixup or cutmix for another number of classes than the head's.

    Raises:
        UserError: naming the key to set.
    """
    classes = model.get('cls_head', {}).get('num_classes')
    blending = model.get('data_preprocessor', {}).get('blending') or {}
    for number, augment in enumerate(blending.get('augments', ())):
        if augment.get('num_classes', classes) != classes:
            raise UserError(
                f'{augment.type} makes labels of {augment.num_classes} classes, but the model predicts {classes}; set '
                f'model.data_preprocessor.blending.augments.{number}.num_classes={classes}.'
            )


def _check_evaluators(config: Config, key: str) -> None:
    evaluators = config.get(key) or []
    for evaluator in evaluators if isinstance(evaluators, list | tuple) else [evaluators]:
        if evaluator.type in METRICS:
            check_ava_metric(key, evaluator, config.model)
        elif evaluator.get('ann_file') and not evaluator.get('backend_args'):
            _read_annotations(Path(evaluator.ann_file), f'{key}.ann_file')


def _listed(names: list[str]) -> str:
    shown = ', '.join(f"'{name}'" for name in names[:10])
    return f'[{shown}{f", ... {len(names)} in all" if len(names) > 10 else ""}]'
