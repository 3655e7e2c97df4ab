"""``python -m benchmarks.compare``: runs of several seeds, their means and spreads, nothing trained twice."""

import json
import statistics

import pytest

from tests.helpers import TINY, assert_explained, shapes_options


@pytest.mark.slow
def test_it_trains_every_config_with_every_seed_and_writes_means_and_spreads(shapes, tmp_path, run_benchmark):
    short = [*shapes_options(shapes), 'train_cfg.max_iters=1', 'train_cfg.val_interval=1']
    arguments = ('compare', TINY, '--seeds', 3, 4, '--work-dir', tmp_path, *short)
    code, printed = run_benchmark(*arguments)
    assert code == 0, printed
    runs = [json.loads((tmp_path / f'tiny_mask_rcnn_seed{seed}' / 'metrics.json').read_text()) for seed in (3, 4)]
    logged = [next((tmp_path / f'tiny_mask_rcnn_seed{seed}').glob('*/*.log')).read_text() for seed in (3, 4)]
    assert all(f'seed: {seed}' in log for seed, log in zip((3, 4), logged, strict=True))
    for key in ('coco/bbox_mAP', 'coco/segm_mAP_50'):
        values = [run[key] for run in runs]
        assert f'coco/bbox_mAP: {runs[0]["coco/bbox_mAP"]:.4f}' in logged[0]
        row = f'| tiny_mask_rcnn | {key} | {statistics.mean(values):.3f} | {statistics.stdev(values):.3f} |'
        assert row in (tmp_path / 'comparison.md').read_text() and row in printed

    code, printed = run_benchmark(*arguments)
    assert code == 0 and row in printed
    assert len(list(tmp_path.glob('*/*/*.log'))) == 2, 'nothing is trained again'


@pytest.mark.slow
def test_a_run_that_fails_stops_it_with_a_sentence(shapes, tmp_path, run_benchmark):
    result = run_benchmark('compare', tmp_path / 'gone.py', '--work-dir', tmp_path)
    assert_explained((result[0], result[1].rpartition('\n')[0].rpartition('\n')[2]), "gone.py' with seed 0 failed")
