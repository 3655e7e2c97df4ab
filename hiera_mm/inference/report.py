"""A trained model on one page: its training, what it gets right and wrong, and how fast it is."""

import base64
import io
import math
import pickle
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hiera_mm.atomic_write import atomic_write
from hiera_mm.checks.run import check_data
from hiera_mm.engine.processes import process_group
from hiera_mm.engine.running import build_runner
from hiera_mm.engine.testing import dump_of_predictions, prepare_test
from hiera_mm.errors import UserError
from hiera_mm.evaluation.ava import AVAMetric
from hiera_mm.evaluation.object_analysis import SIZES, ClassResult, ObjectAnalysis, PictureFaults
from hiera_mm.inference import charts
from hiera_mm.inference.detector import Detector
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.inference.training_log import Curves, TrainingLog, read_training_log
from hiera_mm.inference.visualization import Label, colour_of, draw, labels_of
from hiera_mm.readers.coco_files import CocoFile, read_annotations
from hiera_mm.readers.frames import FrameReader
from hiera_mm.readers.videos import open_video

import jinja2
import numpy as np
import pycocotools.mask
from mmaction.models import BaseRecognizer
from mmdet.models.detectors import BaseDetector
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

SHOWN = 8
"""Pictures or clips with most faults, and pairs of classes that are confused most often."""

PICTURE_SIDE = 480
"""Of pictures on the page, in pixels."""


class Table(NamedTuple):
    head: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass
class Section:
    """Of the page.

    Attributes:
        charts, pictures: Each a caption with its source.
        details: Text that is folded away.
    """

    heading: str
    text: str = ''
    tables: list[Table] = field(default_factory=list)
    charts: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    details: str = ''


class Tested(NamedTuple):
    """What the model gives on its test set.

    Attributes:
        metrics: By name.
        predictions: Of each sample, in the order of the data set.
        runner: That tested.
    """

    metrics: dict[str, float]
    predictions: list[dict]
    runner: Runner

    @property
    def dataset(self) -> Any:
        return self.runner.test_dataloader.dataset


def write_report(trained: TrainedModel, checkpoint: Path, path: Path, score_thr: float = 0.3) -> dict[str, float]:
    """Test a model once more and write an HTML page that needs no other file.

    Args:
        trained: The model.
        checkpoint: Its file, in the folder of its run.
        path: Of the page.
        score_thr: Least score of what a detector is taken to have found, in what is told of single objects.

    Returns:
        The metrics on the test set; none for a masked autoencoder, whose page is about its training.

    Raises:
        UserError: if the folder holds no training log, or as testing.
    """
    log = read_training_log(checkpoint.parent)
    # Before testing changes them.
    settings = Section('Settings', f'Checkpoint {checkpoint.name}.', details=trained.config.pretty_text)
    sections, metrics = [*_of_training(log), settings], {}
    if trained.config.get('test_dataloader'):
        tested = _tested(trained.config, checkpoint)
        metrics = tested.metrics
        sections = [_of_metrics(metrics), *_of_task(trained, tested, score_thr), *sections]
    template = jinja2.Template((Path(__file__).with_suffix('.html')).read_text(encoding='utf-8'), autoescape=True)
    title = f'{trained.config.model.type}: {checkpoint.parent.name}'
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        unfinished.write_text(template.render(title=title, sections=sections), encoding='utf-8')
    return metrics


def _tested(config: Config, checkpoint: Path) -> Tested:
    check_data(config, ['test_dataloader'])
    prepare_test(config, str(checkpoint))
    with TemporaryDirectory() as folder, process_group(config):
        config.work_dir = folder
        runner = build_runner(config)
        dump = dump_of_predictions(config, f'{folder}/predictions.pkl')
        runner.test_evaluator.metrics.append(dump)
        metrics = runner.test()
        dump.raise_fault()
        with open(dump.out_file_path, 'rb') as file:
            return Tested(metrics, pickle.load(file), runner)


