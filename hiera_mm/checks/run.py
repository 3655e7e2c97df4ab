"""Every fault of a config's data sets in a sentence, for ``tools/check_dataset.py``."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hiera_mm.checks.ava import TYPES, inspect_ava, sample
from hiera_mm.checks.before_training import check_blending, check_data, check_video_list, coco_datasets
from hiera_mm.checks.images import check_same_classes, inspect_images
from hiera_mm.errors import BrokenFileError, UserError, examples

from mmengine.config import Config, ConfigDict

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def inspect_data(config: Config, count: int | None) -> Iterator[str]:
    """Look at all that the config's lists and annotation files name.

    Args:
        config: Of the whole run.
        count: How many videos of each list, or images of each set with a class for each, to decode, chosen at random;
            None for all.

    Yields:
        One sentence a fault, and after ``Note:`` what is allowed but worth knowing.
    """
    seen = set()
    for check in (lambda: check_blending(config.model), lambda: check_same_classes(config, LOADERS)):
        try:
            check()
        except UserError as error:
            yield str(error)
    for loader in LOADERS:
        if config.get(loader) is None:
            continue
        dataset = config[loader].dataset
        inspect = {'ClipDataset': _video_faults, 'ImageDataset': inspect_images} | dict.fromkeys(TYPES, inspect_ava)
        if dataset.get('type') in inspect:
            place = (dataset.get('data_root'), dataset.get('ann_file'), str(dataset.get('data_prefix')))
            if place not in seen:
                yield from inspect[dataset.type](f'{loader}.dataset', config[loader], config.model, count)
            seen.add(place)
            continue
        try:
            check_data(config, [loader])
        except UserError as error:
            yield str(error)
            continue
        for key, part in coco_datasets(f'{loader}.dataset', dataset):
            place = (part.get('data_root'), part.ann_file)
            if place not in seen:
                yield from _coco_faults(key, part)
            seen.add(place)


def _video_faults(key: str, loader: ConfigDict, model: ConfigDict, count: int | None) -> Iterator[str]:
    from hiera_mm.readers.videos import open_video

    dataset = loader.dataset
    try:
        entries = check_video_list(key, dataset, model)
    except UserError as error:
        yield str(error)
        return
    folder = Path(dataset.get('data_prefix', {}).get('video', ''))
    missing = [name for name, _ in entries if not (folder / name).is_file()]
    if missing:
        names = examples(missing)
        yield f"{key}: {names} of '{dataset.ann_file}' are not in '{folder}'; correct data_prefix or the list."
    present = sorted({name for name, _ in entries} - set(missing))
    clip = max(step.get('clip_len', 1) for step in dataset.pipeline)
    short = []
    for name in sample(present, count):
        try:
            reader = open_video(folder / name)
            reader.frames([0, len(reader) // 2, len(reader) - 1])
        except BrokenFileError as error:
            yield f'{key}: {error}'
            continue
        if len(reader) < clip:
            short.append(f'{name} with {len(reader)}')
    if short:
        yield (
            f'Note: {key}: {examples(short)} of the videos have fewer frames than the {clip} of a clip; frames are '
            f'repeated there.'
        )


def _coco_faults(key: str, dataset: ConfigDict) -> Iterator[str]:
    root = Path(dataset.get('data_root') or '.')
    path = root / dataset.ann_file
    content = json.loads(path.read_text(encoding='utf-8'))
    images = {image['id']: image for image in content['images']}
    folder = root / dataset.get('data_prefix', {}).get('img', '')
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
