"""hiera-mm start: from a folder to a report and predictions; it stops at a fault and goes on when that is gone."""

import json
import re
import subprocess
import sys

from hiera_mm.synthetic import classes as class_shapes

import pytest
from PIL import Image

from tests.helpers import ROOT

TINY = """
model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))),
    cls_head=dict(in_channels=128),
)
"""


def start(folder, *words):
    """The exit code and what is printed; as a user starts it, since it starts processes of its own."""
    done = subprocess.run(
        [sys.executable, '-m', 'hiera_mm', 'start', *map(str, words)],
        **dict(cwd=folder, env={'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'PATH': ''}),
        **dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True),
    )
    assert 'Traceback' not in done.stdout, done.stdout
    return done.returncode, done.stdout


@pytest.fixture
def images(tmp_path):
    """A folder with class folders of 12 and 6 images."""
    class_shapes.make_class_shapes(tmp_path / 'set', train=12, val=6)
    return tmp_path / 'set'


@pytest.fixture
def stopped(tmp_path, images):
    """The damaged image at which it stopped, and the image's content."""
    path = sorted((images / 'train').rglob('*.png'))[0]
    content = path.read_bytes()
    path.write_bytes(content[:60])
    code, printed = start(tmp_path, 'set', '--random-weights', '--epochs', 2, '--out', 'mine.py')
    assert code == 1 and path.name in printed and 'the same command goes on here' in printed, printed
    return path, content


def test_it_stops_at_a_fault_of_the_data(tmp_path, stopped):
    state = tmp_path / 'work_dirs' / 'mine' / 'start.json'
    assert json.loads(state.read_text())['finished'] == []
    code, printed = start(tmp_path, 'set', '--out', 'mine.py')
    assert code == 1 and 'mine.py is there already' in printed and stopped[0].name in printed, printed


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(tmp_path, stopped):
    path, content = stopped
    state = tmp_path / 'work_dirs' / 'mine' / 'start.json'
    path.write_bytes(content)
    config = tmp_path / 'mine.py'
    # A user may change the config before it is trained.
    config.write_text(re.sub('image_size = .*', 'image_size = 64', config.read_text()) + TINY)
    code, printed = start(tmp_path, 'set', '--random-weights', '--epochs', 2, '--out', 'mine.py')
    assert code == 0 and 'mine.py is there already' in printed and '36 images or clips' not in printed, printed
    steps = ['check', 'rehearsal', 'training', 'report', 'predictions']
    assert json.loads(state.read_text())['finished'] == steps
    run = tmp_path / 'work_dirs' / 'mine'
    assert (run / 'report.html').stat().st_size > 10_000 and (run / 'predictions' / 'predictions.csv').is_file()
    before = {file: file.stat().st_mtime_ns for file in run.rglob('*.pth')}
    code, printed = start(tmp_path, 'set', '--random-weights', '--out', 'mine.py')
    assert code == 0 and '==' not in printed and 'Finished:' in printed, printed
    assert before == {file: file.stat().st_mtime_ns for file in run.rglob('*.pth')}
    config.write_text(config.read_text() + 'learning_rate = 1e-5\n')
    code, printed = start(tmp_path, 'set', '--out', 'mine.py')
    assert code == 1 and 'was changed after its training; train it again by' in printed, printed


def test_a_config_of_the_users_own_is_left_alone(run_command, tmp_path, images, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').write_text('mine = 1')
    code, printed = run_command('start', images, '--out', 'mine.py')
    assert code == 1 and "nothing says how far 'hiera-mm start' was with it" in printed, printed
    assert (tmp_path / 'mine.py').read_text() == 'mine = 1'


@pytest.mark.parametrize('minutes, sentence', [(0, 'must be above 0'), (-3, 'must be above 0')])
def test_minutes_that_cant_be_meant_are_refused(run_command, tmp_path, images, monkeypatch, minutes, sentence):
    monkeypatch.chdir(tmp_path)
    code, printed = run_command('start', images, '--minutes', minutes)
    assert code == 1 and sentence in printed and not (tmp_path / 'my_config.py').exists(), printed


@pytest.mark.slow
def test_epochs_are_those_that_fit_into_the_minutes(run_command, tmp_path, images, monkeypatch):
    """It ends at the check, since an image is damaged."""
    monkeypatch.chdir(tmp_path)
    path = sorted((images / 'train').rglob('*.png'))[0]
    Image.open(path).save(path.with_suffix('.jpg'))
    path.with_suffix('.jpg').write_bytes(path.with_suffix('.jpg').read_bytes()[:100])
    epochs = {}
    for minutes in (1000, 0.1):
        code, printed = run_command(
            'start', images, '--random-weights', '--minutes', minutes, '--out', f'{len(epochs)}.py'
        )
        assert code == 1, printed
        config = (tmp_path / f'{len(epochs)}.py').read_text()
        epochs[minutes] = int(re.search(r'^epochs = (\d+)', config, re.MULTILINE)[1])
    assert epochs[1000] == 30 and epochs[0.1] < 30
