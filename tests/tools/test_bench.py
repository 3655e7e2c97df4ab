"""hiera-mm bench: the speed of a trained model in each format, with the metric that testing gives beside it."""

import json

from hiera_mm.commands.bench import NAMES
from hiera_mm.inference.bench import FORMATS

import pytest
from PIL import Image

from tests.helpers import TINY, shapes_options


def table(folder):
    return {row['format']: row for row in json.loads((folder / 'bench.json').read_text())}


@pytest.mark.parametrize(
    'formats',
    [
        ['pytorch', 'onnx'],
        pytest.param(['pytorch', 'half', 'openvino', 'onnx-int8', 'openvino-int8', 'compiled'], marks=pytest.mark.slow),
    ],
    ids=['two', 'all'],
)
def test_formats_are_measured_and_tested(run_command, trained, shapes, tmp_path, formats):
    code, printed = run_command(
        'bench', trained, '--formats', *formats, '--count', 2, '--out-dir', tmp_path / 'bench', '--trust'
    )
    assert code == 0 and 'left out' not in printed and 'not tested' not in printed, printed
    rows = table(tmp_path / 'bench')
    assert len(rows) == len(formats) and all(row['per_second'] > 0 and not row['fault'] for row in rows.values())
    assert all(len(row['seconds']) == 2 for row in rows.values())
    code, tested = run_command('test', TINY, trained, '--work-dir', tmp_path / 'test', *shapes_options(shapes))
    for name, value in rows['PyTorch']['metrics'].items():
        assert f'{name}: {value:.4f}' in tested
    exact = [row for name, row in rows.items() if 'INT8' not in name and 'half' not in name]
    for row in exact:
        assert row['metrics'] == pytest.approx(rows['PyTorch']['metrics'], abs=0.02)
    assert Image.open(tmp_path / 'bench' / 'bench.png').size[0] > 400
    assert 'times the first' in printed and 'coco/bbox_mAP' in printed


def test_all_formats_are_offered():
    assert list(NAMES) == list(FORMATS)


def test_given_inputs_are_predicted_without_a_test(run_command, trained, shapes, tmp_path):
    code, printed = run_command(
        *('bench', trained, shapes / 'val', '--formats', 'pytorch', '--count', 3, '--out-dir', tmp_path / 'bench')
    )
    assert code == 0, printed
    (row,) = table(tmp_path / 'bench').values()
    assert len(row['seconds']) == 3 and not row['metrics']


def test_what_cant_be_measured_is_told(run_command, trained, tmp_path):
    code, printed = run_command('bench', trained, tmp_path, '--formats', 'pytorch', '--out-dir', tmp_path / 'bench')
    assert code == 1 and 'Traceback' not in printed and not (tmp_path / 'bench').exists(), printed
    code, printed = run_command('bench', trained, '--count', 0)
    assert code == 1 and '--count must be at least 1' in printed
