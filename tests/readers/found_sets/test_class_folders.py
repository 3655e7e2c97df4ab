"""Images and videos with a class as people keep them: each gets the class of its colour, or a sentence says why not."""

import os

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import find_sets, layout_of
from hiera_mm.readers.write_video import write_video

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from tests.found_configs import config_of

COLOURS = dict(cat=(200, 30, 30), dog=(30, 200, 30), cow=(30, 30, 200))


def put(path, name):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (40, 32), COLOURS[name]).save(path)


def draw(folder, place, names=('cat', 'dog', 'cow'), parts=('train', 'val'), each=4):
    """``each`` images of every class for the first part, and half as many for the others."""
    for count, part in zip((each, *[each // 2] * 3), parts, strict=False):
        for name in names:
            for number in range(count):
                put(folder / place.format(part=part, name=name, number=f'{part}_{name}_{number}'), name)


def assert_classes_fit(config, sets, names=None):
    """The label that is loaded of each image names its colour."""
    init_default_scope(config.default_scope)
    for part, found in sets.parts.items():
        dataset = DATASETS.build(dict(config[f'{part}_dataloader'].dataset, pipeline=[]))
        assert len(dataset) == len(found.images)
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            colour = Image.open(info['img_path']).convert('RGB').getpixel((3, 3))
            name = min(COLOURS, key=lambda name: np.abs(np.subtract(COLOURS[name], colour)).sum())
            assert (names or {}).get(name, name) == dataset.metainfo['classes'][info['label']]
    assert config.model.cls_head.num_classes == len(sets.classes)


PLACES = {
    'parts, then classes': '{part}/{name}/{number}.png',
    'classes, then parts': '{name}/{part}/{number}.png',
    'images, parts, classes': 'images/{part}/{name}/{number}.jpg',
    'parts, images, classes': '{part}/images/{name}/{number}.jpg',
    'deeper': '{part}/{name}/more/{number}.webp',
    'parts with other words': '{part}_images/{name}/{number}.png',
    'years': '{part}2024/{name}/{number}.png',
    'spaces and capitals': 'My Set/{part}/{name}/{number} a.PNG',
}


@pytest.mark.parametrize('place', PLACES.values(), ids=PLACES)
@pytest.mark.parametrize('parts', [('train', 'val'), ('Train', 'Valid', 'Test'), ('training', 'validation')])
def test_each_image_has_the_class_of_its_folder(tmp_path, place, parts):
    draw(tmp_path / 'set', place, parts=parts)
    config, sets = config_of(tmp_path / 'set', tmp_path)
    counts = {part: len(found.images) for part, found in sets.parts.items()}
    assert counts == dict(zip(('train', 'val', 'test')[: len(parts)], (12, 6, 6), strict=False))
    assert sets.classes == ('cat', 'cow', 'dog')
    assert_classes_fit(config, sets)


def test_some_of_each_class_are_put_apart_without_parts(tmp_path):
    draw(tmp_path / 'set', '{name}/{number}.png', parts=['all'], each=5)
    config, sets = config_of(tmp_path / 'set', tmp_path)
    for part, count in dict(train=4, val=1).items():
        names = [os.path.basename(os.path.dirname(path)) for path in sets.parts[part].images]
        assert {name: names.count(name) for name in names} == dict.fromkeys(COLOURS, count)
    assert_classes_fit(config, sets)


@pytest.mark.parametrize('name', ['test tube', 'train', 'validation report', 'images'])
@pytest.mark.parametrize('place', ['{part}/{name}/{number}.png', '{name}/{number}.png'])
def test_a_class_may_be_called_like_a_part(tmp_path, name, place):
    parts = ('train', 'val') if 'part' in place else ('all',)
    draw(tmp_path / 'set', place, parts=parts)
    for path in sorted((tmp_path / 'set').rglob('dog')):
        path.rename(path.with_name(name))
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sets.classes == tuple(sorted(['cat', 'cow', name]))
    assert sum(len(part.images) for part in sets.parts.values()) == (18 if 'part' in place else 12)
    assert_classes_fit(config, sets, dict(dog=name))


def test_classes_of_one_part_alone_are_told(tmp_path):
    draw(tmp_path / 'set', '{part}/{name}/{number}.png', names=('cat', 'dog'), parts=['train'])
    draw(tmp_path / 'set', '{part}/{name}/{number}.png', names=('dog', 'cow'), parts=['val'])
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sets.classes == ('cat', 'cow', 'dog')
    assert '1 (cow) of the classes have no image in the training part' in '\n'.join(sets.notes)
    assert_classes_fit(config, sets)


def test_images_outside_of_class_folders_are_left_out_and_counted(tmp_path):
    draw(tmp_path / 'set', '{part}/{name}/{number}.png')
    put(tmp_path / 'set' / 'train' / 'alone.png', 'cat')
    put(tmp_path / 'set' / 'overview.png', 'cat')
    put(tmp_path / 'set' / 'more' / 'cat' / 'unused.png', 'cat')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    account = '\n'.join(sets.account)
    assert '2 images that lie in no class folder: overview.png, train/alone.png' in account
    assert '1 image that lie in no folder named train, valid or test: more/cat/unused.png' in account
    assert_classes_fit(config, sets)


LINES = ['{path} {number}', '"{path}" {number}', '{path},{number}', '{path}\t{number}', '/{path} {number}']


@pytest.mark.parametrize('line', LINES)
@pytest.mark.parametrize('named', ['beside', 'classes.txt', 'not at all'])
def test_lists_give_the_classes(tmp_path, line, named):
    draw(tmp_path / 'set', 'images/{number}.png')
    numbers = {name: number for number, name in enumerate(('dog', 'cow', 'cat'))}
    for part in ('train', 'val'):
        paths = sorted((tmp_path / 'set' / 'images').glob(f'{part}_*'))
        lines = [line.format(path=f'images/{path.name}', number=numbers[path.name.split('_')[1]]) for path in paths]
        (tmp_path / 'set' / f'{part}.txt').write_text('\n'.join(lines))
        if named == 'beside':
            (tmp_path / 'set' / f'{part}.txt.classes').write_text('\n'.join(numbers))
    if named == 'classes.txt':
        (tmp_path / 'set' / 'classes.txt').write_text('\n'.join(numbers))
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert {part: len(found.images) for part, found in sets.parts.items()} == dict(train=12, val=6)
    assert_classes_fit(config, sets, {name: f'class {n}' for name, n in numbers.items() if named == 'not at all'})


def test_lists_may_name_files_by_their_last_folders(tmp_path):
    draw(tmp_path / 'set', 'photos/{part}/{number}.png')
    for part in ('train', 'val'):
        names = sorted(path.name for path in (tmp_path / 'set' / 'photos' / part).iterdir())
        lines = [f'{part}/{name} {sorted(COLOURS).index(name.split("_")[1])}' for name in names]
        (tmp_path / 'set' / f'{part}.txt').write_text('\n'.join(lines))
    (tmp_path / 'set' / 'classes.txt').write_text('\n'.join(sorted(COLOURS)))
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert_classes_fit(config, sets)


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('images/gone.png 0', '1 .images/gone.png. of the files that'),
        ('images/train_cat_0.png 7', 'has the labels 1 .7., but 3 classes are named'),
        ('images/train_cat_0.png', 'each line must be a path, a space and a class number'),
    ],
)
def test_lists_that_fit_nothing_are_refused(tmp_path, text, sentence):
    draw(tmp_path / 'set', 'images/{number}.png')
    (tmp_path / 'set' / 'train.txt').write_text(f'images/train_dog_0.png 0\n{text}\n')
    (tmp_path / 'set' / 'classes.txt').write_text('cat\ncow\ndog\n')
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'class-folders', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('other', ['cat\ndog\nfox', 'cat\ncow', None])
def test_lists_whose_names_differ_are_refused(tmp_path, other):
    draw(tmp_path / 'set', 'images/{number}.png', names=('cat', 'cow', 'dog'))
    for part, names in dict(train='cat\ncow\ndog', val=other).items():
        paths = sorted((tmp_path / 'set' / 'images').glob(f'{part}_*'))
        lines = [f'images/{path.name} {sorted(COLOURS).index(path.name.split("_")[1])}' for path in paths]
        (tmp_path / 'set' / f'{part}.txt').write_text('\n'.join(lines))
        if names:
            (tmp_path / 'set' / f'{part}.txt.classes').write_text(names)
    with pytest.raises(UserError, match='are not among the 3 classes|has the labels 1 .2., but 2 classes are named'):
        find_sets(tmp_path / 'set', 'class-folders', tmp_path / 'out')


def test_names_in_another_order_are_matched_by_name(tmp_path):
    draw(tmp_path / 'set', 'images/{number}.png')
    for part, names in dict(train=['cat', 'cow', 'dog'], val=['dog', 'cat', 'cow']).items():
        paths = sorted((tmp_path / 'set' / 'images').glob(f'{part}_*'))
        lines = [f'images/{path.name} {names.index(path.name.split("_")[1])}' for path in paths]
        (tmp_path / 'set' / f'{part}.txt').write_text('\n'.join(lines))
        (tmp_path / 'set' / f'{part}.txt.classes').write_text('\n'.join(names))
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert_classes_fit(config, sets)


def test_a_file_that_names_a_class_twice_is_refused(tmp_path):
    draw(tmp_path / 'set', 'images/{number}.png')
    (tmp_path / 'set' / 'train.txt').write_text('images/train_cat_0.png 0\nimages/train_dog_0.png 1')
    (tmp_path / 'set' / 'classes.txt').write_text('cat\ncat\n')
    with pytest.raises(UserError, match='more than once'):
        find_sets(tmp_path / 'set', 'class-folders', tmp_path / 'out')


@pytest.mark.parametrize('layout', ['class-folders', 'unlabelled'])
def test_images_and_videos_together_are_not_guessed_at(tmp_path, layout):
    draw(tmp_path / 'set', 'train/{name}/{number}.png')
    for name in COLOURS:
        write_video(tmp_path / 'set' / 'train' / name / 'film.mp4', [np.zeros((48, 64, 3), np.uint8)] * 3, 10)
    with pytest.raises(UserError, match='images and .*videos'):
        find_sets(tmp_path / 'set', layout, tmp_path / 'out')


@pytest.mark.parametrize(
    'names, sentence', [(['Cat', 'cat', 'dog'], 'differ in capitals'), (['cat'], 'not in folders of at least two')]
)
def test_folders_that_are_no_classes_are_refused(tmp_path, names, sentence):
    for name in names:
        put(tmp_path / 'set' / 'train' / name / '1.png', name.lower())
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'class-folders', tmp_path / 'out')


