"""Panoptic quality is the one that its definition gives, by hand and by panopticapi's own program."""

import json
import subprocess
import sys

import hiera_mm.registration  # noqa: F401
from hiera_mm.commands.check_env import ALONE
from hiera_mm.datasets.panoptic import CocoPanopticDataset
from hiera_mm.errors import UserError
from hiera_mm.evaluation import panoptic as scoring
from hiera_mm.evaluation.panoptic import (
    CocoPanopticMetric,
    Segments,
    described,
    found_segments,
    panoptic_statistics,
    qualities,
)
from hiera_mm.readers.segment_maps import write_segment_map
from hiera_mm.tasks.panoptic.truth import infos_by_id, truth_of

import numpy as np
import pytest
import torch
from panopticapi.evaluation import PQStat, pq_compute

from tests.panoptic import NAMES, change, copied, ids_of, map_path

METAINFO = dict(classes=NAMES, thing_classes=NAMES[:3], stuff_classes=NAMES[3:])


def by_hand(pairs, things=3, count=5):
    """PQ, SQ and RQ of each class, from masks: matches overlap by over a half; pixels without truth don't count."""
    sums = {label: [0.0, 0, 0, 0] for label in range(count)}
    for truth, found in pairs:
        void = truth.ids == 0
        matched = set()
        for segment in truth.listed:
            mask = truth.ids == segment['id']
            best = 0.0
            for other in found.listed:
                shared = (found.ids == other['id']) & ~void
                overlap = (mask & shared).sum() / (mask | shared).sum()
                if other['label'] == segment['label'] and overlap > 0.5:
                    best = overlap
                    matched.add(other['id'])
            sums[segment['label']][0] += best
            sums[segment['label']][1 if best else 2] += 1
        for other in found.listed:
            mask = found.ids == other['id']
            if other['id'] not in matched and (mask & void).sum() <= 0.5 * mask.sum():
                sums[other['label']][3] += 1
    return {
        label: (total / (tp + (fn + fp) / 2), total / tp if tp else 0.0, tp / (tp + (fn + fp) / 2))
        for label, (total, tp, fn, fp) in sums.items()
        if tp + fn + fp
    }


@pytest.fixture
def pairs(panoptic):
    """The truth of the validation images, and predictions that are moved, mistaken, missing and invented."""
    dataset = CocoPanopticDataset(
        ann_file='annotations/panoptic_val.json',
        data_root=str(panoptic),
        data_prefix=dict(img='val', seg='annotations/panoptic_val'),
        metainfo=METAINFO,
        test_mode=True,
    )
    random, found = np.random.default_rng(0), {}
    for image_id, info in infos_by_id(dataset).items():
        truth = truth_of(info)
        ids = np.roll(truth.ids, random.integers(-9, 10, 2), (0, 1))
        ids[:8, :30] = 0
        listed = [dict(id=s['id'], label=s['label'], score=0.9) for s in truth.listed]
        listed[0]['label'] = (listed[0]['label'] + image_id) % 5
        ids[-12:, -12:] = 99
        listed.append(dict(id=99, label=1, score=0.5))
        present = set(np.unique(ids))
        found[image_id] = truth, Segments(ids, [s for s in listed if s['id'] in present])
    return found


def test_it_is_what_the_definition_gives(pairs):
    total = PQStat()
    for truth, found in pairs.values():
        total += panoptic_statistics(truth, found, 5)
    expected, computed = by_hand(pairs.values()), qualities(total, 3, 5)
    assert {label: (v['pq'], v['sq'], v['rq']) for label, v in computed['classes'].items()} == {
        label: pytest.approx(values) for label, values in expected.items()
    }
    for ending, labels in (('', range(5)), ('_th', range(3)), ('_st', range(3, 5))):
        chosen = [values for label, values in expected.items() if label in labels]
        assert [computed[ending][key] for key in ('pq', 'sq', 'rq')] == pytest.approx(np.mean(chosen, 0).tolist())
    assert 0.1 < computed['']['pq'] < 0.9


def as_output(found, count=5):
    """What the model's fusion head would have given."""
    sem_seg = np.full(found.ids.shape, count, np.int32)
    for number, segment in enumerate(found.listed, start=1):
        sem_seg[found.ids == segment['id']] = segment['label'] + (1000 * number if segment['label'] < 3 else 0)
    return torch.from_numpy(sem_seg)[None]


def metric_of(folder, **more):
    maps = folder / 'annotations' / 'panoptic_val'
    metric = CocoPanopticMetric(f'{maps}.json', str(maps), **more)
    metric.dataset_meta = METAINFO
    return metric


