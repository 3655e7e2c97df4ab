"""hiera-mm report: one page of a detector, a classifier, an action detector and a masked autoencoder."""

import base64
import html
import io
import json
import re

from hiera_mm.synthetic.actions import make_acting_shapes
from hiera_mm.synthetic.motions import make_motion_shapes

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ACTIONS_CONFIG, ROOT, TINY, assert_explained, options

CLIPS = ROOT / 'configs' / 'k400_hiera_t_shapes.py'
AUTOENCODER = ROOT / 'tests' / 'data' / 'tiny_mae.py'


@pytest.fixture
def report(run_command, tmp_path):
    """Trains, and gives what the report prints and its page."""

    def run(config, *more, score_thr=0.3):
        code, printed = run_command('train', config, '--work-dir', tmp_path / 'run', *more)
        assert code == 0, printed
        code, printed = run_command('report', tmp_path / 'run', '--device', 'cpu', '--score-thr', score_thr)
        assert code == 0, printed
        return printed, (tmp_path / 'run' / 'report.html').read_text()

    return run


def headings(page):
    return re.findall('<h2>(.*?)</h2>', page)


def tables(page):
    """Rows of cells of each table."""
    return [
        [
            [html.unescape(cell) for cell in re.findall('<t[hd]>(.*?)</t[hd]>', row)]
            for row in re.findall('<tr>(.*?)</tr>', table, re.DOTALL)
        ]
        for table in re.findall('<table>(.*?)</table>', page, re.DOTALL)
    ]


def pictures(page):
    found = re.findall('src="data:image/jpeg;base64,(.*?)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def asks_nothing_of_others(page):
    return not re.findall(r'(?:src|href)="(?!data:)', page)


def test_a_detector_is_shown_with_what_it_gets_wrong(report, shapes, tmp_path):
    """Its AP is that of testing; the pictures have the ground truth beside the prediction; validations are logged with
    their iterations."""
    more = options(shapes, 'train_cfg.max_iters=4', 'train_cfg.val_interval=2', 'train_cfg.dynamic_intervals=None')
    printed, page = report(
        TINY, *more, 'model.roi_head.test_cfg.score_thr=0.0', 'default_hooks.logger.interval=1', score_thr=1
    )
    titles = ['Results on the validation set', 'Classes', 'Confusion matrix', 'Images with the most errors']
    assert headings(page) == [*titles, 'Training', 'Speed', 'Settings']
    metrics, boxes, masks, confused, speed = tables(page)
    assert dict(metrics[1:])['coco/bbox_mAP'] in printed
    truth = json.loads((shapes / 'annotations' / 'instances_val.json').read_text())
    objects = sum(not annotation['iscrowd'] for annotation in truth['annotations'])
    for table in (boxes, masks):
        assert {row[0] for row in table[1:]} == {category['name'] for category in truth['categories']}
        assert sum(int(row[1]) for row in table[1:]) == objects
    mean = np.mean([float(row[2]) for row in masks[1:]])
    assert mean == pytest.approx(float(dict(metrics[1:])['coco/segm_mAP']), abs=2e-3)
    # Nothing is that sure, so all are missed.
    assert sum(int(row[2]) for row in confused[1:] if row[1] == 'missed') == objects
    assert len(pictures(page)) == len(truth['images'])
    assert all(picture.shape[1] > picture.shape[0] for picture in pictures(page))
    assert page.count('data:image/svg+xml') == 6 and asks_nothing_of_others(page)
    assert speed[1][0] == 'seconds per iteration' and float(speed[1][1]) > 0
    lines = [
        line for path in (tmp_path / 'run').glob('*/vis_data/scalars.json') for line in path.read_text().splitlines()
    ]
    assert [entry['step'] for entry in map(json.loads, lines) if 'coco/bbox_mAP' in entry] == [2, 4]


def test_a_classifier_is_shown_with_its_surest_mistakes(report, tmp_path, monkeypatch):
    make_motion_shapes(tmp_path / 'motion', train=8, val=12)
    folder = tmp_path / 'motion'
    settings = [f'{part}_dataloader.dataset.data_prefix.video={folder}' for part in ('train', 'val', 'test')]
    settings += [f'train_dataloader.dataset.ann_file={folder}/train.txt', 'train_cfg.max_epochs=1']
    settings += [f'{part}_dataloader.dataset.ann_file={folder}/val.txt' for part in ('val', 'test')]
    printed, page = report(CLIPS, '--cfg-options', *settings, 'train_dataloader.batch_size=4')
    metrics, classes, *_ = tables(page)
    assert dict(metrics[1:])['acc/top1'] in printed
    right = sum(round(int(count) * float(part)) for _, count, part in classes[1:])
    assert right / 12 == pytest.approx(float(dict(metrics[1:])['acc/top1']), abs=1e-3)
    assert len(pictures(page)) == min(8, 12 - right) and 'classified as' in page


@pytest.mark.slow
def test_an_action_detector_is_shown_action_by_action(report, tmp_path, monkeypatch):
    make_acting_shapes(tmp_path / 'data' / 'actions', train=2, val=2)
    monkeypatch.chdir(tmp_path)
    _, page = report(ACTIONS_CONFIG, '--cfg-options', 'train_cfg.max_epochs=1')
    metrics, actions, *_ = tables(page)
    mean = np.mean([float(row[1]) for row in actions[1:]])
    assert mean == pytest.approx(float(dict(metrics[1:])['mAP/overall']), abs=2e-3)


@pytest.mark.slow
def test_a_masked_autoencoder_is_shown_by_its_training(report, shapes):
    data = f'train_dataloader.dataset.data_prefix.img={shapes}/train'
    _, page = report(AUTOENCODER, '--cfg-options', data, 'train_cfg.max_epochs=1')
    assert headings(page) == ['Training', 'Speed', 'Settings']


def test_a_folder_without_a_run_is_refused(run_command, tmp_path):
    assert_explained(run_command('report', tmp_path), 'has neither a published model nor a run')
