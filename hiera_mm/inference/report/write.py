"""Writes an HTML report about a trained model: training, errors, and speed."""

import pickle
import statistics
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from hiera_mm.atomic_write import atomic_write
from hiera_mm.checks.fault import unwrapped
from hiera_mm.checks.run import check_data
from hiera_mm.engine.processes import process_group
from hiera_mm.engine.running import build_runner
from hiera_mm.engine.testing import prepare_test, run_with_predictions
from hiera_mm.inference.report import charts
from hiera_mm.inference.report.parts import Section, Table, Tested
from hiera_mm.inference.trained import InferenceTask, TrainedModel
from hiera_mm.inference.training_log import Curves, TrainingLog, read_training_log

import jinja2
from mmengine.config import Config

SOURCE_KEYS = ('type', 'data_root', 'ann_file', 'data_prefix', 'img_dir', 'split', 'indices')
"""Settings of a data set that say which samples it has."""


def write_report(
    trained: TrainedModel, config: Config, checkpoint: Path, path: Path, score_thr: float = 0.3
) -> dict[str, float]:
    """Test a model again and write a self-contained HTML page.

    Args:
        trained: The model.
        config: The config to test it with, see :func:`hiera_mm.inference.loading.config_for_testing`.
        checkpoint: Its file, in the folder of its run.
        path: The page to write.
        score_thr: Score threshold for a detector's confusions and errors.

    Returns:
        The metrics on the test set; empty for a masked autoencoder, whose page is about its training.

    Raises:
        UserError: as in testing.
    """
    log = read_training_log(checkpoint.parent)
    # Before testing changes the config.
    settings = Section('Settings', f'Checkpoint {checkpoint.name}.', details=trained.config.pretty_text)
    sections, metrics = [*_training_sections(log), settings], {}
    if trained.config.get('test_dataloader'):
        validated = _is_validation_set(trained.config)
        tested = _tested(trained.task, config, checkpoint)
        metrics = tested.metrics
        sections = [_metrics_section(metrics, validated), *trained.task.report(trained, tested, score_thr), *sections]
    template = jinja2.Template(Path(__file__).with_name('page.html').read_text(encoding='utf-8'), autoescape=True)
    title = f'{trained.config.model.type}: {checkpoint.parent.name}'
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        unfinished.write_text(template.render(title=title, sections=sections), encoding='utf-8')
    return metrics


def _tested(task: InferenceTask, config: Config, checkpoint: Path) -> Tested:
    check_data(config, task, ['test_dataloader'])
    prepare_test(config, str(checkpoint))
    with TemporaryDirectory() as folder, process_group(config):
        config.work_dir = folder
        runner = build_runner(config)
        predictions = Path(folder, 'predictions.pkl')
        metrics = run_with_predictions(runner, task.dump, str(predictions))
        return Tested(metrics, pickle.loads(predictions.read_bytes()), runner)


def _training_sections(log: TrainingLog) -> Iterator[Section]:
    rates = {name: values for name, values in log.training.items() if name in ('lr', 'base_lr')}
    if not log.training:
        yield Section('Training', 'The folder has no training log, so there are no curves.')
        return
    drawn = [('Losses', charts.curves(_total_first(log.losses), 'loss'))]
    if rates:
        drawn.append(('Learning rate', charts.curves({'lr': rates.get('lr') or rates['base_lr']}, 'learning rate')))
    metrics = {name: values for name, values in log.validation.items() if not name.endswith('time')}
    # COCO writes -1 for object sizes that don't occur.
    known = {name: values for name, values in metrics.items() if min(values.values()) >= 0}
    shares = {name: values for name, values in known.items() if max(values.values()) <= 1}
    others = {name: values for name, values in known.items() if name not in shares}
    for words, shown in (('Validation', shares), ('Validation, on other scales', others)):
        if shown:
            drawn.append((words, charts.curves(shown, 'metric', 'iteration, or epoch')))
    yield Section('Training', charts=drawn)
    rows = [
        (words, f'{_median(log.training[name]):.3g}') for name, words in _SPEED_LABELS.items() if name in log.training
    ]
    if 'time' in log.validation:
        rows.append(('seconds per batch in validation', f'{_median(log.validation["time"]):.3g}'))
    if rows:
        yield Section('Speed', 'Medians of the run.', [Table(('measured', 'value'), rows)])


_SPEED_LABELS = dict(time='seconds per iteration', data_time='of these, waiting for data', memory='GPU memory, MB')


def _median(values: dict[int, float]) -> float:
    return statistics.median(values.values())


def _total_first(losses: Curves) -> Curves:
    return dict(sorted(losses.items(), key=lambda item: item[0] != 'loss'))


def _metrics_section(metrics: dict[str, float], validated: bool) -> Section:
    # COCO writes -1 for object sizes that don't occur.
    rows = [(name, f'{value:.4f}') for name, value in metrics.items() if value != -1]
    tables = [Table(('metric', 'value'), rows)]
    if not validated:
        return Section('Results on the test set', tables=tables)
    note = (
        'The config names no other set for testing. The best checkpoint was chosen by this one, so its results are '
        'somewhat better than on data that nothing was chosen by.'
    )
    return Section('Results on the validation set', note, tables)


def _is_validation_set(config: Config) -> bool:
    """Whether a model is tested on the very data by which its best checkpoint was chosen."""
    sources = []
    for part in ('test_dataloader', 'val_dataloader'):
        dataset = (config.get(part) or {}).get('dataset')
        found = [one for _, one in unwrapped(part, dataset)] if dataset else []
        sources.append([{key: one.get(key) for key in SOURCE_KEYS} for one in found])
    return bool(sources[0]) and sources[0] == sources[1]
