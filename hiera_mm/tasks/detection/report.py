"""Sections of a report about a detector."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.evaluation.object_analysis import SIZES, ClassResult, ImageFaults, ObjectAnalysis
from hiera_mm.inference.report import charts
from hiera_mm.inference.report.parts import IMAGE_SIDE, MAX_SHOWN, Section, Table, Tested, as_data_url, most_confused
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.inference.visualization import Label, colour_of, draw
from hiera_mm.readers.coco_files import CocoFile, read_annotations
from hiera_mm.tasks.detection.detector import Detector
from hiera_mm.tasks.detection.heads import predicts_masks
from hiera_mm.tasks.detection.results import Detections, labels_of

import numpy as np
import pycocotools.mask


def sections(trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]:
    """AP of each class, confusions, and the images with the most errors."""
    detector = Detector(trained, tested.dataset.metainfo['classes'])
    file = _annotations(trained)
    tested_ids = {found['img_id'] for found in tested.predictions}
    ids = {category['name']: category['id'] for category in file.categories}
    given: dict[str, Any] = dict(
        images=[image for image in file.images if image['id'] in tested_ids],
        annotations=file.annotations,
        categories=[dict(id=ids[name], name=name) for name in detector.names if name in ids],
        score_thr=score_thr,
    )
    numbers = [ids.get(name) for name in detector.names]
    boxes = ObjectAnalysis(results=list(_results(tested, numbers)), kind='bbox', **given)
    kinds = {'boxes': boxes}
    if predicts_masks(trained.config.model):
        kinds['masks'] = ObjectAnalysis(results=boxes.results, kind='segm', **given)
    tables = [_precisions(name, analysis.by_class) for name, analysis in kinds.items()]
    drawn = [
        (
            f'Precision and recall of {name} at an overlap of a half',
            charts.precision_recall({found.name: found.curve for found in analysis.by_class}),
        )
        for name, analysis in kinds.items()
    ]
    yield Section('Classes', 'AP by class and by size of the object, the worst first.', tables, drawn)
    names = [category['name'] for category in boxes.categories]
    yield Section(
        'Confusion matrix',
        f'Objects and boxes with a score of at least {score_thr} that overlap by a half.',
        [most_confused(boxes.confusion, [*names, 'nothing'], [*names, 'missed'])],
        [('Confusion', charts.confusion_table(boxes.confusion, [*names, 'nothing'], [*names, 'missed']))],
    )
    worst = sorted(boxes.faults, key=lambda fault: -fault.total)[:MAX_SHOWN]
    pictures = [_comparison(detector, fault, file, tested, score_thr) for fault in worst if fault.total]
    yield Section(
        'Images with the most errors', 'Ground truth on the left, prediction on the right.', pictures=pictures
    )


def _annotations(trained: TrainedModel) -> CocoFile:
    evaluators = trained.config.test_evaluator
    first = evaluators[0] if isinstance(evaluators, list | tuple) else evaluators
    if not first.get('ann_file'):
        raise UserError("The report needs the annotation file of the test set; name it: test_evaluator.ann_file='...'.")
    file = read_annotations(first.ann_file, 'ann_file')
    # Objects without a mask are taken as boxes.
    return file.for_masks(fill_masks_from_boxes=True) if predicts_masks(trained.config.model) else file


def _results(tested: Tested, numbers: Sequence[Any]) -> Iterator[dict]:
    """The predictions in COCO's result format."""
    for image in tested.predictions:
        found = image['pred_instances']
        masks = found.get('masks') or [None] * len(found['scores'])
        for box, score, label, mask in zip(found['bboxes'], found['scores'], found['labels'], masks, strict=True):
            x1, y1, x2, y2 = map(float, box)
            entry = dict(image_id=image['img_id'], category_id=numbers[int(label)], score=float(score))
            if entry['category_id'] is not None:
                entry['bbox'] = [x1, y1, x2 - x1, y2 - y1]
                yield entry if mask is None else dict(entry, segmentation=mask)


def _precisions(name: str, classes: Sequence[ClassResult]) -> Table:
    order = sorted(classes, key=lambda found: (math.isnan(found.precisions[0]), found.precisions[0]))
    head = (name, 'objects', 'AP', 'AP50', *(f'AP {size}' for size in SIZES[1:]))
    return Table(head, [(found.name, found.objects, *map(_figure, found.precisions)) for found in order])


def _figure(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.3f}'


def _comparison(
    detector: Detector, fault: ImageFaults, file: CocoFile, tested: Tested, score_thr: float
) -> tuple[str, str]:
    """A caption with the errors, and the image with truth and prediction."""
    image = fault.image
    (found,) = (found for found in tested.predictions if found['img_id'] == image['id'])
    size = {side: image[side] for side in ('width', 'height') if side in image}
    original: Any = dict(img_path=found['img_path'], **size)
    frame = detector.shown(original)
    names = {category['id']: category['name'] for category in file.categories}
    truth = [
        _label(entry, names[entry['category_id']], detector.names, frame.shape[:2])
        for entry in file.annotations
        if entry['image_id'] == image['id']
    ]
    predicted = found['pred_instances']
    boxes, scores, labels = (np.asarray(predicted[key]) for key in ('bboxes', 'scores', 'labels'))
    height, width = frame.shape[:2]
    every = Detections(boxes, scores, labels, detector.names, (height, width), predicted.get('masks'))
    pair = np.concatenate([draw(frame, truth), draw(frame, labels_of(every.above(score_thr)))], axis=1)
    counts = f'{fault.missed} missed, {fault.mistaken} confused, {fault.false_positives} false positives'
    words = f'{image["file_name"]}: {counts}'
    return words, as_data_url(pair, 2 * IMAGE_SIDE)


def _label(entry: dict, name: str, names: Sequence[str], size: tuple[int, ...]) -> Label:
    x, y, width, height = entry['bbox']
    colour = colour_of(names.index(name)) if name in names else (128, 128, 128)
    return Label((x, y, x + width, y + height), [name], colour, _mask_of(entry, size))


def _mask_of(entry: dict, size: tuple[int, ...]) -> Any:
    given = entry.get('segmentation')
    if not given:
        return None
    if isinstance(given, list):
        return pycocotools.mask.merge(pycocotools.mask.frPyObjects(given, *size))
    return pycocotools.mask.frPyObjects(given, *size) if isinstance(given['counts'], list) else given