def test_images_without_labels_are_not_taken_for_classes(tmp_path):
    draw(tmp_path / 'set', '{part}/{number}.png')
    with pytest.raises(UserError, match='annotate the set, or train on it without labels: --unlabelled'):
        layout_of(tmp_path / 'set')
    config, sets = config_of(tmp_path / 'set', tmp_path, 'unlabelled')
    dataset = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[]))
    assert len(dataset) == 18 and config.val_dataloader is None


@pytest.mark.parametrize('place', ['{part}/{name}/{number}.mp4', '{name}/{number}.mp4'])
def test_videos_are_found_as_images_are(tmp_path, place):
    for part, count in dict(train=4, val=2).items():
        for name, colour in COLOURS.items():
            for number in range(count):
                path = tmp_path / 'set' / place.format(part=part, name=name, number=f'{part}_{number}')
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, [np.full((48, 64, 3), colour, np.uint8)] * 3, 10)
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sets.kind == 'videos with a class' and sum(len(part.images) for part in sets.parts.values()) == 18
    init_default_scope(config.default_scope)
    for part, found in sets.parts.items():
        dataset = DATASETS.build(dict(config[f'{part}_dataloader'].dataset, pipeline=[]))
        assert len(dataset) == len(found.images)
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            assert os.sep + dataset.metainfo['classes'][info['label']] + os.sep in info['filename']
