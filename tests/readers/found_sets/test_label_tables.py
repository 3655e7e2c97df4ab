"""Tables that give images their classes: each image gets the class of its colour, or a sentence says why not."""

import csv
import io

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import find_sets, layout_of

import pytest

from tests.found_configs import config_of
from tests.readers.found_sets.test_class_folders import COLOURS, assert_classes_fit, draw

NUMBERS = {name: str(number) for number, name in enumerate(('dog', 'cow', 'cat'))}


def write_table(path, rows, separator=','):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    path.write_text(text.getvalue())


def images(folder):
    """Paths in the folder, part and class of each image."""
    found = sorted(path.relative_to(folder) for path in folder.rglob('*.png'))
    return [(path, *path.stem.split('_')[:2]) for path in found]


TABLES = {
    'names': (['filename', 'label'], lambda path, name: [path.name, name]),
    'paths': (['Image Path', 'Class Name'], lambda path, name: [path.as_posix(), name]),
    'backslashes': (['file', 'class'], lambda path, name: [str(path).replace('/', '\\'), name]),
    'without endings': (['image_id', 'label'], lambda path, name: [path.stem, name]),
    'another column of classes': (['id', 'dog_breed'], lambda path, name: [path.stem, name]),
    'numbers': (['image', 'category'], lambda path, name: [path.name, NUMBERS[name]]),
    'numbers with points': (['image', 'target'], lambda path, name: [path.name, NUMBERS[name] + '.0']),
    'numbers and names': (['class id', 'filepaths', 'labels'], lambda path, name: [NUMBERS[name], path, name]),
    'columns of classes': (
        ['image', *COLOURS],
        lambda path, name: [path.stem, *(str(int(name == n)) for n in COLOURS)],
    ),
    'columns with points': (
        ['image', *COLOURS],
        lambda path, name: [path.stem, *(f'{name == n:.1f}' for n in COLOURS)],
    ),
    'numbers of rows': (['', 'file', 'label'], lambda path, name: ['7', path.name, name]),
    'without a header': (None, lambda path, name: [path.name, name]),
}


@pytest.mark.parametrize('table', TABLES)
@pytest.mark.parametrize('separator', [',', ';', '\t'], ids=['comma', 'semicolon', 'tab'])
def test_tables_give_the_classes(tmp_path, table, separator):
    draw(tmp_path / 'set', 'images/{number}.png')
    header, row = TABLES[table]
    for part in ('train', 'val'):
        rows = [row(path, name) for path, its_part, name in images(tmp_path / 'set') if its_part == part]
        write_table(tmp_path / 'set' / f'{part}.csv', [*([header] if header else []), *rows], separator)
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert {part: len(found.images) for part, found in sets.parts.items()} == dict(train=12, val=6)
    only_numbers = {name: f'class {number}' for name, number in NUMBERS.items()}
    assert_classes_fit(config, sets, only_numbers if table in ('numbers', 'numbers with points') else None)


@pytest.mark.parametrize('words', [('train', 'val', 'test'), ('Training', 'valid', 'TEST')])
def test_a_column_tells_the_parts(tmp_path, words):
    draw(tmp_path / 'set', '{number}.png', parts=('train', 'val', 'test'))
    named = dict(zip(('train', 'val', 'test'), words, strict=True))
    rows = [[path.name, name, named[part]] for path, part, name in images(tmp_path / 'set')]
    write_table(tmp_path / 'set' / 'data.csv', [['file', 'label', 'split'], *rows])
    config, sets = config_of(tmp_path / 'set', tmp_path)
    for part, found in sets.parts.items():
        assert found.images and all(f'/{part}_' in path for path in found.images)
    assert_classes_fit(config, sets)


def test_names_in_a_file_give_the_order_of_a_table_of_names(tmp_path):
    draw(tmp_path / 'set', 'images/{number}.png')
    rows = [[path.name, name] for path, _, name in images(tmp_path / 'set')]
    write_table(tmp_path / 'set' / 'labels.csv', [['file', 'label'], *rows])
    (tmp_path / 'set' / 'classes.txt').write_text('\n'.join(NUMBERS))
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sets.classes == tuple(NUMBERS)
    assert_classes_fit(config, sets)


