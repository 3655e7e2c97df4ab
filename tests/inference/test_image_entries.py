"""One image, given by its path, its content, a handle, or opened by Pillow: the same pixels or one sentence."""

import io

from hiera_mm.errors import UserError
from hiera_mm.tasks import load

import numpy as np
import pytest
import torch
from PIL import Image
from pillow_heif import register_heif_opener

from tests.helpers import ROOT, TINY, save_random_weights

register_heif_opener()

MODES = {
    'JPEG': ('L', 'RGB', 'CMYK'),
    'PNG': ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I;16', 'dark I;16'),
    'TIFF': ('1', 'L', 'P', 'RGB', 'RGBA', 'CMYK', 'I;16', 'dark I;16', 'I', 'F'),
    'BMP': ('1', 'L', 'P', 'RGB'),
    'GIF': ('L', 'P'),
    'WEBP': ('RGB', 'RGBA'),
    'AVIF': ('RGB', 'RGBA'),
    'HEIF': ('L', 'RGB', 'RGBA'),
    'JPEG2000': ('L', 'RGB', 'I;16'),
    'PPM': ('1', 'L', 'RGB', 'I;16'),
}
ENDINGS = {'JPEG': '.jpg', 'HEIF': '.heic', 'TIFF': '.tiff', 'JPEG2000': '.jp2'}
TURNED = ('JPEG', 'PNG', 'TIFF', 'WEBP', 'AVIF', 'HEIF')
CASES = [
    (kind, mode, turn)
    for kind, modes in MODES.items()
    for mode in modes
    for turn in (range(1, 9) if kind in TURNED and mode in ('RGB', 'I;16') else [1])
]
ENTRIES = {
    'content': lambda path: path.read_bytes(),
    'memory': lambda path: io.BytesIO(path.read_bytes()),
    'handle': lambda path: path.open('rb'),
    'Pillow': Image.open,
    'text': str,
}


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """A detector, and a classifier of images."""
    folder = tmp_path_factory.mktemp('models')
    configs = dict(detector=TINY, classifier=str(ROOT / 'tests' / 'data' / 'tiny_in1k.py'))
    return {
        name: load(save_random_weights(path, folder / f'{name}.pth'), device='cpu') for name, path in configs.items()
    }


def written(folder, kind, mode, turn):
    rows, columns = np.mgrid[:24, :36]
    grey = (rows * 7 + columns * 3).astype(np.uint8)
    colours = np.stack([grey, 255 - grey, (columns * 5).astype(np.uint8)], -1)
    if mode.endswith('I;16'):
        image = Image.fromarray(grey.astype(np.uint16) * (4 if mode.startswith('dark') else 257))
    elif mode in ('I', 'F'):
        image = Image.fromarray(grey.astype(np.int32 if mode == 'I' else np.float32) * (300 if mode == 'I' else 1))
    else:
        image = Image.fromarray(colours).convert(mode)
    path = folder / f'image{ENDINGS.get(kind, "." + kind.lower())}'
    exif = Image.Exif()
    exif[274] = turn
    image.save(path, format=kind, **(dict(exif=exif) if turn != 1 else {}))
    return path


def outcome(read, given):
    """The pixels, or the kind of error with its sentence without the file's name."""
    try:
        return read(given)
    except UserError as error:
        return type(error), str(error).replace("'given'", 'X').replace(f"'{given}'", 'X')


def reader(model, name):
    if name == 'detector':
        return model.decoded
    return lambda given: model.prepared(given)['inputs']


@pytest.mark.parametrize('name', ['detector', 'classifier'])
@pytest.mark.parametrize(('kind', 'mode', 'turn'), CASES)
def test_every_way_to_give_an_image_gives_its_pixels(models, tmp_path, name, kind, mode, turn):
    path = written(tmp_path, kind, mode, turn)
    read = reader(models[name], name)
    expected = outcome(read, path)
    for way, opened in ENTRIES.items():
        found = outcome(read, opened(path))
        if isinstance(expected, tuple):
            assert isinstance(found, tuple) and found[0] is expected[0], (way, found, expected)
        else:
            assert not isinstance(found, tuple), (way, found)
            assert found.shape == expected.shape, way
            difference = np.abs(np.asarray(found, np.float32) - np.asarray(expected, np.float32))
            assert difference.max() <= (3 if kind in ('JPEG', 'WEBP', 'AVIF', 'HEIF') else 0), way


@pytest.mark.parametrize('turn', range(1, 9))
# HEIF has a rotation of its own, and asks readers to ignore EXIF's.
@pytest.mark.parametrize('kind', TURNED[:-1])
def test_a_detector_sees_a_photograph_as_it_is_displayed(models, tmp_path, kind, turn):
    path = written(tmp_path, kind, 'RGB', turn)
    upright = written(tmp_path, kind, 'RGB', 1) if turn == 1 else None
    shown = models['detector'].decoded(path)
    assert shown.shape == ((24, 36, 3) if turn < 5 else (36, 24, 3))
    assert upright is None or np.array_equal(shown, models['detector'].decoded(upright))


def test_pixels_in_memory_are_the_same_as_arrays_and_tensors(models, tmp_path):
    path = written(tmp_path, 'PNG', 'RGB', 1)
    pixels = np.array(Image.open(path))
    by_path = models['detector'].predict(path)
    for given in (pixels, torch.from_numpy(pixels).permute(2, 0, 1)):
        found = models['detector'].predict(given)
        assert np.array_equal(found.boxes, by_path.boxes) and np.array_equal(found.scores, by_path.scores)


@pytest.mark.parametrize('name', ['detector', 'classifier'])
@pytest.mark.parametrize(
    'given',
    [
        *(b'', b'garbage', io.BytesIO(), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), None, 3, {1, 2}),
        *(np.zeros((4, 4, 3)), torch.zeros(3, 4, 4), torch.zeros(4, 4, 3, dtype=torch.uint8), 'no/such.jpg', '.'),
        *('file:///no/such.jpg', 'http://127.0.0.1:9/dead.jpg', 'https://127.0.0.1:9/dead.jpg'),
    ],
    ids=lambda given: type(given).__name__ if hasattr(given, 'read') else str(given)[:30],
)
def test_what_is_no_image_is_told_in_a_sentence(models, name, given):
    with pytest.raises(UserError):
        models[name].predict(given)


@pytest.mark.parametrize('name', ['detector', 'classifier'])
def test_no_images_are_no_predictions(models, name):
    assert models[name].predict([]) == []
