"""Images of several files each are not taken for one image a file."""

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import find_sets, layout_of

import numpy as np
import pytest
from PIL import Image


def draw(folder, *names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 40), number % 2, np.uint8)).save(folder / name)


REFUSED = dict(
    bands=('images/train/s_B02.png', 'images/train/s_B03.png', 'masks/train/s.png'),
    bands_of_8A=('a/s_B8A.png', 'a/s_B11.png', 'b/t_B11.png'),
    infrared_beside=('a/1.png', 'a/1_nir.png', 'b/2.png'),
    depth_folder=('rgb/a/1.png', 'depth/a/1.png', 'rgb/b/2.png', 'depth/b/2.png'),
    thermal_folder=('train/images/1.png', 'train/thermal/1.png', 'train/masks/1.png'),
)
TAKEN = dict(
    a_class_called_thermal=('thermal/1.png', 'thermal/2.png', 'visible/3.png', 'visible/4.png'),
    names_with_numbers=('a/1_B.png', 'a/2_B.png', 'b/3.png', 'b/4.png'),
    one_band=('a/1_B02.png', 'a/2_B02.png', 'b/3_B02.png', 'b/4_B02.png'),
)


@pytest.mark.parametrize('names', REFUSED.values(), ids=REFUSED)
def test_bands_are_refused_with_the_setting_that_joins_them(tmp_path, names):
    draw(tmp_path / 'set', *names)
    with pytest.raises(UserError, match='channel_files'):
        find_sets(tmp_path / 'set', layout_of(tmp_path / 'set'), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_infrared_images_alone_have_masks_of_their_names(tmp_path):
    draw(
        tmp_path / 'set',
        *(f'{kind}/{part}/{n}.png' for kind in ('nir', 'masks') for part in ('train', 'val') for n in '12'),
    )
    found = find_sets(tmp_path / 'set', 'masks', tmp_path / 'out')
    assert [len(part.images) for part in found.parts.values()] == [2, 2]


@pytest.mark.parametrize('names', TAKEN.values(), ids=TAKEN)
def test_other_names_are_taken(tmp_path, names):
    draw(tmp_path / 'set', *names)
    found = find_sets(tmp_path / 'set', 'class-folders', tmp_path / 'out')
    assert sum(len(part.images) for part in found.parts.values()) == len(names)
