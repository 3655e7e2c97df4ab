"""tools/make_shapes.py, get_flops.py and plot_log.py."""

import json

import pytest

from tests.helpers import ROOT


def test_make_shapes_writes_the_counts_it_is_told(run_tool, tmp_path):
    code, printed = run_tool('make_shapes.py', tmp_path / 'set', '--train', '3', '--val', '2')
    assert code == 0 and '3 training and 2 validation images' in printed
    assert len(list((tmp_path / 'set' / 'train').glob('*.png'))) == 3
    (tmp_path / 'set' / 'shapes.json').unlink()
    code, printed = run_tool('make_shapes.py', tmp_path / 'set')
    assert code == 1 and printed.startswith('Error: ') and 'holds something else' in printed


def test_make_shapes_writes_videos_too(run_tool, tmp_path):
    code, printed = run_tool('make_shapes.py', tmp_path / 'set', '--kind', 'motion', '--train', '6', '--val', '6')
    assert code == 0 and '6 training and 6 validation videos' in printed
    assert len(list((tmp_path / 'set' / 'train').glob('*.mp4'))) == 6


@pytest.mark.parametrize(
    'config, backbone', [('mask_rcnn_hiera_b.py', (50.76, 232.7)), ('k400_hiera_b.py', (50.78, 101.7))]
)
def test_get_flops_prints_the_parts_and_their_sum(run_tool, config, backbone):
    code, printed = run_tool('get_flops.py', ROOT / 'configs' / config)
    assert code == 0, printed
    rows = [line.split('│')[1:4] for line in printed.splitlines() if line.startswith('│')]
    table = {part.split()[0]: (float(parameters), float(macs)) for part, parameters, macs in rows}
    assert table['backbone'] == backbone
    sums = [sum(row[column] for part, row in table.items() if part != 'total') for column in (0, 1)]
    assert table['total'] == pytest.approx(sums, abs=0.3)


def test_get_flops_tells_the_encoder_of_an_autoencoder_from_its_decoder(run_tool):
    code, printed = run_tool('get_flops.py', ROOT / 'configs' / 'mae_hiera_b.py')
    assert code == 0, printed
    for part, millions in dict(encoder='50.75', decoder='27.88', total='78.64').items():
        (row,) = (line for line in printed.splitlines() if line.startswith(f'│ {part}'))
        assert millions in row
    code, printed = run_tool('get_flops.py', ROOT / 'configs' / 'mae_hiera_b.py', '--shape', 448, 448)
    assert code == 1 and 'set model.input_size instead of --shape' in printed


def test_plot_log_draws_the_curve_and_tells_the_ap(run_tool, tmp_path):
    for run, steps in (('20260101_000000', (10, 20)), ('20260101_000100', (20, 30))):
        folder = tmp_path / run / 'vis_data'
        folder.mkdir(parents=True)
        lines = [json.dumps(dict(loss=1 / step, loss_cls=0.1, step=step)) for step in steps]
        (folder / 'scalars.json').write_text('\n'.join([*lines, json.dumps({'coco/bbox_mAP': 0.4})]))
    metrics = {'coco/bbox_mAP_50': 0.875, 'coco/bbox_mAP_l': -1.0, 'time': 0.1}
    (tmp_path / run / f'{run}.json').write_text(json.dumps(metrics))
    (tmp_path / 'predictions').mkdir()
    (tmp_path / 'predictions' / 'a.png').touch()
    code, printed = run_tool('plot_log.py', tmp_path)
    assert code == 0, printed
    assert (tmp_path / 'loss_curve.png').read_bytes().startswith(b'\x89PNG')
    assert f'predictions: {tmp_path}/predictions' in printed
    assert 'coco/bbox_mAP_50: 0.875' in printed and 'mAP_l' not in printed


def test_plot_log_of_an_empty_folder_is_refused(run_tool, tmp_path):
    code, printed = run_tool('plot_log.py', tmp_path)
    assert code == 1 and 'holds no training log' in printed and 'Traceback' not in printed
