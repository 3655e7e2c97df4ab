"""Images with masks as people keep them: every image meets the mask of its colours, or a sentence says why not."""

import json

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import find_sets, layout_of

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from tests.found_configs import config_of

NAMES = ('sky', 'road', 'car')
COLOURS = ((0, 0, 0), (200, 30, 30), (30, 30, 200))
"""Of the images and of masks in colour."""


def numbers_of(number):
    """The classes of an image: its left half, its right half, and a corner of what is ignored."""
    numbers = np.full((16, 16), number % 3, np.uint8)
    numbers[:, 8:] = (number + 1) % 3
    return numbers


def image_of(number):
    return Image.fromarray(np.array(COLOURS, np.uint8)[numbers_of(number)])


def indices(number):
    numbers = numbers_of(number)
    numbers[:2, :2] = 255
    return Image.fromarray(numbers)


def palette(number):
    mask = Image.fromarray(numbers_of(number)).convert('P')
    mask.putpalette([255, 0, 255, 0, 255, 0, 0, 0, 255])
    # Pillow keeps the indices.
    return mask


def colours(number):
    return image_of(number)


def with_alpha(number):
    return image_of(number).convert('RGBA')


def grey_in_colour(number):
    return Image.fromarray(numbers_of(number)).convert('RGB')


def sixteen_bits(number):
    return Image.fromarray(numbers_of(number).astype(np.uint16))


def put(folder, image, mask, number, make=indices):
    for place, content in ((image, image_of(number)), (mask, make(number))):
        path = folder / place.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        content.save(path)


def draw(folder, image, mask, make=indices, parts=('train', 'val')):
    """8 images of the first part and 3 of the second."""
    for part, numbers in zip(parts, (range(8), range(8, 11)), strict=False):
        for number in numbers:
            put(folder, image.replace('PART', part), mask.replace('PART', part), number, make)


def assert_masks_fit(config, sets, names=NAMES, colours_of=COLOURS):
    """Every pixel of every image that is loaded has the colour of its class."""
    init_default_scope(config.default_scope)
    for part in sets.parts:
        dataset = DATASETS.build(dict(config[f'{part}_dataloader'].dataset, pipeline=[dict(type='LoadAnnotations')]))
        assert len(dataset) == len(sets.parts[part].images)
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            pixels = np.asarray(Image.open(info['img_path']).convert('RGB')).astype(int)
            mask = dataset.pipeline(dict(info, ori_shape=pixels.shape[:2]))['gt_seg_map']
            assert set(np.unique(mask)) - {255} <= set(range(len(names)))
            place = {name: number for number, name in enumerate(dataset.metainfo['classes'])}
            for name, colour in zip(names, colours_of, strict=True):
                seen = mask[(np.abs(pixels - colour) < 40).all(-1)]
                assert set(np.unique(seen)) <= {place[name], 255}, (info, name)


def names_file(folder, name='classes.txt'):
    (folder / name).write_text('\n'.join(NAMES) + '\n')


PLACES = {
    'images and masks, then parts': ('images/PART/{}.jpg', 'masks/PART/{}.png'),
    'parts, then images and masks': ('PART/images/{}.jpg', 'PART/masks/{}.png'),
    'mmsegmentation': ('img_dir/PART/{}.jpg', 'ann_dir/PART/{}.png'),
    'CamVid': ('PART/{}.jpg', 'PARTannot/{}.png'),
    'Kaggle': ('PART_images/{}.png', 'PART_labels/{}.png'),
    'labels': ('data/PART/rgb/{}.webp', 'data/PART/label/{}.png'),
    'ground truth': ('PART/{}.png', 'PART_gt/{}.png'),
    'Roboflow': ('PART/{}.jpg', 'PART/{}_mask.png'),
    'a suffix in a folder of their own': ('images/PART/{}.jpg', 'masks/PART/{}_seg.png'),
    'named after the whole file': ('images/PART/{}.jpg', 'masks/PART/{}.jpg.png'),
    'in capitals': ('Images/PART/{}.JPG', 'Masks/PART/{}.PNG'),
    'deep': ('PART/images/city/{}.jpg', 'PART/masks/city/{}.png'),
    'with spaces': ('my images/PART/a {}.jpg', 'my masks/PART/a {}.png'),
}