def scored(metric, pairs):
    for image_id, (truth, found) in pairs.items():
        sample = dict(
            img_id=image_id,
            img_path=f'{image_id}.png',
            ori_shape=truth.ids.shape,
            pred_panoptic_seg=dict(sem_seg=as_output(found), scores={}),
        )
        metric.process({}, [sample])
    return metric.evaluate(len(pairs))


def test_the_metric_agrees_with_panopticapi_on_the_files_it_writes(panoptic, pairs, tmp_path):
    values = scored(metric_of(panoptic, outfile_prefix=str(tmp_path / 'out')), pairs)
    maps = panoptic / 'annotations' / 'panoptic_val'
    program = [sys.executable, '-m', 'panopticapi.evaluation', '--gt_json_file', f'{maps}.json']
    done = subprocess.run(
        [*program, '--pred_json_file', tmp_path / 'out.panoptic.json'], capture_output=True, text=True, check=True
    )
    rows = {line.split('|')[0].strip(): line.split('|')[1].split() for line in done.stdout.splitlines() if '|' in line}
    for name, ending in (('All', ''), ('Things', '_th'), ('Stuff', '_st')):
        ours = [f'{values[f"coco_panoptic/{key}{ending}"]:.1f}' for key in ('PQ', 'SQ', 'RQ')]
        assert rows[name][:3] == ours


def test_a_right_prediction_scores_100_and_none_scores_0(panoptic, pairs):
    right = {number: (truth, truth) for number, (truth, _) in pairs.items()}
    assert set(scored(metric_of(panoptic), right).values()) == {100.0}
    nothing = {n: (truth, Segments(np.zeros_like(truth.ids), [])) for n, (truth, _) in pairs.items()}
    assert set(scored(metric_of(panoptic), nothing).values()) == {0.0}


def test_areas_in_the_file_and_its_order_of_categories_do_not_matter(panoptic, pairs, tmp_path):
    expected = scored(metric_of(panoptic), pairs)
    folder = copied(panoptic, tmp_path)

    def alter(content):
        content['categories'].reverse()
        for annotation in content['annotations']:
            for segment in annotation['segments_info']:
                segment['area'] = 1

    change(folder, alter, 'val')
    assert scored(metric_of(folder), pairs) == expected


def test_stuff_that_does_not_occur_does_not_stop_it(panoptic, pairs, tmp_path):
    folder = copied(panoptic, tmp_path)

    def things_alone(content):
        for annotation in content['annotations']:
            path = map_path(folder, annotation['image_id'], 'val')
            ids = ids_of(path)
            for segment in annotation['segments_info']:
                ids[(ids == segment['id']) & (segment['category_id'] > 3)] = 0
            write_segment_map(path, ids)
            annotation['segments_info'] = [s for s in annotation['segments_info'] if s['category_id'] <= 3]

    change(folder, things_alone, 'val')
    right = {
        n: (
            truth,
            Segments(
                np.where(np.isin(truth.ids, [s['id'] for s in truth.listed if s['label'] < 3]), truth.ids, 0),
                [s for s in truth.listed if s['label'] < 3],
            ),
        )
        for n, (truth, _) in pairs.items()
    }
    values = scored(metric_of(folder), right)
    assert values['coco_panoptic/PQ'] == values['coco_panoptic/PQ_th'] == 100 and 'coco_panoptic/PQ_st' not in values


def test_segments_of_an_output_are_numbered_from_1_with_their_scores():
    output = np.array([[3, 3, 5], [1002, 2002, 5]])
    found = found_segments(output, {3: 0.75, 1002: 0.5}, 5)
    assert found.ids.tolist() == [[1, 1, 0], [2, 3, 0]]
    assert [(s['label'], s['score']) for s in found.listed] == [(3, 0.75), (2, 0.5), (2, 1.0)]
    assert [entry['bbox'] for entry in described(found)] == [[0, 0, 2, 1], [0, 1, 1, 1], [1, 1, 1, 1]]
    assert json.dumps(described(found))


def test_without_the_package_the_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(scoring.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='panopticapi-lite') as refusal:
        CocoPanopticMetric('file.json', 'maps')
    assert ALONE['panopticapi-lite'][1] in str(refusal.value)


def test_panopticapi_scores_a_written_pair_of_files(panoptic):
    maps = panoptic / 'annotations' / 'panoptic_val'
    assert pq_compute(f'{maps}.json', f'{maps}.json')['All']['pq'] == 1
