"""Index masks and their photographs as people have them."""

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.index_masks import check_mask_size, check_mask_values, find_pairs, read_mask

import numpy as np
import pytest
from PIL import Image

MASK = np.arange(12, dtype=np.uint8).reshape(3, 4)


def photograph(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (4, 3)).save(path)


def mask(path, values=MASK):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def names(pairs):
    return [(pair.image.name, pair.mask and pair.mask.name) for pair in pairs]


@pytest.mark.parametrize('mode', ['L', 'P', 'I', 'I;16'])
def test_numbers_are_read_from_any_picture_of_one_channel(tmp_path, mode):
    """Of one with a palette the indices, not the colours."""
    if mode == 'P':
        image = Image.fromarray(MASK, 'P')
        image.putpalette(list(range(255, -1, -1)) * 3)
    else:
        image = Image.fromarray(MASK.astype(dict(L=np.uint8, I=np.int32).get(mode, np.uint16)))
    image.save(tmp_path / 'mask.png')
    assert Image.open(tmp_path / 'mask.png').mode.startswith(mode[0])
    read = read_mask(tmp_path / 'mask.png')
    assert read.dtype == np.uint8 and (read == MASK).all()


def test_masks_of_one_bit_hold_zeros_and_ones(tmp_path):
    Image.fromarray(MASK > 5).save(tmp_path / 'mask.png')
    assert Image.open(tmp_path / 'mask.png').mode == '1'
    assert (read_mask(tmp_path / 'mask.png') == (MASK > 5)).all()


@pytest.mark.parametrize(
    'image, said',
    [
        (Image.new('RGB', (4, 3)), 'in colour'),
        (Image.new('RGBA', (4, 3)), 'in colour'),
        (Image.new('LA', (4, 3)), 'in colour'),
        (Image.fromarray(np.full((3, 4), 300, np.uint16)), '300'),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path, image, said):
    image.save(tmp_path / 'mask.png')
    with pytest.raises(UserError, match=said):
        read_mask(tmp_path / 'mask.png')


def test_numbers_with_fractions_are_refused(tmp_path):
    Image.fromarray(np.full((3, 4), 0.5, np.float32)).save(tmp_path / 'mask.tif')
    with pytest.raises(UserError, match='float32'):
        read_mask(tmp_path / 'mask.tif')


def test_missing_and_damaged_masks_are_named(tmp_path):
    (tmp_path / 'text.png').write_text('no picture')
    mask(tmp_path / 'whole.png', np.random.default_rng(0).integers(0, 9, (200, 200), dtype=np.uint8))
    (tmp_path / 'cut.png').write_bytes((tmp_path / 'whole.png').read_bytes()[:3000])
    for name in ('missing.png', 'text.png', 'cut.png'):
        with pytest.raises(BrokenFileError, match=name):
            read_mask(tmp_path / name)


def test_sizes_and_numbers_must_fit(tmp_path):
    check_mask_size('mask.png', MASK, (3, 4))
    check_mask_values('mask.png', MASK, 12)
    check_mask_values('mask.png', np.full((2, 2), 255, np.uint8), 2)
    with pytest.raises(UserError, match='4 x 3 pixels, but its image 3 x 4.*EXIF'):
        check_mask_size('mask.png', MASK, (4, 3))
    with pytest.raises(UserError, match=r'numbers that are not classes: 2 \(10, 11\); the 10 classes are 0 to 9'):
        check_mask_values('mask.png', MASK, 10)


def test_pictures_are_found_by_any_usual_ending_and_at_any_depth(tmp_path):
    for name in ('a.jpg', 'b.JPEG', 'deep/c.png', '.hidden.jpg', 'notes.txt'):
        photograph(tmp_path / 'images' / name) if name != 'notes.txt' else (tmp_path / 'images/notes.txt').write_text(
            ''
        )
    for name in ('a', 'b', 'deep/c', 'more'):
        mask(tmp_path / 'masks' / f'{name}.png')
    found = find_pairs(tmp_path / 'images', tmp_path / 'masks')
    assert names(found) == [('a.jpg', 'a.png'), ('b.JPEG', 'b.png'), ('c.png', 'c.png')]
    assert names(find_pairs(tmp_path / 'images', None)) == [('a.jpg', None), ('b.JPEG', None), ('c.png', None)]


def test_masks_may_lie_among_the_pictures_and_have_longer_names(tmp_path):
    for name in ('a', 'b'):
        photograph(tmp_path / f'{name}.png')
        mask(tmp_path / f'{name}_mask.png')
    assert names(find_pairs(tmp_path, tmp_path, '', '_mask.png')) == [('a.png', 'a_mask.png'), ('b.png', 'b_mask.png')]


def test_names_with_longer_endings_are_those_of_cityscapes(tmp_path):
    photograph(tmp_path / 'images/aachen_leftImg8bit.png')
    mask(tmp_path / 'masks/aachen_labels.png')
    found = find_pairs(tmp_path / 'images', tmp_path / 'masks', '_leftImg8bit.png', '_labels.png')
    assert names(found) == [('aachen_leftImg8bit.png', 'aachen_labels.png')]


def test_a_list_chooses_the_pictures(tmp_path):
    for name in ('a', 'b', 'c'):
        photograph(tmp_path / f'images/{name}.jpg')
        mask(tmp_path / f'masks/{name}.png')
    (tmp_path / 'list.txt').write_text('c\n\na\n')
    found = find_pairs(tmp_path / 'images', tmp_path / 'masks', names=tmp_path / 'list.txt')
    assert names(found) == [('c.jpg', 'c.png'), ('a.jpg', 'a.png')]
    (tmp_path / 'list.txt').write_text('a.jpg\n')
    with pytest.raises(UserError, match=r"1 \(a.jpg\) of the names in '.*list.txt'"):
        find_pairs(tmp_path / 'images', tmp_path / 'masks', names=tmp_path / 'list.txt')
    (tmp_path / 'list.txt').write_text('\n')
    with pytest.raises(UserError, match='empty'):
        find_pairs(tmp_path / 'images', tmp_path / 'masks', names=tmp_path / 'list.txt')


def test_what_does_not_pair_is_said(tmp_path):
    photograph(tmp_path / 'images/a.jpg')
    photograph(tmp_path / 'images/b.jpg')
    mask(tmp_path / 'masks/a.png')
    with pytest.raises(UserError, match=r'1 \(.*b.png\) of the masks are missing'):
        find_pairs(tmp_path / 'images', tmp_path / 'masks')
    with pytest.raises(UserError, match="no images whose names end in '.png', but 2"):
        find_pairs(tmp_path / 'images', tmp_path / 'masks', '.png')
    with pytest.raises(UserError, match="folder of masks '.*none' does not exist"):
        find_pairs(tmp_path / 'images', tmp_path / 'none')
    photograph(tmp_path / 'images/a.png')
    with pytest.raises(UserError, match='two images for one mask'):
        find_pairs(tmp_path / 'images', tmp_path / 'masks')
