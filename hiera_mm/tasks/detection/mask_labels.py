"""Masks for the objects of annotation files that have boxes alone."""

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hiera_mm.atomic_write import atomic_write
from hiera_mm.checks.coco import annotation_file, reads_coco
from hiera_mm.checks.run import LOADERS, data_sets
from hiera_mm.config import in_scope_named
from hiera_mm.errors import UserError
from hiera_mm.inference.prediction import Outcome, each_result
from hiera_mm.readers.channels import loading_step
from hiera_mm.readers.coco_files import CocoFile, read_annotations
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.tasks.detection.data_sheet import draw_sheet
from hiera_mm.weights.origin import Origin, licences_of

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import TRANSFORMS
from pycocotools import mask as coco_masks

ENDING = '_masks.json'
"""Of the new files' names."""

MOST_OUTSIDE = 0.1
"""Share of a mask that may lie outside its box; boxes are drawn by hand, a pixel or two too small."""


class MaskMaker(Protocol):
    """What makes masks; :class:`hiera_mm.inference.segment_anything.SegmentAnything` documents it."""

    source: str
    origins: list[Origin]

    def masks(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass
class MaskLabels:
    """What became of an annotation file.

    Attributes:
        keys: The config keys of the data sets that read it.
        given, written: The file, and the new one.
        made: Number of objects with a new mask.
        left_alone: Number of objects that had a mask, and of crowds.
        doubtful: The objects that stay boxes: image, id, class, and why.
        broken: A sentence for each image that can't be read, whose objects stay boxes.
        sheet: An image of samples with the masks.
    """

    keys: list[str]
    given: Path
    written: Path
    made: int = 0
    left_alone: int = 0
    doubtful: list[tuple[str, Any, str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    sheet: Path | None = None


def label_masks(config: Config, maker: MaskMaker, least_score: float, folder: Path) -> list[MaskLabels]:
    """Write for each annotation file of a config one in which objects with a box alone have a mask.

    Masks that are there already stay as they are, unless all of a file are the boxes themselves. Where the new mask is
    empty, lies outside its box, or has a low score, the object stays a box.

    Args:
        config: The config, whose data sets are in COCO's format.
        maker: Makes the masks.
        least_score: The lowest score of a mask.
        folder: For sheets, lists of doubtful objects, and what an interrupted run has done, which is then continued.

    Raises:
        UserError: for a set in another format, one whose images are not colours, and for a new file's name that another
            file has.
    """
    found: dict[Path, MaskLabels] = {}
    for loader in LOADERS:
        for key, dataset, kind in data_sets(config, loader):
            if kind is None or not reads_coco(kind) or dataset.get('backend_args'):
                raise UserError(
                    f"{key} is not a set of COCO's format in a local folder, whose boxes could get masks; make one of "
                    'it with hiera-mm init.'
                )
            given = annotation_file(dataset)
            if given.resolve() in found:
                found[given.resolve()].keys.append(key)
            else:
                # Some programs give the files of all parts one name, in a folder each.
                taken = any(labels.given.stem == given.stem for labels in found.values())
                name = f'{given.stem}_{len(found)}' if taken else given.stem
                found[given.resolve()] = _labelled(key, dataset, given, maker, least_score, folder / name)
    return list(found.values())


def _labelled(
    key: str, dataset: ConfigDict, given: Path, maker: MaskMaker, least_score: float, folder: Path
) -> MaskLabels:
    labels = MaskLabels([key], given, given.with_name(given.stem + ENDING))
    _refuse_other_file(labels.written)
    file = read_annotations(given, f'{key}.ann_file', without_objects=True)
    boxes_alone = _with_boxes_alone(file)
    by_image: dict[Any, list[dict]] = defaultdict(list)
    for annotation in file.annotations:
        if annotation['id'] in boxes_alone:
            by_image[annotation['image_id']].append(annotation)
    labels.left_alone = len(file.annotations) - len(boxes_alone)
    images = Path(dataset.get('data_root') or '.', dataset.get('data_prefix', {}).get('img', ''))
    entries = {
        Input(str(images / image['file_name']), Kind.IMAGE, image['file_name']): image
        for image in file.images
        if image['id'] in by_image
    }
    stamp = given.stat()
    settings = dict(masks=maker.source, of=[stamp.st_mtime_ns, stamp.st_size])
    outcome = Outcome(folder, settings, list(entries))
    read = _reader(dataset, key)
    left = {entry: entry for entry in outcome.left}

    def made(batch: list[tuple[Input, np.ndarray]]) -> list[list[dict]]:
        return [_masks_of(by_image[entries[entry]['id']], pixels, maker) for entry, pixels in batch]

    for entry, found in each_result(made, left, 1, outcome, lambda entry: (entry, read(entry.source, entries[entry]))):
        outcome.finish(entry, dict(masks=found))
    masks = {mask['id']: mask for result in outcome.progress.entries() for mask in result['masks']}
    labels.broken = outcome.broken
    _write(labels, file, masks, maker, least_score)
    outcome.close()
    _draw(labels, dataset, folder)
    return labels


def _with_boxes_alone(file: CocoFile) -> set:
    """Ids of the objects that have no mask, or of all if all masks are the boxes."""
    objects = [annotation for annotation in file.annotations if not annotation['iscrowd']]
    masks = [annotation for annotation in objects if 'segmentation' in annotation]
    if all(_is_its_box(annotation) for annotation in masks):
        return {annotation['id'] for annotation in objects}
    return {annotation['id'] for annotation in objects if 'segmentation' not in annotation}


def _is_its_box(annotation: Mapping[str, Any]) -> bool:
    mask = annotation['segmentation']
    if not isinstance(mask, list) or len(mask) != 1 or len(mask[0]) not in (8, 10):
        return False
    left, top, width, height = annotation['bbox']
    corners = {(x, y) for x in (left, left + width) for y in (top, top + height)}
    points = [*zip(mask[0][::2], mask[0][1::2], strict=True)]
    near = [min(corners, key=lambda corner: abs(corner[0] - x) + abs(corner[1] - y)) for x, y in points]
    exact = all(abs(x - u) <= 1 and abs(y - v) <= 1 for (x, y), (u, v) in zip(points, near, strict=True))
    return exact and {*near} == corners


def _reader(dataset: ConfigDict, key: str) -> Any:
    """Reads an image as it was annotated, RGB."""
    step = dict(loading_step(dataset.get('pipeline')) or dict(type='LoadImageFromFile'))
    if step.get('channels', 3) != 3 or step.get('channel_files'):
        raise UserError(f'The images of {key} are not in colour, which SAM 2 takes; label colour images.')
    with in_scope_named('mmdet'):
        load = TRANSFORMS.build(step)

    def read(path: str, image: Mapping[str, Any]) -> np.ndarray:
        size = {side: image[side] for side in ('height', 'width') if side in image}
        return np.asarray(load(dict(img_path=path, **size))['img'][..., ::-1])

    return read


def _masks_of(annotations: Sequence[dict], pixels: np.ndarray, maker: MaskMaker) -> list[dict]:
    """The masks of an image's objects, in JSON types."""
    boxes = np.array([annotation['bbox'] for annotation in annotations], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    masks, scores = maker.masks(pixels, boxes)
    results = []
    for annotation, box, mask, score in zip(annotations, boxes, masks, scores, strict=True):
        code = coco_masks.encode(np.asfortranarray(mask, dtype=np.uint8))
        results.append(
            dict(
                id=annotation['id'],
                segmentation=dict(size=[int(side) for side in code['size']], counts=code['counts'].decode()),
                area=int(mask.sum()),
                outside=_share_outside(mask, box),
                score=round(float(score), 4),
            )
        )
    return results


def _share_outside(mask: np.ndarray, box: np.ndarray) -> float:
    left, top = np.floor(box[:2]).astype(int).clip(0)
    right, bottom = np.ceil(box[2:]).astype(int)
    inside = mask[top:bottom, left:right].sum()
    return float(1 - inside / max(mask.sum(), 1))


def _write(labels: MaskLabels, file: CocoFile, masks: Mapping[Any, dict], maker: MaskMaker, least_score: float) -> None:
    content = json.loads(labels.given.read_text(encoding='utf-8-sig'))
    names = {image['id']: image['file_name'] for image in file.images}
    classes = {category['id']: category['name'] for category in file.categories}
    annotations = []
    for annotation in file.annotations:
        mask = masks.get(annotation['id'])
        if mask is not None:
            annotation = {key: value for key, value in annotation.items() if key != 'segmentation'}
            if reason := _doubt(mask, least_score):
                place = names[annotation['image_id']], annotation['id'], classes[annotation['category_id']]
                labels.doubtful.append((*place, reason))
            else:
                made = dict(segmentation=mask['segmentation'], area=mask['area'])
                annotation |= made | dict(score=mask['score'], source=maker.source)
                labels.made += 1
        annotations.append(annotation)
    made_by = dict(source=maker.source, licence=licences_of(maker.origins), least_score=least_score)
    content.update(images=file.images, annotations=annotations, categories=file.categories)
    content['info'] = {**(content.get('info') or {}), 'masks': made_by}
    with atomic_write(labels.written) as unfinished:
        unfinished.write_text(json.dumps(content))


def _doubt(mask: Mapping[str, Any], least_score: float) -> str:
    """Why an object stays a box; empty if it does not."""
    if not mask['area']:
        return 'the mask is empty'
    if mask['outside'] > MOST_OUTSIDE:
        return f'{mask["outside"]:.0%} of the mask are outside the box'
    return f'the score is {mask["score"]:.2f}' if mask['score'] < least_score else ''


def _refuse_other_file(path: Path) -> None:
    if not path.exists():
        return
    try:
        made = 'masks' in json.loads(path.read_text(encoding='utf-8-sig'))['info']
    except (ValueError, KeyError, TypeError):
        made = False
    if not made:
        raise UserError(
            f"'{path}' is where the masks are to be written, but another file has this name; rename that one."
        )


def _draw(labels: MaskLabels, dataset: ConfigDict, folder: Path) -> None:
    """A sheet with the masks, and a list of the objects that stay boxes."""
    if labels.doubtful:
        with atomic_write(folder / 'boxes.csv') as unfinished, unfinished.open('w', newline='') as file:
            csv.writer(file).writerows([('image', 'annotation', 'class', 'reason'), *labels.doubtful])
    if labels.made:
        load = dict(loading_step(dataset.get('pipeline')) or dict(type='LoadImageFromFile'))
        steps = [load, dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
        files = dict(ann_file=str(labels.written.resolve()), fill_masks_from_boxes=True, pipeline=steps)
        if draw_sheet(dataset | ConfigDict(files), folder / 'masks.png'):
            labels.sheet = folder / 'masks.png'
