"""What init writes for images of other channels than grey and colours."""

from hiera_mm.readers.channels import decode_channels
from hiera_mm.readers.found_sets.channels import channel_settings
from hiera_mm.settings import read_config

import numpy as np
import pytest
import tifffile
from PIL import Image


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, **options)
    return str(path)


CONTIG = dict(photometric='minisblack', planarconfig='contig')
COLOURS = dict(photometric='rgb', planarconfig='contig')


@pytest.mark.parametrize(
    'channels, options, expected',
    [
        (2, CONTIG, 2),
        (5, CONTIG, 5),
        (13, dict(photometric='minisblack', planarconfig='contig', compression='zlib'), 13),
        (4, COLOURS | dict(extrasamples=['unspecified']), 4),
        (4, COLOURS | dict(extrasamples=['unassalpha']), None),
        (4, COLOURS | dict(extrasamples=['assocalpha']), None),
        (5, COLOURS | dict(extrasamples=['unspecified', 'unassalpha']), 4),
        (3, COLOURS, None),
    ],
)
def test_channels_are_counted_without_transparency(tmp_path, channels, options, expected):
    pixels = np.random.default_rng(0).integers(0, 60000, (40, 30, channels)).astype(np.uint16)
    settings = channel_settings([write(tmp_path / f'{number}.tif', pixels, **options) for number in range(3)])
    assert settings.get('channels') == expected
    if expected == channels:
        np.testing.assert_allclose(settings['mean'], pixels.mean((0, 1)), rtol=1e-4)
        np.testing.assert_allclose(settings['std'], pixels.std((0, 1)), rtol=1e-4)


def test_other_images_and_sets_of_several_kinds_have_no_setting(tmp_path):
    five = write(tmp_path / 'five.tif', np.zeros((4, 4, 5), np.uint8), **CONTIG)
    grey = write(tmp_path / 'grey.tif', np.zeros((4, 4), np.uint16))
    pages = write(tmp_path / 'pages.tif', np.zeros((6, 40, 40), np.uint8), photometric='minisblack')
    Image.new('RGBA', (4, 4)).save(tmp_path / 'clear.png')
    assert channel_settings([grey]) == channel_settings([five, grey]) == {}
    assert channel_settings([str(tmp_path / 'clear.png')] * 2) == channel_settings([]) == {}
    assert channel_settings([pages])['channels'] == 6


def test_init_and_check_data_take_a_folder_of_them(tmp_path, run_command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for part, count in (('train', 4), ('val', 2)):
        for number in range(count):
            path = tmp_path / 'set' / part / 'ab'[number % 2] / f'{number}.tif'
            write(path, random.integers(0, 3000, (70, 80, 6)).astype(np.uint16), **CONTIG)
    code, printed = run_command('init', 'set', '--random-weights', '--out', 'my_config.py')
    assert code == 0, printed
    config = read_config('my_config.py')
    assert config.model.backbone.in_channels == config.channels == 6
    everything = [decode_channels(path.read_bytes(), path) for path in sorted((tmp_path / 'set/train').rglob('*.tif'))]
    np.testing.assert_allclose(config.model.data_preprocessor.mean, np.mean(everything, (0, 1, 2)), rtol=1e-4)
    code, printed = run_command('check-data', 'my_config.py')
    assert code == 0 and '0 faults, 0 notes' in printed, printed