def test_class_folders_go_before_a_table(tmp_path):
    draw(tmp_path / 'set', '{part}/{name}/{number}.png')
    write_table(tmp_path / 'set' / 'labels.csv', [['file', 'label'], ['train_cat_0.png', 'dog']])
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert_classes_fit(config, sets)
    assert 'labels.csv' in '\n'.join(sets.account)


def test_numbers_in_one_table_and_names_in_another_are_refused(tmp_path):
    draw(tmp_path / 'set', '{number}.png')
    write_table(tmp_path / 'set' / 'train.csv', [['file', 'label'], ['train_cat_0.png', 0]])
    write_table(tmp_path / 'set' / 'val.csv', [['file', 'label'], ['val_cat_0.png', 'cat']])
    with pytest.raises(UserError, match='some classes by numbers, such as 0, and others by names'):
        find_sets(tmp_path / 'set', 'class-folders', tmp_path / 'out')


HEADER = ['file', 'label']
ROW = ['train_cat_0.png', 'cat']


@pytest.mark.parametrize(
    'rows, sentence',
    [
        ([HEADER, ROW, ['train_dog_0.png', '']], '1 rows of .* have no class, such as line 3'),
        ([HEADER, ROW, ['train_dog_0.png']], '1 rows of .* have no class, such as line 3'),
        ([HEADER, ROW, ['train_cat_0.png', 'dog']], "gives 'train_cat_0.png' two classes, cat and dog"),
        ([HEADER, ROW, ['train_cat_1.png', 'cat'], ['gone.png', 'dog']], '1 .gone.png. of the files that'),
        ([HEADER, ['train_cat_0.png', '0.25'], ['train_dog_0.png', '3']], 'which are measurements and no classes'),
        ([HEADER, ['train_cat_0.png', '-1'], ['train_dog_0.png', '0']], 'which are measurements and no classes'),
        ([['file', 'label', 'category'], [*ROW, 'pet']], 'several columns of classes, 2 .label, category.'),
        (
            [['class id', 'file', 'label'], ['0', 'train_cat_0.png', 'cat'], ['0', 'train_dog_0.png', 'dog']],
            'several columns of classes, 2 .class id, label.',
        ),
        (
            [['image', 'path', 'label'], ['train_cat_0', 'train_dog_0.png', 'cat']],
            'columns 2 .image, path. of the table .* name different files',
        ),
        ([['file', 'cat', 'dog'], ['train_cat_0.png', '1', '1']], '1 rows of .* have no class or several'),
        ([['file', 'cat', 'dog'], ['train_cat_0.png', '0', '0']], '1 rows of .* have no class or several'),
        ([[*HEADER, 'split'], [*ROW, 'train'], ['train_dog_0.png', 'dog', 'later']], "has the part 'later'"),
    ],
)
def test_tables_that_fit_nothing_are_refused(tmp_path, rows, sentence):
    draw(tmp_path / 'set', '{number}.png')
    write_table(tmp_path / 'set' / 'labels.csv', rows)
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', layout_of(tmp_path / 'set'), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'rows',
    [
        [['filename', 'width', 'class', 'xmin', 'ymin', 'xmax', 'ymax'], ['train_cat_0.png', 40, 'cat', 1, 2, 3, 4]],
        [['image', 'price', 'weight'], ['train_cat_0.png', '3.5', '12']],
        [['city', 'label'], ['Rome', 'cat']],
        [],
    ],
    ids=['objects', 'measurements', 'no images', 'empty'],
)
def test_other_tables_are_not_taken_for_classes(tmp_path, rows):
    draw(tmp_path / 'set', '{number}.png')
    write_table(tmp_path / 'set' / 'labels.csv', rows)
    with pytest.raises(UserError, match='no annotations that init can read|holds no annotations'):
        find_sets(tmp_path / 'set', layout_of(tmp_path / 'set'), tmp_path / 'out')
