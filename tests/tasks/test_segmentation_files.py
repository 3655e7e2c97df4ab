"""Masks of many images."""

from hiera_mm.tasks.segmentation.files import MaskWriter
from hiera_mm.tasks.segmentation.results import Segmentation

import numpy as np
import pytest
from PIL import Image

NAMES = ('nothing', 'disc', 'bar')


@pytest.mark.parametrize(
    'names',
    [
        ['a.jpg', 'a.png', 'a.webp'],
        ['a.PNG', 'a.png'],
        ['one/a.jpg', 'two/a.jpg'],
        ['a.b.jpg', 'a.c.jpg'],
    ],
)
def test_images_that_differ_in_anything_have_masks_of_their_own(tmp_path, names):
    writer = MaskWriter(tmp_path)
    for number, name in enumerate(names):
        writer.write(Segmentation(np.full((4, 6), number, np.uint8), NAMES), name, None)
    files = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert sorted(int(np.asarray(Image.open(file)).max()) for file in files) == list(range(len(names)))
    assert {file.suffix for file in files} == {'.png'}


def test_frames_of_a_film_lie_in_its_folder(tmp_path):
    MaskWriter(tmp_path).write(Segmentation(np.ones((4, 6), np.uint8), NAMES), 'film.mp4', 12)
    assert np.asarray(Image.open(tmp_path / 'film.mp4' / '000012.png')).tolist() == [[1] * 6] * 4
