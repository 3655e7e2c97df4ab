"""AVA's mean average precision."""

from multiprocessing.pool import ThreadPool

from hiera_mm.evaluation.ava import AVAMetric
from hiera_mm.readers.ava_files import read_rows
from hiera_mm.synthetic.actions import make_acting_shapes

import numpy as np
import pytest
import torch
from mmaction.evaluation import ava_eval, results2csv
from mmaction.evaluation.functional import ava_utils

ITEM = 'item {{\n  name: "{}"\n  id: {}\n}}\n'
BOXES = torch.tensor([[0.1, 0.1, 0.4, 0.9], [0.6, 0.1, 0.9, 0.9]])


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """In place of the 32 processes that mmaction2 starts for each evaluation."""
    monkeypatch.setattr(ava_utils.multiprocessing, 'Pool', lambda count: ThreadPool(2))


@pytest.fixture
def metric(tmp_path, monkeypatch):
    """Two persons in each of four frames; the first stands in all, the second sits in one."""
    monkeypatch.chdir(tmp_path)
    left, right = ('0.1,0.1,0.4,0.9', '0.6,0.1,0.9,0.9')
    lines = [f'film,{second:04d},{left},1,0\n' for second in range(4)] + [f'film,0002,{right},2,1\n']
    (tmp_path / 'truth.csv').write_text(''.join(lines))
    (tmp_path / 'actions.pbtxt').write_text(ITEM.format('stand', 1) + ITEM.format('sit', 2))
    settings = dict(ann_file='truth.csv', exclude_file=None, label_file='actions.pbtxt', num_classes=3)
    return AVAMetric(**settings)


def test_other_actions_than_avas_own_get_no_groups(metric):
    scores = torch.tensor([[0.0, 0.9, 0.1], [0.0, 0.1, 0.9]])
    for second in range(4):
        instances = dict(bboxes=BOXES, scores=scores)
        metric.process(None, [dict(video_id='film', timestamp=second, pred_instances=instances)])
    results = metric.evaluate(4)
    assert results['mAP/overall'] > 0.6 and set(results) == {'mAP/overall'}


NAMES = ('bend/bow (at the waist)', *(f'action {number}' for number in range(2, 81)))


@pytest.fixture
def crowd(tmp_path):
    """Five persons at each of 10 seconds, with any of AVA's 80 numbers, and what a poor model found."""
    random = np.random.default_rng(0)
    lines, samples = [], []
    for second in range(10):
        corners = random.uniform(0, 0.5, (5, 2)).round(3)
        boxes = np.concatenate([corners, corners + random.uniform(0.2, 0.5, (5, 2)).round(3)], axis=1)
        for person, box in enumerate(boxes):
            for action in random.choice([*range(1, 12), 20, 64, 70], 2, replace=False):
                lines.append(f'film,{second:04d},{",".join(f"{x:.3f}" for x in box)},{action},{person}\n')
        found = torch.tensor(boxes + random.normal(0, 0.03, boxes.shape), dtype=torch.float32).round(decimals=4)
        scores = torch.tensor(random.uniform(0.01, 1, (5, 81)), dtype=torch.float32).round(decimals=4)
        samples.append(dict(video_id='film', timestamp=second, pred_instances=dict(bboxes=found, scores=scores)))
    (tmp_path / 'truth.csv').write_text(''.join(lines))
    (tmp_path / 'actions.pbtxt').write_text(''.join(ITEM.format(name, n) for n, name in enumerate(NAMES, start=1)))
    (tmp_path / 'excluded.csv').write_text('film,0003\nfilm,0007\n')
    files = [str(tmp_path / name) for name in ('truth.csv', 'excluded.csv', 'actions.pbtxt')]
    return files, samples


@pytest.mark.parametrize('idle', [0, 3])
def test_it_is_mmaction2s_computation(crowd, tmp_path, idle):
    """Of the seconds without annotations as well, which mmaction2's function can take and its metric does not."""
    (truth, _, labels), samples = crowd
    rows = (tmp_path / 'truth.csv').read_text().splitlines(keepends=True)
    (tmp_path / 'truth.csv').write_text(''.join(row for row in rows if int(row.split(',')[1]) >= idle))
    metric = AVAMetric(truth, None, labels)
    metric.process(None, samples)
    results2csv(metric.results, str(tmp_path / 'found.csv'))
    expected = ava_eval(str(tmp_path / 'found.csv'), 'mAP', labels, truth, None, ignore_empty_frames=False)
    annotated = ava_eval(str(tmp_path / 'found.csv'), 'mAP', labels, truth, None, ignore_empty_frames=True)
    metrics = metric.evaluate(len(samples))
    assert set(metrics) == {f'mAP/{name}' for name in expected}
    for name, value in expected.items():
        assert metrics[f'mAP/{name}'] == pytest.approx(value, abs=1e-6)
    assert (metrics['mAP/overall'] < annotated['overall'] - 1e-4) == bool(idle)


def test_excluded_seconds_count_neither_as_found_nor_as_missed(crowd, tmp_path):
    (truth, excluded, labels), samples = crowd
    metric = AVAMetric(truth, excluded, labels)
    metric.process(None, samples)
    rows = (tmp_path / 'truth.csv').read_text().splitlines(keepends=True)
    (tmp_path / 'fewer.csv').write_text(''.join(row for row in rows if int(row.split(',')[1]) not in (3, 7)))
    without = AVAMetric(str(tmp_path / 'fewer.csv'), None, labels)
    without.process(None, [sample for sample in samples if sample['timestamp'] not in (3, 7)])
    assert metric.evaluate(10) == without.evaluate(8)


def test_an_action_that_is_never_found_lowers_the_mean(metric):
    """mmaction2 leaves an action without any detection out of it."""
    for second in range(4):
        instances = dict(bboxes=BOXES, scores=torch.tensor([[0.0, 0.9, 0.0], [0.0, 0.1, 0.0]]))
        metric.process(None, [dict(video_id='film', timestamp=second, pred_instances=instances)])
    assert metric.evaluate(4)['mAP/overall'] == pytest.approx(0.5)


def test_it_leaves_nothing_in_the_current_folder_for_another_to_read(tmp_path, monkeypatch):
    """Not even for a moment: there is no such folder any more."""
    make_acting_shapes(tmp_path / 'set', train=1, val=1)
    rows = read_rows(tmp_path / 'set' / 'val.csv')
    files = dict(ann_file=str(tmp_path / 'set' / 'val.csv'), label_file=str(tmp_path / 'set' / 'actions.pbtxt'))
    metric = AVAMetric(**files, exclude_file=None, num_classes=8)
    for row in rows:
        scores = torch.eye(8)[[row.action]]
        found = dict(bboxes=torch.tensor([row.box]), scores=scores)
        metric.process(None, [dict(pred_instances=found, video_id=row.video_id, timestamp=row.timestamp)])
    (tmp_path / 'gone').mkdir()
    monkeypatch.chdir(tmp_path / 'gone')
    (tmp_path / 'gone').rmdir()
    assert metric.evaluate(len(rows))['mAP/overall'] == pytest.approx(1)
