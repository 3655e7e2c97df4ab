"""The benchmarks of models, data loading, metrics and parts of a training step, and the page made of them.

How fast anything is, is not tested: that the right things are run, counted and written is.
"""

import csv
import json
import os
import subprocess
import sys
from collections import defaultdict
from functools import partial
from unittest.mock import patch

from hiera_mm.models import Hiera
from hiera_mm.models.cpu import is_replaceable
from hiera_mm.models.hiera import UNIT_PIXELS
from hiera_mm.models.mask_units import UNIT_SIDE

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor

from benchmarks import step_parts
from benchmarks.contestants import Scale, build_contestant
from benchmarks.measure import peak_memory
from benchmarks.whole_models import WholeModel
from tests.helpers import HAS_BFLOAT16, ROOT, TINY, shapes_options

SWIN = 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py:backbone'


def rows_of(path):
    with path.open() as file:
        return {row['contestant']: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    'mode', ['forward', *(pytest.param(mode, marks=pytest.mark.slow) for mode in ('backward', 'step'))]
)
def test_contestants_run_in_turns_and_missing_ones_are_left_out(run_benchmark, monkeypatch, tmp_path, mode):
    monkeypatch.setitem(sys.modules, 'hiera', None)
    contestants = ['sam2:t:8/4/14/7', 'hiera_mm:t:8/4/14/7', 'timm:hiera_tiny_224', 'mmdet.ResNet:depth=18', SWIN]
    out = tmp_path / 'new' / 'result'
    code, printed = run_benchmark(
        *('models', 'hiera-transformer:t', *contestants),
        *('--size', 64, '--repeats', 3, '--mode', mode, '--out', out, '--title', 'Small ones'),
    )
    assert code == 0, printed
    assert 'hiera-transformer:t: left out, as it is not installed' in printed
    rows = rows_of(out.with_suffix('.csv'))
    assert list(rows) == contestants
    for row in rows.values():
        fastest, median, slowest = (float(row[key]) for key in ('fastest_s', 'median_s', 'slowest_s'))
        assert 0 < fastest <= median <= slowest and row['runs'] == '3' and row['mode'] == mode
        assert float(row['speed']) == pytest.approx(float(rows[contestants[0]]['median_s']) / median, rel=0.02)
        assert 0 < float(row['share_of_ceiling']) < 1.5
    assert rows['sam2:t:8/4/14/7']['speed'] == '1.0'
    assert out.with_suffix('.png').read_bytes().startswith(b'\x89PNG')
    result = json.loads(out.with_suffix('.json').read_text())
    assert result['title'] == 'Small ones' and f'--mode {mode}' in result['command'] and result['machine']['torch']


def test_parameters_and_operations_are_those_of_the_model(run_benchmark, tmp_path):
    """Of the official package's README: Hiera-T, 28M parameters with its head, 5G."""
    out = tmp_path / 'result'
    code, printed = run_benchmark(
        'models', 'hiera-transformer:t', 'hiera_mm:t', '--size', 224, '--repeats', 1, '--out', out
    )
    assert code == 0, printed
    for row in rows_of(out.with_suffix('.csv')).values():
        assert float(row['parameters']) == pytest.approx(27.5e6, rel=0.02) and float(row['macs']) == pytest.approx(
            5e9, rel=0.03
        )


PEAKS = """
import torch
from benchmarks.measure import peak_memory
for megabytes in (200, 50):
    print(peak_memory(lambda: [torch.ones(megabytes, 2**18).sum() for _ in range(3)], 'cpu') / 2**20)
"""


