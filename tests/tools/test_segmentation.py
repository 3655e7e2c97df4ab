"""Semantic segmentation by the suite's commands: train, test, predict, publish, export, report."""

import csv
import importlib.util
import json
import pickle

from hiera_mm.synthetic.masks import NAMES, make_mask_shapes
from hiera_mm.tasks import load

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.coded_videos import write_with_pyav
from tests.helpers import ROOT, assert_explained, forget_earlier_runs, run_program

TINY = ROOT / 'tests' / 'data' / 'tiny_upernet.py'


@pytest.fixture(scope='module')
def masks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'masks'
    make_mask_shapes(folder, train=4, val=3)
    return folder


def options(masks, *more):
    return [
        '--cfg-options',
        *(f'{part}_dataloader.dataset.data_root={masks}' for part in ('train', 'val', 'test')),
        *more,
    ]


@pytest.fixture(scope='module')
def trained(masks, tmp_path_factory):
    """The folder of a run."""
    folder = tmp_path_factory.mktemp('run')
    assert 'mIoU' in run_program('train', TINY, '--work-dir', folder, *options(masks))
    return folder


def test_from_training_to_every_use(run_command, trained, masks, tmp_path):
    """One run for all, as each use needs a trained model."""
    (best,) = trained.glob('best_mIoU_iter_2.pth')
    out, shown = tmp_path / 'predictions.pkl', tmp_path / 'shown'
    code, printed = run_command(
        'test', TINY, best, '--work-dir', tmp_path / 'test', '--out', out, '--show-dir', shown, *options(masks)
    )
    assert code == 0, printed
    metric = float(printed.split('mIoU: ')[-1].split()[0])
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 3 and set(predictions[0]) == {'img_path', 'pred_sem_seg', 'gt_sem_seg'}
    assert metric == pytest.approx(100 * mean_iou(predictions), abs=0.01)
    pictures = sorted(shown.glob('*.png'))
    assert [path.name for path in pictures] == ['000001.png', '000002.png', '000003.png']
    # Small images are enlarged.
    assert cv2.imread(str(pictures[0])).shape[1] == 4 * 2 * predictions[0]['gt_sem_seg'].shape[1]

    model = load(str(trained))
    write_with_pyav(tmp_path / 'film.mp4', times=np.arange(4) / 10)
    (tmp_path / 'broken.jpg').write_text('no picture')
    inputs = [masks / 'images' / 'val', tmp_path / 'film.mp4', tmp_path / 'broken.jpg']
    code, printed = run_command('predict', trained, *inputs, '--out-dir', tmp_path / 'found', '--frame-interval', 2)
    assert code == 1 and '4 of 5 inputs' in printed and 'broken.jpg' in printed
    assert_written(tmp_path / 'found', model, masks, predictions)

    code, printed = run_command(
        'publish', trained, tmp_path / 'published', '--example', masks / 'images/val/000001.png'
    )
    assert code == 0, printed
    described = json.loads((tmp_path / 'published/hiera_mm.json').read_text())
    assert described['task'] == 'semantic-segmentation' and described['classes'] == list(NAMES)
    assert described['metrics']['mIoU'] == pytest.approx(metric, abs=0.01)
    card = (tmp_path / 'published/README.md').read_text()
    assert 'pipeline_tag: image-segmentation' in card and (tmp_path / 'published/example.jpg').is_file()

    forget_earlier_runs()
    code, printed = run_command('report', trained)
    assert code == 0, printed
    page = (trained / 'report.html').read_text()
    assert all(name in page for name in NAMES) and 'of the pixels are right' in page


@pytest.mark.parametrize(
    'ending', ['onnx', *(pytest.param(ending, marks=pytest.mark.slow) for ending in ('xml', 'pt2'))]
)
def test_an_exported_file_is_tested_with_the_metric_of_the_checkpoint(run_command, trained, masks, tmp_path, ending):
    file = tmp_path / f'model.{ending}'
    code, printed = run_command('export', trained, file)
    assert code == 0, printed
    assert 'pads every image to 128 x 128' in printed
    metrics = []
    for tested in (file, next(trained.glob('best_mIoU_*.pth'))):
        code, printed = run_command('test', TINY, tested, '--work-dir', tmp_path / 'test', *options(masks))
        assert code == 0, printed
        metrics.append(float(printed.split('mIoU: ')[-1].split()[0]))
    assert metrics[0] == pytest.approx(metrics[1], abs=1.0)


def mean_iou(predictions):
    """By sets of pixels, of the classes that are there or found."""
    truth = np.concatenate([found['gt_sem_seg'].ravel() for found in predictions])
    guessed = np.concatenate([found['pred_sem_seg'].ravel() for found in predictions])
    each = []
    for number in range(4):
        is_so, found = truth == number, guessed == number
        if (is_so | found).any():
            each.append((is_so & found).sum() / (is_so | found).sum())
    return np.mean(each)


def assert_written(folder, model, masks, predictions):
    by_name = {found['img_path'].rsplit('/')[-1]: found['pred_sem_seg'] for found in predictions}
    of_film = list((folder / 'masks').rglob('film.mp4/*.png'))
    assert [path.name for path in sorted(of_film)] == ['000000.png', '000002.png']
    for name, found in by_name.items():
        (path,) = {*(folder / 'masks').rglob(name)} - {*of_film}
        np.testing.assert_array_equal(np.asarray(Image.open(path)), found)
        assert Image.open(path).mode == 'P'
    (film,) = (path for path in folder.rglob('film.mp4') if path.is_file())
    assert cv2.VideoCapture(str(film)).get(cv2.CAP_PROP_FRAME_COUNT) == 4
    rows = list(csv.DictReader((folder / 'predictions.csv').open()))
    assert len(rows) == 3 + 2
    for row in rows:
        assert sum(float(row[name]) for name in NAMES) == pytest.approx(1, abs=1e-3)
    pictures = [str(masks / 'images' / 'val' / name) for name in by_name]
    for one, found in zip(model.predict(pictures), by_name.values(), strict=True):
        np.testing.assert_array_equal(one.labels, found)


def test_without_mmsegmentation_a_sentence_names_it(run_command, monkeypatch, tmp_path):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *more: None if name == 'mmseg' else find_spec(name, *more)
    )
    (tmp_path / 'config.py').write_text("_base_ = 'mmseg::no/such_file.py'\n")
    assert_explained(run_command('train', tmp_path / 'config.py'), 'onedl-mmsegmentation', 'hiera_mm[seg]')


def test_the_options_of_other_models_are_refused(run_command, trained, masks):
    assert_explained(run_command('predict', trained, masks / 'images', '--topk', 3), '--topk', 'one of the segmentors')


def test_images_of_several_sizes_in_a_batch_of_testing_are_told(run_command, trained, masks, tmp_path):
    arguments = ['test', TINY, trained / 'iter_2.pth', '--work-dir', tmp_path]
    arguments += options(masks, 'test_dataloader.batch_size=3')
    assert_explained(run_command(*arguments), 'images of several sizes only one at a time; set batch_size=1')