@pytest.mark.parametrize('places', PLACES.values(), ids=PLACES)
@pytest.mark.parametrize('parts', [('train', 'val'), ('training', 'validation')], ids=['train', 'training'])
def test_masks_are_found_wherever_they_lie(tmp_path, places, parts):
    draw(tmp_path / 'set', *places, parts=parts)
    names_file(tmp_path / 'set')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert {part: len(found.images) for part, found in sets.parts.items()} == dict(train=8, val=3)
    assert_masks_fit(config, sets)


@pytest.mark.parametrize('places', [('images/{}.jpg', 'masks/{}.png'), ('{}.jpg', '{}_mask.png')], ids=['two', 'one'])
def test_a_fifth_is_put_apart_without_parts(tmp_path, places):
    for number in range(10):
        put(tmp_path / 'set', *places, number)
    names_file(tmp_path / 'set')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert {part: len(found.images) for part, found in sets.parts.items()} == dict(train=8, val=2)
    assert_masks_fit(config, sets)
    assert 'put apart' in '\n'.join(sets.notes)


@pytest.mark.parametrize('line', ['{}', '{}.jpg', 'images/{}.jpg masks/{}.png', '/SegNet/CamVid/{}.png /x/{}.png'])
def test_lists_of_names_tell_the_parts(tmp_path, line):
    for number in range(10):
        put(tmp_path / 'set', 'JPEGImages/{}.jpg', 'SegmentationClass/{}.png', number, palette)
    lists = tmp_path / 'set' / 'ImageSets' / 'Segmentation'
    lists.mkdir(parents=True)
    for part, numbers in dict(train=range(6), val=range(6, 9), trainval=range(9)).items():
        (lists / f'{part}.txt').write_text(''.join(line.replace('{}', str(number)) + '\n' for number in numbers))
    names_file(tmp_path / 'set')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert {part: len(found.images) for part, found in sets.parts.items()} == dict(train=6, val=3)
    assert_masks_fit(config, sets)
    assert '1 image that lie in no folder named train' in '\n'.join(sets.account)


KINDS_OF_MASKS = dict(
    numbers=indices,
    palette=palette,
    grey_in_colour=grey_in_colour,
    sixteen_bits=sixteen_bits,
)


@pytest.mark.parametrize('make', KINDS_OF_MASKS.values(), ids=KINDS_OF_MASKS)
@pytest.mark.parametrize('ending', ['png', 'bmp', 'tif'])
def test_numbers_in_any_form_are_read(tmp_path, make, ending):
    if ending == 'bmp' and make is sixteen_bits:
        pytest.skip('there is no such format')
    draw(tmp_path / 'set', 'images/PART/{}.jpg', f'masks/PART/{{}}.{ending}', make)
    names_file(tmp_path / 'set', 'labels.txt')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert_masks_fit(config, sets)


NAMERS = {
    'classes.txt': '\n'.join(NAMES),
    'codes.txt': '\n'.join(NAMES),
    '_classes.csv': 'Pixel Value, Class\n0, sky\n1, road\n2, car\n',
    'id2label.json': json.dumps({'0': 'sky', '1': 'road', '2': 'car'}),
    'classes.json': json.dumps(NAMES),
}


@pytest.mark.parametrize('name', NAMERS)
def test_classes_are_named_by_what_lies_there(tmp_path, name):
    draw(tmp_path / 'set', 'images/PART/{}.jpg', 'masks/PART/{}.png')
    (tmp_path / 'set' / name).write_text(NAMERS[name])
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sets.classes == NAMES
    assert_masks_fit(config, sets)


COLOUR_TABLES = {
    'class_dict.csv': 'name,r,g,b\nroad,200,30,30\nsky,0,0,0\ncar,30,30,200\n',
    'labelmap.txt with a class without a colour': '# label:color_rgb:parts:actions\nsky:0,0,0::\nother:::\n'
    'road:200,30,30::\ncar:30,30,200::hit\n',
    'labelmap.txt': '# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:200,30,30::\ncar:30,30,200::\n',
}


@pytest.mark.parametrize('name', COLOUR_TABLES)
@pytest.mark.parametrize('make', [colours, with_alpha])
def test_masks_in_colours_become_numbers_by_their_table(tmp_path, name, make):
    draw(tmp_path / 'set', 'images/PART/{}.jpg', 'masks/PART/{}.png', make)
    (tmp_path / 'set' / name.split()[0]).write_text(COLOUR_TABLES[name])
    before = {path: path.read_bytes() for path in (tmp_path / 'set').rglob('*.png')}
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert set(sets.classes) == set(NAMES)
    assert_masks_fit(config, sets)
    assert all(path.read_bytes() == content for path, content in before.items())