@pytest.mark.slow
def test_memory_is_what_a_run_needs_at_its_peak():
    if not sys.platform.startswith('linux'):
        assert peak_memory(lambda: None, 'cpu') is None
        return
    # In a process of its own, as holes that other tests leave in the heap are filled page by page.
    done = subprocess.run([sys.executable, '-c', PEAKS], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert [float(line) for line in done.stdout.split()] == pytest.approx([200, 50], abs=15)


@pytest.mark.slow
def test_several_sides_or_lengths_give_a_plot_of_growth(run_benchmark, tmp_path):
    for options, key in ((('--size', '64', '96x128'), 'height'), (('--size', '64', '--frames', '2', '4'), 'frames')):
        out = tmp_path / key
        code, printed = run_benchmark('models', 'hiera_mm:t', 'masked:t:0.5', *options, '--repeats', 1, '--out', out)
        assert code == 0, printed
        rows = json.loads(out.with_suffix('.json').read_text())['rows']
        assert [row['contestant'] for row in rows] == ['hiera_mm:t', 'masked:t:0.5'] * 2
        assert rows[0][key] < rows[2][key] and rows[0]['macs'] < rows[2]['macs'] and rows[2]['speed'] == 1
        assert out.with_suffix('.png').read_bytes().startswith(b'\x89PNG')


def test_only_the_mask_units_that_are_kept_are_computed(run_benchmark, tmp_path):
    out = tmp_path / 'result'
    code, printed = run_benchmark('models', 'masked:t:0', 'masked:t:0.75', '--size', 128, '--repeats', 1, '--out', out)
    assert code == 0, printed
    whole, quarter = (float(row['macs']) for row in rows_of(out.with_suffix('.csv')).values())
    assert quarter < 0.4 * whole


def test_densely_masked_units_are_computed_but_not_seen(run_benchmark, tmp_path):
    out = tmp_path / 'result'
    code, printed = run_benchmark('models', 'masked:t:0', 'dense:t:0.75', '--size', 128, '--repeats', 1, '--out', out)
    assert code == 0, printed
    plain, dense = (float(row['macs']) for row in rows_of(out.with_suffix('.csv')).values())
    assert dense == plain
    none, some = (build_contestant(f'dense:t:{ratio}', Scale(1, None, 64, 64)).model.eval() for ratio in (0, 0.5))
    pixels = torch.randn(1, 3, 64, 64)
    changed = pixels.clone()
    # The middle of a masked unit, which no visible patch overlaps.
    y, x = (UNIT_PIXELS * (place // UNIT_SIDE) + UNIT_PIXELS // 2 for place in some.masked.nonzero()[0].tolist())
    changed[..., y, x] += 5
    with torch.no_grad():
        assert all(torch.equal(*maps) for maps in zip(some(pixels), some(changed), strict=True))
        assert not torch.equal(none(pixels)[-1], none(changed)[-1])
    assert build_contestant('dense:t:0.5', Scale(1, 4, 64, 64)).model(torch.randn(1, 3, 4, 64, 64))


@pytest.mark.slow
def test_whole_models_take_a_training_step(run_benchmark, tmp_path):
    recogniser = str(ROOT / 'tests' / 'data' / 'tiny_k400.py')
    for config, options in ((TINY, ()), (recogniser, ('--frames', 16))):
        for mode in ('forward', 'step'):
            code, printed = run_benchmark('models', config, '--size', 64, '--repeats', 1, '--mode', mode, *options)
            assert code == 0, printed
            assert config in printed


FAULTS = {
    'hiera_mm:xl': "no size 'xl'",
    'swin:b': "no contestant 'swin:b'",
    'sam2:b': 'needs windows',
    'hiera-transformer:b:8/4/14/7': 'has no windows',
    'masked:t:most': 'needs a share',
    'masked:t:1.5': 'needs a share',
    'hiera_mm:t:8-4': 'Windows are given as',
    'timm:hiera_giant': "no model 'hiera_giant'",
    'mmdet.ResNet:depth': 'KEY=VALUE',
    'mmdet.ResNet:deep=18': "'deep' does not exist on ResNet",
    'mmdet.Swine': 'Swine is not in the',
    'nowhere.py': 'does not exist',
    str(ROOT / 'configs' / 'mae_hiera_t.py'): 'put :backbone behind it',
    'bfloat16:' + str(ROOT / 'configs' / 'mask_rcnn_hiera_t.py'): 'only backbones are timed with weights in bfloat16',
}


@pytest.mark.parametrize('name', FAULTS)
def test_a_contestant_that_does_not_exist_is_explained(run_benchmark, name):
    code, printed = run_benchmark('models', name, '--size', '64')
    assert code == 1 and printed.startswith('Error: ') and 'Traceback' not in printed
    assert FAULTS[name] in printed


def test_a_size_that_is_none_is_explained(run_benchmark):
    code, printed = run_benchmark('models', 'hiera_mm:t', '--size', '64by64')
    assert code == 1 and "not '64by64'" in printed


def test_a_step_is_taken_apart(run_benchmark, shapes, tmp_path):
    out = tmp_path / 'step'
    code, printed = run_benchmark('step', TINY, '--repeats', 1, '--out', out, *shapes_options(shapes))
    assert code == 0, printed
    rows = json.loads(out.with_suffix('.json').read_text())['rows']
    assert [row['part'] for row in rows] == ['data', 'backbone', 'neck', 'RPN head', 'RoI heads', 'optimiser']
    assert all(row['forward_s'] > 0 for row in rows) and sum(row['share'] for row in rows) == pytest.approx(1, abs=0.01)
    assert [row['part'] for row in rows if row['backward_s'] is None] == ['data', 'optimiser']


def test_cutting_the_step_apart_changes_no_gradient():
    whole = WholeModel(Config.fromfile(TINY), (2, 3, 64, 64))
    whole.model.train().data_preprocessor = BaseDataPreprocessor()
    pixels = torch.randn(2, 3, 64, 64)

    def at_once():
        whole.loss(pixels).backward()

    def apart():
        data = dict(inputs=pixels, data_samples=whole.samples)
        step_parts._step(whole.model, iter([data]), Kept(), partial(step_parts._timed, defaultdict(list), 'cpu'))

    gradients = []
    for run in (at_once, apart):
        whole.model.zero_grad()
        torch.manual_seed(0)
        run()
        gradients.append({name: x.grad for name, x in whole.model.named_parameters() if x.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, rtol=1e-4, atol=1e-6)


class Kept:
    """An optimiser that leaves the gradients as they are."""

    def step(self):
        pass

    zero_grad = step


def test_data_is_timed_transform_by_transform(run_benchmark, shapes, tmp_path):
    out = tmp_path / 'data'
    code, printed = run_benchmark('data', TINY, '--seconds', 0.5, '--out', out, *shapes_options(shapes))
    assert code == 0, printed
    result = json.loads(out.with_suffix('.json').read_text())
    times = {row['step']: row['milliseconds_a_sample'] for row in result['rows']}
    assert {'LoadImageFromFile', 'Resize', 'PackDetInputs', 'all'} <= set(times)
    assert sum(times.values()) - times['all'] <= times['all'] * 1.05
    assert result['samples_a_second'] == pytest.approx(1000 / times['all'], rel=0.05)


def test_both_coco_metrics_give_the_same_figures(run_benchmark):
    code, printed = run_benchmark('metric', '--images', 20)
    assert code == 0, printed
    assert 'all 12 figures are the same' in printed


def test_the_page_is_made_from_the_results(run_benchmark, tmp_path):
    folder = tmp_path / 'benchmarks'
    code, printed = run_benchmark('docs', '--folder', folder, '--page', tmp_path / 'benchmarks.md')
    assert code == 1 and 'holds no results' in printed
    contestants = ('hiera_mm:t', 'hiera_mm:t:8/4/14/7', 'sam2:t:8/4/14/7', 'timm:hiera_tiny_224')
    run_benchmark('models', *contestants, '--size', 64, '--repeats', 1, '--out', folder / 'one', '--title', 'One title')
    code, printed = run_benchmark('docs', '--folder', folder, '--page', tmp_path / 'benchmarks.md')
    assert code == 0, printed
    page = (tmp_path / 'benchmarks.md').read_text()
    rows = {row['contestant']: row for row in json.loads((folder / 'one.json').read_text())['rows']}
    assert '## One title' in page and '](benchmarks/one.png)' in page
    for ours, other in (contestants[1:3], (contestants[0], contestants[3])):
        ratio = rows[other]['median_s'] / rows[ours]['median_s']
        work = 'forward, 1 x 3 x 64 x 64'
        assert f'| `{ours}` | `{other}` | {work} | {ratio:.2f}x | not measured | not measured |' in page


@pytest.mark.skipif(not HAS_BFLOAT16, reason='this processor computes bfloat16 in software, which takes ten minutes')
def test_weights_in_bfloat16_are_compared_with_each_other_and_autocast_with_autocast(run_benchmark, tmp_path):
    contestants = ['bfloat16:hiera_mm:t', 'hiera_mm:t', 'bfloat16:timm:hiera_tiny_224', 'timm:hiera_tiny_224']
    options = ('--size', 64, '--repeats', 1, '--dtype', 'bfloat16', '--out', tmp_path / 'one')
    code, printed = run_benchmark('models', *contestants, *options)
    assert code == 0, printed
    code, printed = run_benchmark('docs', '--folder', tmp_path, '--page', tmp_path / 'benchmarks.md')
    assert code == 0, printed
    page = (tmp_path / 'benchmarks.md').read_text()
    rows = {row['contestant']: row for row in json.loads((tmp_path / 'one.json').read_text())['rows']}
    work = 'forward, 1 x 3 x 64 x 64'
    for ours, other in (contestants[::2], contestants[1::2]):
        ratio = rows[other]['median_s'] / rows[ours]['median_s']
        assert f'| `{ours}` | `{other}` | {work} | not measured | {ratio:.2f}x | not measured |' in page
    assert page.count(work) == 2


def test_weights_in_bfloat16_give_maps_in_bfloat16_also_under_autocast():
    contestant = build_contestant('bfloat16:hiera_mm:t', Scale(1, None, 64, 64))
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.float16):
        maps = contestant.predict(torch.randn(1, 3, 64, 64))
    assert {feature_map.dtype for feature_map in maps} == {torch.bfloat16}


def test_whole_models_of_this_suite_are_compared_in_the_page_also_where_they_are_slower(run_benchmark, tmp_path):
    folder = tmp_path / 'benchmarks'
    folder.mkdir()
    run_benchmark('models', 'timm:resnet10t', 'hiera_mm:t', '--size', 64, '--repeats', 1, '--out', folder / 'one')
    result = json.loads((folder / 'one.json').read_text())
    other, ours = result['rows']
    other.update(contestant='mmdet::other.py', median_s=1.0)
    ours.update(contestant='configs/ours.py', median_s=2.0)
    (folder / 'one.json').write_text(json.dumps(result))
    code, printed = run_benchmark('docs', '--folder', folder, '--page', tmp_path / 'benchmarks.md')
    assert code == 0, printed
    page = (tmp_path / 'benchmarks.md').read_text()
    assert (
        '| `configs/ours.py` | `mmdet::other.py` | forward, 1 x 3 x 64 x 64 | 0.50x | not measured | not measured |'
        in page
    )


@pytest.mark.slow
def test_the_plans_memory_is_what_a_step_takes(tmp_path):
    out = tmp_path / 'memory'
    command = [sys.executable, '-m', 'benchmarks.training_memory', 'in1k_hiera_t', '--batch', '4', '--out', str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    rows = json.loads(out.with_suffix('.json').read_text())['rows']
    assert len(rows) == 3 and all(0.85 < row['ratio'] < 1.15 for row in rows), rows


def test_what_a_gpu_does_is_told_from_what_the_processor_does(run_benchmark):
    """On a processor alone no columns of a GPU are shown, and graphs are refused."""
    code, printed = run_benchmark('models', 'hiera_mm:t', '--size', 64, '--repeats', 1)
    assert code == 0 and 'kernels' not in printed, printed
    code, printed = run_benchmark('models', 'hiera_mm:t', '--size', 64, '--graph')
    assert code == 1 and '--graph takes --device cuda' in printed


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
@pytest.mark.parametrize('graph', [[], ['--graph']])
@pytest.mark.parametrize('mode', ['forward', 'backward'])
def test_a_gpus_own_time_and_kernels_stand_beside_a_runs(run_benchmark, tmp_path, graph, mode):
    out = tmp_path / 'result'
    options = '--size', 64, '--repeats', 3, '--device', 'cuda', '--mode', mode, '--out', out
    code, printed = run_benchmark('models', 'hiera_mm:t', *options, *graph)
    assert code == 0 and 'kernels' in printed, printed
    (row,) = rows_of(out.with_suffix('.csv')).values()
    assert 0 < float(row['busy_s']) < float(row['slowest_s']) and int(row['kernels']) > 50


def test_a_plain_contestant_runs_as_written_and_others_do_not(monkeypatch):
    seen = []
    monkeypatch.setattr(Hiera, '_maps', lambda self, pixels: seen.append(is_replaceable()) or (pixels,))
    scale = Scale(1, None, 64, 64)
    for name in ('plain:t', 'hiera_mm:t', 'bfloat16:plain:t'):
        build_contestant(name, scale).predict(torch.zeros(scale.shape))
    assert seen == [False, True, False]


@pytest.mark.parametrize('replays, mode', [(True, 'reduce-overhead'), (False, None)])
def test_contestants_are_compiled_whole_and_replayed_if_wanted(replays, mode):
    with patch.object(torch.nn.Module, 'compile') as compiled:
        build_contestant('hiera_mm:t', Scale(1, None, 64, 64)).compile(replays)
    compiled.assert_called_once_with(dynamic=False, mode=mode)


@pytest.mark.parametrize(
    'begins, fails, missing',
    [
        (0, '--graph', {'image_224_graph', 'detector_step_compiled', 'image_224_compiled', 'image_224_step_compiled'}),
        (0, 'nothing', set()),
        (710, 'nothing', {'image_224 (no time left)', 'optimizer_step (no time left)'}),
    ],
)
def test_what_fails_on_a_gpu_or_is_not_reached_is_named_at_the_end(tmp_path, begins, fails, missing):
    python = tmp_path / 'python'
    python.write_text(f'#!/bin/sh\necho "ran $4"\ncase "$*" in *"{fails}"*) exit 3;; esac\n')
    python.chmod(0o755)
    ran = subprocess.run(
        ['bash', 'benchmarks/gpu.sh'],
        cwd=ROOT,
        env=os.environ | dict(PYTHON=str(python), SECONDS=str(begins)),
        capture_output=True,
        text=True,
    )
    named = {line.removeprefix('Not measured: ') for line in ran.stdout.splitlines() if line.startswith('Not')}
    assert ran.returncode == bool(missing) and named >= missing, ran.stdout + ran.stderr
    assert begins or named == missing
