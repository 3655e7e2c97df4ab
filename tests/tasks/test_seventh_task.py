"""A task from outside the package works by the same commands; tests/data/retrieval has it."""

import csv
import importlib
import json

from hiera_mm.synthetic.classes import make_class_shapes
from hiera_mm.tasks import TASKS

import pytest

from tests.helpers import ROOT, assert_explained

FOLDER = ROOT / 'tests' / 'data' / 'retrieval'
CONFIG = FOLDER / 'retrieval_hiera_t.py'


@pytest.fixture(scope='module')
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'classes'
    make_class_shapes(folder, train=12, val=6)
    return folder


@pytest.fixture
def seventh_task(monkeypatch):
    """The task is registered as long as a test runs; Python imports its module once."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = list(TASKS)
    module = importlib.import_module('image_retrieval')
    TASKS[:] = [module.TASK, *before]
    yield
    TASKS[:] = before


def options(classes):
    return ['--cfg-options', *(f'{part}_dataloader.dataset.data_root={classes}' for part in ('train', 'val', 'test'))]


def test_it_takes_less_than_120_lines():
    assert len((FOLDER / 'image_retrieval.py').read_text().splitlines()) < 120


def test_it_is_checked_trained_tested_predicted_and_reported(seventh_task, classes, tmp_path, run_command):
    run, given = tmp_path / 'run', options(classes)
    code, printed = run_command('check-data', CONFIG, *given)
    assert code == 0 and '0 faults' in printed, printed
    wrong = run_command('train', CONFIG, '--work-dir', tmp_path / 'wrong', *given, 'model.num_classes=4')
    assert_explained(wrong, 'has 3 classes, but the model predicts 4; set model.num_classes=3')
    code, printed = run_command('train', CONFIG, '--work-dir', run, *given, 'train_cfg.max_epochs=2')
    assert code == 0 and 'recall_at_1' in printed, printed
    code, printed = run_command('test', CONFIG, run / 'epoch_2.pth', '--work-dir', tmp_path / 'test', *given)
    assert code == 0 and 'recall_at_1' in printed, printed

    code, printed = run_command('predict', run, classes / 'val', '--config', CONFIG, '--out-dir', tmp_path / 'out')
    assert code == 0, printed
    rows = list(csv.reader((tmp_path / 'out' / 'neighbours.csv').open()))[1:]
    images = {path.relative_to(classes / 'val').as_posix() for path in (classes / 'val').rglob('*.png')}
    assert {image for image, _ in rows} == images and all(image != nearest in images for image, nearest in rows)
    result = run_command('predict', run, classes / 'val', '--config', CONFIG, '--topk', 2)
    assert_explained(result, '--topk', 'one of the image retrievers')

    code, printed = run_command('report', run)
    assert code == 0 and 'recall_at_1' in printed, printed
    assert 'class of the nearest' in (run / 'report.html').read_text()


def test_it_is_rehearsed_with_stand_in_data(seventh_task, tmp_path, run_command):
    code, printed = run_command(
        'rehearse', CONFIG, '--tiny', '--size', 64, '--work-dir', tmp_path, '--out', tmp_path / 'stages.json'
    )
    assert code == 0 and 'Nothing failed.' in printed, printed
    stages = json.loads((tmp_path / 'stages.json').read_text())
    assert {stage['outcome'] for stage in stages} == {'passed'}


def test_what_it_does_not_say_is_refused_in_a_sentence(seventh_task, classes, tmp_path, run_command):
    code, printed = run_command('train', CONFIG, '--work-dir', tmp_path, *options(classes), 'train_cfg.max_epochs=1')
    assert code == 0, printed
    result = run_command('export', tmp_path, tmp_path / 'model.onnx', '--config', CONFIG)
    assert_explained(result, "can't be exported yet; use the model by hiera_mm.load")
    assert_explained(run_command('plan', CONFIG), 'Operations are not counted for image retrievers')