def _of_training(log: TrainingLog) -> Iterator[Section]:
    rates = {name: values for name, values in log.training.items() if name in ('lr', 'base_lr')}
    drawn = [('Losses', charts.curves(_total_first(log.losses), 'loss'))]
    if rates:
        drawn.append(('Learning rate', charts.curves({'lr': rates.get('lr') or rates['base_lr']}, 'learning rate')))
    metrics = {name: values for name, values in log.validation.items() if not name.endswith('time')}
    shown = {name: values for name, values in metrics.items() if all(0 <= value <= 1 for value in values.values())}
    if shown:
        drawn.append(('Validation', charts.curves(shown, 'metric', 'iteration, or epoch')))
    yield Section('Training', charts=drawn)
    rows = [(words, f'{_median(log.training[name]):.3g}') for name, words in _SPEED.items() if name in log.training]
    if 'time' in log.validation:
        rows.append(('seconds a batch in validation', f'{_median(log.validation["time"]):.3g}'))
    if rows:
        yield Section('Speed', 'Medians of the run.', [Table(('', 'value'), rows)])


_SPEED = dict(time='seconds an iteration', data_time='of these, waiting for data', memory='memory of the GPU, MB')


def _median(values: dict[int, float]) -> float:
    return statistics.median(values.values())


def _total_first(losses: Curves) -> Curves:
    return dict(sorted(losses.items(), key=lambda item: item[0] != 'loss'))


def _of_metrics(metrics: dict[str, float]) -> Section:
    # COCO writes -1 for sizes of which there is no object.
    rows = [(name, f'{value:.4f}') for name, value in metrics.items() if value != -1]
    return Section('Results on the test set', tables=[Table(('metric', 'value'), rows)])


def _of_task(trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]:
    if isinstance(trained.model, BaseRecognizer):
        yield from _of_classes(tested)
    elif isinstance(tested.runner.test_evaluator.metrics[0], AVAMetric):
        by_action = tested.runner.test_evaluator.metrics[0].by_action
        rows = sorted(((name, f'{value:.3f}') for name, value in by_action.items()), key=lambda row: row[1])
        yield Section('Actions', 'Average precision of each, the worst first.', [Table(('action', 'AP'), rows)])
    elif isinstance(trained.model, BaseDetector):
        yield from _of_objects(trained, tested, score_thr)


def _of_objects(trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]:
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
    if trained.model.with_mask:
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
        'What is taken for what',
        f'Objects and boxes with a score of at least {score_thr} that overlap by a half.',
        [_most_confused(boxes.confusion, [*names, 'nothing'], [*names, 'missed'])],
        [('Confusion', charts.confusion_table(boxes.confusion, [*names, 'nothing'], [*names, 'missed']))],
    )
    worst = sorted(boxes.faults, key=lambda fault: -fault.total)[:SHOWN]
    pictures = [_beside(detector, fault, file, tested, score_thr) for fault in worst if fault.total]
    yield Section('Pictures with most faults', 'The ground truth left, the prediction right.', pictures=pictures)


def _annotations(trained: TrainedModel) -> CocoFile:
    evaluators = trained.config.test_evaluator
    first = evaluators[0] if isinstance(evaluators, list | tuple) else evaluators
    if not first.get('ann_file'):
        raise UserError("The report needs the annotation file of the test set; name it: test_evaluator.ann_file='...'.")
    file = read_annotations(first.ann_file, 'ann_file')
    # What has no mask is a box for this.
    return file.for_masks(fill_masks_from_boxes=True) if trained.model.with_mask else file


def _results(tested: Tested, numbers: Sequence[Any]) -> Iterator[dict]:
    """In COCO's result format."""
    for picture in tested.predictions:
        found = picture['pred_instances']
        masks = found.get('masks') or [None] * len(found['scores'])
        for box, score, label, mask in zip(found['bboxes'], found['scores'], found['labels'], masks, strict=True):
            x1, y1, x2, y2 = map(float, box)
            entry = dict(image_id=picture['img_id'], category_id=numbers[int(label)], score=float(score))
            if entry['category_id'] is not None:
                entry['bbox'] = [x1, y1, x2 - x1, y2 - y1]
                yield entry if mask is None else dict(entry, segmentation=mask)


