"""hiera-mm make-data, and the counts that hiera-mm plan begins with."""

import re

import pytest


def test_make_shapes_writes_the_counts_it_is_told(run_command, tmp_path):
    code, printed = run_command('make-data', tmp_path / 'set', '--train', '3', '--val', '2')
    assert code == 0 and '3 training and 2 validation images' in printed
    assert len(list((tmp_path / 'set' / 'train').glob('*.png'))) == 3
    (tmp_path / 'set' / 'shapes.json').unlink()
    code, printed = run_command('make-data', tmp_path / 'set')
    assert code == 1 and printed.startswith('Error: ') and 'holds something else' in printed


def test_make_shapes_writes_videos_too(run_command, tmp_path):
    code, printed = run_command('make-data', tmp_path / 'set', '--kind', 'motion', '--train', '6', '--val', '6')
    assert code == 0 and '6 training and 6 validation videos' in printed
    assert len(list((tmp_path / 'set' / 'train').glob('*.mp4'))) == 6


@pytest.mark.parametrize('config, backbone', [('mask_rcnn_hiera_b', (50.76, 232.7)), ('k400_hiera_b', (50.78, 101.7))])
def test_the_plan_begins_with_the_parts_and_their_sum(run_command, config, backbone):
    code, printed = run_command('plan', config)
    assert code == 0, printed
    first, rest = printed.split('\n', 1)
    total = [float(figure) for figure in re.findall(r'([\d.]+) [MG] ', first)]
    found = re.findall(r'^  (\w+): ([\d.]+) M parameters, ([\d.]+) G', rest, re.M)
    table = {part: (float(parameters), float(macs)) for part, parameters, macs in found}
    assert table['backbone'] == backbone
    assert [sum(row[column] for row in table.values()) for column in (0, 1)] == pytest.approx(total, abs=0.7)
