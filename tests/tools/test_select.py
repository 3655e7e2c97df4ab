"""``hiera-mm select`` on images, with a detector of random weights."""

import csv
import shutil

import hiera_mm
from hiera_mm.tasks.detection import selection

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import SMALL_DETECTOR, assert_explained, save_random_weights


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp('select')
    (folder / 'mine.py').write_text(SMALL_DETECTOR.replace('NAME', 'mask_rcnn_hiera_t_shapes'))
    return save_random_weights(folder / 'mine.py', folder / 'model.pth')


@pytest.fixture
def pool(shapes, tmp_path):
    """Six images, one of them saved anew as a JPEG, and one of another form."""
    folder = tmp_path / 'pool'
    folder.mkdir()
    for path in sorted((shapes / 'train').iterdir())[:6]:
        shutil.copy(path, folder / f'{path.stem}.png')
    first = Image.open(sorted(folder.iterdir())[0])
    first.convert('RGB').save(folder / 'again.jpg', quality=80)
    first.crop((0, 0, first.width, first.height // 2)).save(folder / 'wide.png')
    return folder


def rows(folder):
    with (folder / 'selected.csv').open() as file:
        return [*csv.DictReader(file)]


def test_different_images_are_chosen_and_a_repeated_one_is_left_out(model, pool, tmp_path, run_command):
    code, printed = run_command('select', model, pool, '-n', 5, '--out-dir', tmp_path / 'out')
    assert code == 0 and 'selected.txt: 5 of 8 images; 1 repeat others' in printed, printed
    chosen = (tmp_path / 'out' / 'selected.txt').read_text().splitlines()
    assert len(set(chosen)) == 5 and set(chosen) <= {str(path) for path in pool.iterdir()}
    table = rows(tmp_path / 'out')
    assert [row['file'] for row in table[:5]] == chosen and table[0]['distance'] == ''
    repeated = {table[5]['file'].rpartition('/')[2], table[5]['repeats'].rpartition('/')[2]}
    assert 'again.jpg' in repeated and len(repeated) == 2
    assert Image.open(tmp_path / 'out' / 'selected.png').width > 300
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'selected.csv',
        'selected.png',
        'selected.txt',
    ]


def test_uncertainty_is_that_of_the_predictions(model, pool, tmp_path, run_command):
    run_command('select', model, pool, '-n', 8, '--out-dir', tmp_path / 'out')
    detector = hiera_mm.load(str(model))
    for row in rows(tmp_path / 'out'):
        if row['uncertainty']:
            scores = detector.predict(row['file']).scores.astype(np.float64)
            expected = -(scores * np.log2(scores) + (1 - scores) * np.log2(1 - scores)).sum()
            assert float(row['uncertainty']) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_features_are_means_over_the_image_whatever_it_is_computed_with(model, pool):
    detector = hiera_mm.load(str(model))
    images = [detector.decoded(dict(img_path=str(path))) for path in sorted(pool.iterdir())]
    with selection._pooled_maps(detector.trained.model) as together:
        detector.predict(images)
    with selection._pooled_maps(detector.trained.model) as alone:
        detector.predict(images[0])
    maps = []
    handle = detector.trained.model.backbone.register_forward_hook(lambda module, given, found: maps.append(found[-1]))
    detector.predict(images[0])
    handle.remove()
    assert len(together) == len(images) and len(alone) == 1
    expected = maps[0][0].mean((1, 2))
    torch.testing.assert_close(torch.tensor(alone[0]), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(torch.tensor(together[0]), expected, rtol=0.05, atol=0.05)
    assert not detector.trained.model._forward_pre_hooks


def test_labelled_images_and_what_repeats_them_are_not_chosen(model, pool, tmp_path, run_command):
    labelled = [path for path in sorted(pool.iterdir()) if path.name != 'wide.png'][1:]
    code, printed = run_command(
        *('select', model, pool, '-n', 5, '--out-dir', tmp_path / 'out', '--labelled', *labelled)
    )
    assert code == 0, printed
    chosen = (tmp_path / 'out' / 'selected.txt').read_text().splitlines()
    assert not set(chosen) & set(map(str, labelled)) and len(chosen) == 1
    code, printed = run_command('select', model, pool, '--out-dir', tmp_path / 'out', '--labelled', pool)
    assert_explained((code, printed), 'All images have labels already')


def test_a_broken_image_is_told_and_an_interrupted_run_continued(model, pool, tmp_path, run_command, monkeypatch):
    (pool / 'broken.png').write_bytes(b'nothing')
    command = ('select', model, pool, '-n', 3, '--out-dir', tmp_path / 'out')
    code, printed = run_command(*command)
    assert code == 1 and 'Not read: ' in printed and 'broken.png' in printed and 'selected.txt: 3 of 9' in printed
    before = (tmp_path / 'out' / 'selected.txt').read_text()
    Image.new('RGB', (64, 64)).save(pool / 'broken.png')
    seen = []
    monkeypatch.setattr(selection, 'thumbnail', lambda image: seen.append(image) or np.zeros((16, 16, 3), np.uint8))
    code, printed = run_command(*command)
    assert code == 0 and len(seen) == 1, printed
    assert set(before.splitlines()) & set((tmp_path / 'out' / 'selected.txt').read_text().splitlines())


@pytest.mark.parametrize('count', ['0', '-3'])
def test_a_number_that_cannot_be_is_refused(model, pool, run_command, count):
    assert_explained(run_command('select', model, pool, '-n', count), '-n takes a number of at least 1')


def test_only_detectors_choose(tmp_path, run_command):
    tiny = 'dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))'
    (tmp_path / 'mine.py').write_text(
        f"_base_ = 'hiera_mm::in1k_hiera_t.py'\nclasses = ('a', 'b')\nweights = None\n"
        f'model = dict(backbone=dict(arch={tiny}), cls_head=dict(in_channels=128))\n'
    )
    model = save_random_weights(tmp_path / 'mine.py', tmp_path / 'model.pth')
    Image.new('RGB', (40, 40)).save(tmp_path / 'a.png')
    assert_explained(run_command('select', model, tmp_path / 'a.png'), 'images are chosen by a detector')


def test_results_inside_the_pool_are_not_chosen_from(model, pool, tmp_path, run_command):
    for _ in range(2):
        code, printed = run_command('select', model, pool, '-n', 2, '--out-dir', pool / 'selected')
        assert code == 0 and 'selected.txt: 2 of 8 images' in printed, printed


def test_an_image_is_the_same_however_its_path_is_written(model, pool, tmp_path, run_command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, printed = run_command('select', model, pool, '--labelled', 'pool/wide.png', './pool/again.jpg', '-n', 2)
    assert code == 0 and 'selected.txt: 2 of 6 images' in printed, printed


def test_drawings_do_not_take_the_place_of_images(model, pool, run_command):
    before = {path: path.read_bytes() for path in pool.iterdir()}
    result = run_command('label', model, pool, '--out-dir', pool)
    assert_explained(result, 'would be written among the inputs')
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize('score', ['nan', '2', '-1'])
def test_a_score_that_cannot_be_is_refused(model, pool, tmp_path, run_command, score):
    result = run_command('label', model, pool, f'--pred-score-thr={score}', '--out-dir', tmp_path / 'labels')
    assert_explained(result, 'a score from 0 to 1')