def _precisions(name: str, classes: Sequence[ClassResult]) -> Table:
    order = sorted(classes, key=lambda found: (math.isnan(found.precisions[0]), found.precisions[0]))
    head = (name, 'objects', 'AP', 'AP50', *(f'AP {size}' for size in SIZES[1:]))
    return Table(head, [(found.name, found.objects, *map(_figure, found.precisions)) for found in order])


def _figure(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.3f}'


def _most_confused(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> Table:
    wrong = [
        (int(counts[row, column]), rows[row], columns[column]) for row, column in np.argwhere(counts) if row != column
    ]
    most = sorted(wrong, reverse=True)[:SHOWN]
    return Table(('is', 'found as', 'times'), [(row, column, count) for count, row, column in most])


def _beside(
    detector: Detector, fault: PictureFaults, file: CocoFile, tested: Tested, score_thr: float
) -> tuple[str, str]:
    """The faults in words, and the picture twice."""
    image = fault.image
    (found,) = (found for found in tested.predictions if found['img_id'] == image['id'])
    size = {side: image[side] for side in ('width', 'height') if side in image}
    original: Any = dict(img_path=found['img_path'], **size)
    frame = detector.decoded(original)
    names = {category['id']: category['name'] for category in file.categories}
    truth = [
        _label(entry, names[entry['category_id']], detector.names, frame.shape[:2])
        for entry in file.annotations
        if entry['image_id'] == image['id']
    ]
    shown: Any = detector.predict(original)
    pair = np.concatenate([draw(frame, truth), draw(frame, labels_of(shown.above(score_thr)))], axis=1)
    words = (
        f'{image["file_name"]}: {fault.missed} missed, {fault.mistaken} taken for another, {fault.invented} invented'
    )
    return words, _as_source(pair, 2 * PICTURE_SIDE)


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


def _of_classes(tested: Tested) -> Iterator[Section]:
    scores = np.array([np.asarray(found['pred_score']) for found in tested.predictions])
    truth = np.array([int(found['gt_label']) for found in tested.predictions])
    guessed, count = scores.argmax(1), scores.shape[1]
    names = list((tested.dataset.metainfo or {}).get('classes') or map(str, range(count)))
    counts = np.zeros((count, count), int)
    np.add.at(counts, (truth, guessed), 1)
    totals = counts.sum(1)
    rows = sorted((counts[c, c] / totals[c], names[c], int(totals[c])) for c in range(count) if totals[c])
    table = Table(('class', 'samples', 'right'), [(name, total, f'{part:.3f}') for part, name, total in rows])
    yield Section('Classes', 'How many of each are right, the worst first.', [table])
    yield Section(
        'What is taken for what',
        tables=[_most_confused(counts, names, names)],
        charts=[('Confusion', charts.confusion_table(counts, names, names))],
    )
    surest = np.where(guessed == truth, -1, scores.max(1)).argsort()[::-1]
    wrong = [int(place) for place in surest[:SHOWN] if guessed[place] != truth[place]]
    pictures = [
        (
            f'{names[truth[place]]}, taken for {names[guessed[place]]} with a score of {scores[place].max():.2f}',
            _as_source(_seen(tested.dataset.get_data_info(place)), PICTURE_SIDE),
        )
        for place in wrong
    ]
    yield Section('Surest mistakes', pictures=pictures)


def _seen(sample: dict) -> np.ndarray:
    """A picture, or the frame in the middle of a clip."""
    if 'img_path' in sample:
        with Image.open(sample['img_path']) as picture:
            return np.asarray(picture.convert('RGB'))
    reader: FrameReader = sample.get('video_reader') or open_video(sample['filename'])
    return reader.frames([len(reader) // 2])[0]


def _as_source(picture: np.ndarray, side: int) -> str:
    """Smaller, as text that the page holds."""
    smaller = Image.fromarray(picture)
    smaller.thumbnail((side, side))
    content = io.BytesIO()
    smaller.save(content, format='JPEG', quality=85)
    return f'data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}'