def test_colours_without_names_are_classes_of_their_own(tmp_path):
    draw(tmp_path / 'set', 'images/PART/{}.jpg', 'masks/PART/{}.png', colours)
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sets.classes == ('colour 0, 0, 0', 'colour 30, 30, 200', 'colour 200, 30, 30')
    assert 'Nothing names the 3 colours' in '\n'.join(sets.notes)
    assert_masks_fit(config, sets, sets.classes, (COLOURS[0], COLOURS[2], COLOURS[1]))


@pytest.mark.parametrize('values', [(0, 255), (0, 1), (0, 128), (255, 0)])
@pytest.mark.parametrize('mode', ['L', 'RGB', '1'])
def test_masks_of_two_values_have_two_classes(tmp_path, values, mode):
    if mode == '1' and values != (0, 255):
        pytest.skip('there is no such format')

    def two(number):
        halves = np.full((16, 16), values[0], np.uint8)
        halves[:, 8:] = values[1]
        return Image.fromarray(halves).convert(mode)

    for number in range(6):
        put(tmp_path / 'set', 'images/{}.png', 'masks/{}.png', number, two)
    config, sets = config_of(tmp_path / 'set', tmp_path)
    init_default_scope(config.default_scope)
    assert len(sets.classes) == 2
    dataset = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[dict(type='LoadAnnotations')]))
    mask = dataset.pipeline(dict(dataset.get_data_info(0), ori_shape=(16, 16)))['gt_seg_map']
    higher = values.index(max(values)) == 0
    assert (mask[:, :8] == int(higher)).all() and (mask[:, 8:] == int(not higher)).all()


def test_numbers_with_gaps_are_told(tmp_path):
    def sparse(number):
        return Image.fromarray(np.array([10, 70, 200], np.uint8)[numbers_of(number)])

    draw(tmp_path / 'set', 'images/PART/{}.jpg', 'masks/PART/{}.png', sparse)
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sets.classes == ('class 10', 'class 70', 'class 200') and 'have gaps' in '\n'.join(sets.notes)
    assert_masks_fit(config, sets, sets.classes)


def test_images_without_a_mask_are_left_out_and_counted(tmp_path):
    draw(tmp_path / 'set', 'images/PART/{}.jpg', 'masks/PART/{}.png')
    image_of(0).save(tmp_path / 'set' / 'images' / 'train' / 'alone.jpg')
    names_file(tmp_path / 'set')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert '1 image that no annotation names: images/train/alone.jpg' in '\n'.join(sets.account)
    assert_masks_fit(config, sets)


def test_masks_that_lie_otherwise_than_their_images_are_copied(tmp_path):
    for number in range(10):
        put(tmp_path / 'set', f'images/{"ab"[number % 2]}/{{}}.jpg', 'masks/{}.png', number)
    names_file(tmp_path / 'set')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sum(len(part.images) for part in sets.parts.values()) == 10
    assert_masks_fit(config, sets)


def _too_many_names(folder):
    (folder / 'classes.txt').write_text('sky\nroad\n')


def _unknown_colour(folder):
    (folder / 'class_dict.csv').write_text('name,r,g,b\nsky,0,0,0\nroad,200,30,30\n')


def _cut_off(folder):
    path = folder / 'masks' / 'train' / '1.png'
    path.write_bytes(path.read_bytes()[:40])


def _one_class(folder):
    for path in (folder / 'masks').rglob('*.png'):
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(path)


def _smoothed(folder):
    for path in (folder / 'masks').rglob('*.png'):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)).save(path)


@pytest.mark.parametrize(
    'make, spoil, sentence',
    [
        (indices, _too_many_names, 'hold 1 .2., but 2 classes are named'),
        (colours, _unknown_colour, 'colours that no class has'),
        (indices, _cut_off, '1.png'),
        (indices, _one_class, 'only one class'),
        (indices, _smoothed, 'so these are no classes'),
    ],
)
def test_masks_that_mean_nothing_are_refused(tmp_path, make, spoil, sentence):
    draw(tmp_path / 'set', 'images/PART/{}.jpg', 'masks/PART/{}.png', make)
    spoil(tmp_path / 'set')
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'masks', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_camvid_is_found_as_it_lies(tmp_path, camvid):
    sets = find_sets(camvid, layout_of(camvid), tmp_path / 'out')
    assert {part: len(found.images) for part, found in sets.parts.items()} == dict(train=367, val=101, test=233)
    assert len(sets.classes) == 12
