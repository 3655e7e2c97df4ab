"""What can stand in a user's folder in place of the usual: read rightly, told, or refused in a sentence."""

import base64
import io
import json
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import find_sets, layout_of

import numpy as np
import pytest
from PIL import Image

from tests.exports import (
    CLASSES,
    EXPORTS,
    SIZE,
    as_coco,
    as_labelme,
    as_xml,
    as_yolo,
    draw,
    objects_in,
    truth,
    write,
)

TRAIN, VAL = truth('train'), truth('val')


def found_in(folder, layout, **more):
    """What was found: the objects of each part, and everything that is said."""
    sets = find_sets(folder, layout, folder.parent / 'out', **more)
    parts = {name: objects_in(json.loads(part.ann_file.read_bytes()), part.folder) for name, part in sets.parts.items()}
    return parts, '\n'.join([*sets.account, *sets.notes]), sets


def close(found, expected):
    return found.keys() == expected.keys() and all(
        same_objects(found[stem], objects) for stem, objects in expected.items()
    )


def same_objects(found, expected):
    return [a[0] for a in found] == [a[0] for a in expected] and all(
        np.allclose(a[1:], b[1:], atol=0.1) for a, b in zip(found, expected, strict=True)
    )


def assert_boxes(found, expected):
    assert len(found) == len(expected)
    for entry, box in zip(found, expected, strict=True):
        assert np.allclose(entry[1:], box, atol=0.02)


# COCO


def coco(folder, images='{}', **files):
    """Annotation files by name, with the images of all of them in one folder."""
    for name, found in files.items():
        write(folder / f'{name}.json', as_coco(found))
        for stem in found:
            draw(folder / images.format(name) / f'{stem}.jpg')


@pytest.mark.parametrize(
    'names, parts',
    [
        (('train', 'val'), ('train', 'val')),
        (('train2017', 'val2017', 'test2017'), ('train', 'val', 'test')),
        (('Training', 'VALIDATION'), ('train', 'val')),
        (('instances_train', 'instances_valid', 'instances_test'), ('train', 'val', 'test')),
        (('train', 'test'), ('train', 'val', 'test')),
        (('trainval', 'test'), ('train', 'val', 'test')),
        (('instances_default',), ('train', 'val')),
        (('train_set',), ('train', 'val')),
        (('my-train', 'my-test-images'), ('train', 'val', 'test')),
    ],
)
def test_coco_names_tell_the_parts(tmp_path, names, parts):
    coco(tmp_path / 'set', **dict.fromkeys(names, TRAIN))
    found, _, _ = found_in(tmp_path / 'set', 'coco')
    assert tuple(found) == parts
    if len(names) == len(parts):
        assert all(close(objects, TRAIN) for objects in found.values())


@pytest.mark.parametrize(
    'names, sentence',
    [
        (('train_1', 'train_2', 'val'), '2 annotation files that could be for training'),
        (('train', 'val_a', 'val_b'), '2 annotation files that could be for validation'),
        (('first', 'second'), "names don't tell which is for training"),
        (('annotations', 'val'), "names don't tell which is for training"),
        (('train_test', 'val'), "names don't tell which is for training"),
        (('val',), 'has no training part with images, only val'),
        (('val', 'test'), 'has no training part with images, only test, val'),
    ],
)
def test_coco_names_that_could_mean_several_parts_are_refused(tmp_path, names, sentence):
    coco(tmp_path / 'set', **dict.fromkeys(names, TRAIN))
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'coco', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('broken', ['train', 'val', 'notes'])
def test_a_truncated_json_file_is_refused(tmp_path, broken):
    coco(tmp_path / 'set', train=TRAIN, val=VAL, notes=VAL)
    path = tmp_path / 'set' / f'{broken}.json'
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UserError, match=f'{broken}.json. is not valid JSON'):
        find_sets(tmp_path / 'set', 'coco', tmp_path / 'out')


@pytest.mark.parametrize(
    'content, reason',
    [
        ([dict(image_id=1, category_id=1, bbox=[0, 0, 1, 1], score=0.5)], "not in COCO's format"),
        (dict(images=[], categories=[]), 'list images without annotations'),
        (dict(images=[dict(id=1)], annotations=[dict(id=1, caption='a')], categories=[]), 'hold captions'),
        (dict(images=[dict(id=1)], annotations=[dict(segments_info=[])], categories=[]), 'hold panoptic'),
        (as_labelme('x', []), "are LabelMe's"),
        (dict(as_coco({}), images=[]), 'list no images'),
        ({'a': 1}, "not in COCO's format"),
    ],
)
def test_other_json_files_are_left_out_with_the_reason(tmp_path, content, reason):
    coco(tmp_path / 'set', train=TRAIN, val=VAL)
    write(tmp_path / 'set' / 'other_val.json', content)
    found, said, _ = found_in(tmp_path / 'set', 'coco')
    assert list(found) == ['train', 'val'] and reason in said and 'other_val.json' in said


def test_keypoints_beside_instances_are_left_out(tmp_path):
    coco(tmp_path / 'set', instances_train2017=TRAIN, person_keypoints_train2017=VAL, instances_val2017=VAL)
    found, said, _ = found_in(tmp_path / 'set', 'coco')
    assert close(found['train'], TRAIN) and 'that hold keypoints: person_keypoints_train2017.json' in said


@pytest.mark.parametrize('images', ['{}', 'images/{}', 'data/{}/images'])
def test_coco_images_are_found_where_they_are(tmp_path, images):
    coco(tmp_path / 'set', images, train=TRAIN, val=VAL)
    found, _, _ = found_in(tmp_path / 'set', 'coco')
    assert close(found['train'], TRAIN) and close(found['val'], VAL)


@pytest.mark.parametrize('name', ['absolute', './{}.jpg', 'a/{}.jpg'])
def test_coco_file_names_of_other_forms(tmp_path, name):
    folder = tmp_path / 'set'
    name = f'{folder}/a/{{}}.jpg' if name == 'absolute' else name
    write(folder / 'train.json', as_coco(TRAIN, name))
    for stem in TRAIN:
        draw(folder / ('a' if 'a/' in name else '') / f'{stem}.jpg')
    found, _, sets = found_in(folder, 'coco')
    assert close(found['train'] | found['val'], TRAIN) and sets.parts['train'].folder.is_dir()


def test_coco_images_that_are_missing_are_told(tmp_path):
    coco(tmp_path / 'set', train=TRAIN, val=VAL)
    (tmp_path / 'set' / 'train' / 'train 1.jpg').unlink()
    with pytest.raises(UserError, match=r'1 \(train 1.jpg\) of 4 are missing'):
        find_sets(tmp_path / 'set', 'coco', tmp_path / 'out')


def test_one_annotation_file_can_be_named_among_several(tmp_path):
    coco(tmp_path / 'set', train_1=TRAIN, train_2=VAL)
    sets = find_sets(tmp_path / 'set' / 'train_1.json', 'coco', tmp_path / 'out')
    assert {name: len(part.images) for name, part in sets.parts.items()} == dict(train=3, val=1)
    assert '1 file that belong to no part: train_2.json' in '\n'.join(sets.account)


@pytest.mark.parametrize('shape, masks', [(None, True), ('boxes', False), ('polygons', True)])
def test_masks_are_trained_unless_boxes_are_asked_for(tmp_path, shape, masks):
    for part in (dict(train=TRAIN), dict(val=VAL)):
        coco(tmp_path / 'set', **part)
    for name in ('train', 'val'):
        path = tmp_path / 'set' / f'{name}.json'
        content = json.loads(path.read_text())
        for a in content['annotations']:
            x, y, w, h = a['bbox']
            a['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        write(path, content)
    assert find_sets(tmp_path / 'set', 'coco', tmp_path / 'out', shape).masks is masks


def test_polygons_asked_for_where_there_are_none_are_refused(tmp_path):
    coco(tmp_path / 'set', train=TRAIN, val=VAL)
    with pytest.raises(UserError, match='Not all objects'):
        find_sets(tmp_path / 'set', 'coco', tmp_path / 'out', 'polygons')


# YOLO


def yolo(folder, settings, images='images/{}', labels='labels/{}', rows=as_yolo, **parts):
    for part, found in parts.items():
        for stem, objects in found.items():
            draw(folder / images.format(part) / f'{stem}.jpg')
            write(folder / labels.format(part) / f'{stem}.txt', rows(objects))
    if settings is not None:
        write(folder / 'data.yaml', settings)


NAMES = f'names: {list(CLASSES)}\n'
PLACES = 'train: images/train\nval: images/val\n'


@pytest.mark.parametrize(
    'settings, images, labels',
    [
        (PLACES + NAMES, 'images/{}', 'labels/{}'),
        ('path: .\n' + PLACES + NAMES, 'images/{}', 'labels/{}'),
        ('path: ../set\n' + PLACES + NAMES, 'images/{}', 'labels/{}'),
        ('path: /content/set\n' + PLACES + NAMES, 'images/{}', 'labels/{}'),
        ('path: C:\\\\Users\\\\me\\\\set\n' + PLACES + NAMES, 'images/{}', 'labels/{}'),
        ('train: C:\\me\\set\\train\\images\nval: C:\\me\\set\\val\\images\n' + NAMES, '{}/images', '{}/labels'),
        ('train: ../train/images\nval: ../val/images\n' + NAMES, '{}/images', '{}/labels'),
        ('train: ./train/images/\nvalid: val/images\n' + NAMES, '{}/images', '{}/labels'),
        ('train: train\nval: val\n' + NAMES, '{}/images', '{}/labels'),
        ('train: train\nval: val\n' + NAMES, '{}', '{}'),
        ('train: [images/train]\nval: [images/val]\n' + NAMES, 'images/{}', 'labels/{}'),
        ('train: Images/train\nval: Images/val\n' + NAMES, 'Images/{}', 'Labels/{}'),
        ('train: Images/train\nval: Images/val\n' + NAMES, 'Images/{}', 'labels/{}'),
        (
            'train: images\nval: other\n' + NAMES,
            'images/deep/er other',
            'labels/deep/er other',
        ),
        (
            'train: images/a/images/train\nval: images/a/images/val\n' + NAMES,
            'images/a/images/{}',
            'images/a/labels/{}',
        ),
    ],
)
def test_yolo_places(tmp_path, settings, images, labels):
    for part, found in dict(train=TRAIN, val=VAL).items():
        place = [given.split()[part == 'val'] if ' ' in given else given for given in (images, labels)]
        yolo(tmp_path / 'set', settings, *place, **{part: found})
    found, _, _ = found_in(tmp_path / 'set', 'yolo')
    assert close(found['train'], TRAIN) and close(found['val'], VAL)


@pytest.mark.parametrize(
    'line',
    [
        'images/train/{}.jpg',
        './images/train/{}.jpg',
        'data/images/train/{}.jpg',
        'C:\\set\\images\\train\\{}.jpg',
        '{root}/images/train/{}.jpg',
        '/other/place/set/images/train/{}.jpg',
        '"images/train/{}.jpg"',
    ],
)
def test_yolo_lists_of_images(tmp_path, line):
    folder = tmp_path / 'set'
    yolo(folder, 'train: lists/train.txt\nval: images/val\n' + NAMES, train=TRAIN, val=VAL)
    lines = [line.format(stem, root=folder) for stem in list(TRAIN)[:3]]
    write(folder / 'lists' / 'train.txt', '\r\n'.join(lines) + '\r\n\r\n')
    found, said, _ = found_in(folder, 'yolo')
    assert close(found['train'], {stem: TRAIN[stem] for stem in list(TRAIN)[:3]})
    assert f'1 image that no annotation names: images/train/{list(TRAIN)[3]}.jpg' in said


@pytest.mark.parametrize('several', ['[images/a, images/b]', '[a.txt, images/b]', '[a.txt, b.txt]'])
def test_yolo_several_places_of_a_part(tmp_path, several):
    folder = tmp_path / 'set'
    yolo(folder, f'train: {several}\nval: images/val\n{NAMES}', a=TRAIN, b=truth('test'), val=VAL)
    for name, found in dict(a=TRAIN, b=truth('test')).items():
        write(folder / f'{name}.txt', ''.join(f'images/{name}/{stem}.jpg\n' for stem in found))
    found, _, _ = found_in(folder, 'yolo')
    assert close(found['train'], TRAIN | truth('test'))


@pytest.mark.parametrize(
    'names, numbers',
    [
        ("['red car', blue]", (0, 1)),
        ('{0: red car, 1: blue}', (0, 1)),
        ('{1: red car, 2: blue}', (1, 2)),
        ('{2: other, 7: blue, 4: red car}', (4, 7)),
        ('{"0": red car, "1": blue}', (0, 1)),
        ('\n  - red car\n  - blue', (0, 1)),
        ('classes.txt', (0, 1)),
    ],
)
def test_yolo_class_names(tmp_path, names, numbers):
    def rows(objects):
        return ''.join(f'{numbers[int(row[0])]}{row[1:]}\n' for row in as_yolo(objects).splitlines() if row)

    yolo(tmp_path / 'set', f'{PLACES}names: {names}\n', rows=rows, train=TRAIN, val=VAL)
    if names == 'classes.txt':
        write(tmp_path / 'set' / 'classes.txt', 'red car\nblue\n')
    found, _, _ = found_in(tmp_path / 'set', 'yolo')
    assert close(found['train'], TRAIN)


def test_class_names_that_yaml_takes_for_other_things_stay_text(tmp_path):
    yolo(tmp_path / 'set', f'{PLACES}names: [no, 007]\n', train=TRAIN, val=VAL)
    assert found_in(tmp_path / 'set', 'yolo')[2].classes == ('no', '007')


X, Y, W, H = 0.25, 0.5, 0.1, 0.2
CORNERS = (X - W / 2, Y - H / 2, X + W / 2, Y - H / 2, X + W / 2, Y + H / 2, X - W / 2, Y + H / 2)
BOX = (round((X - W / 2) * SIZE[0], 2), round((Y - H / 2) * SIZE[1], 2), round(W * SIZE[0], 2), round(H * SIZE[1], 2))


def with_row(tmp_path, row, settings=PLACES + NAMES):
    yolo(tmp_path / 'set', settings, train=TRAIN, val=VAL)
    write(tmp_path / 'set' / 'labels' / 'train' / 'train 0.txt', row)


def text(*values):
    return ' '.join(map(str, values))


@pytest.mark.parametrize(
    'row, boxes, note',
    [
        (text(0, X, Y, W, H), [BOX], ''),
        (text('0.0', X, Y, W, H), [BOX], ''),
        (text(0, X, Y, W, H).replace(' ', '\t') + '\r\n', [BOX], ''),
        ('\ufeff' + text(0, X, Y, W, H), [BOX], ''),
        (text(0, *CORNERS), [BOX], ''),
        (text(0, *CORNERS[:6]), [BOX], ''),
        (text(0, *CORNERS, X, Y), [BOX], ''),
        ('', [], ''),
        ('\n\n', [], ''),
        (text(0, X, Y, W, H) + '\n' + text(0, X, Y, W, H), [BOX], 'repeat a line'),
        (text(0, X, Y, 0, H), [], 'without width or height'),
        (text(0, X, Y, -W, H), [], 'without width or height'),
        (text(0, 1.5, Y, W, H), [], 'outside of their image'),
        (text(0, 0.0, Y, W, H), [(0, BOX[1], round(W / 2 * SIZE[0], 2), BOX[3])], 'cut at its edges'),
        (text(0, -0.05, 0.4, 0.1, 0.4, 0.1, 0.6, -0.05, 0.6), [(0, 38.4, 12.8, 19.2)], 'cut at its edges'),
    ],
)
def test_yolo_rows(tmp_path, row, boxes, note):
    with_row(tmp_path, row)
    found, said, _ = found_in(tmp_path / 'set', 'yolo')
    assert_boxes(found['train']['train 0'], boxes)
    assert note in said


@pytest.mark.parametrize(
    'row, sentence',
    [
        ('2 0.5 0.5 0.1 0.1', 'names the class 2, but the classes have the numbers 0 to 1'),
        ('-1 0.5 0.5 0.1 0.1', 'names the class -1'),
        ('0.5 0.5 0.5 0.1 0.1', 'names the class 0.5'),
        ('red 0.5 0.5 0.1 0.1', 'not a row of finite numbers'),
        ('0 0.5 0.5 nan 0.1', 'not a row of finite numbers'),
        ('0 0.5 0.5 inf 0.1', 'not a row of finite numbers'),
        ('0,0.5,0.5,0.1,0.1', 'not a row of finite numbers'),
        ('0 64 48 30 20', 'has the coordinate 64'),
        ('0 0.5 0.5 0.1', 'has 3 numbers after the class'),
        ('0 0.5 0.5 0.1 0.1 0.9', 'has 5 numbers after the class'),
        ('0 0.1 0.1 0.2 0.2 0.3 0.3 0.9', 'has 7 numbers after the class'),
        ('0', 'has 0 numbers after the class'),
    ],
)
def test_yolo_rows_that_are_refused(tmp_path, row, sentence):
    with_row(tmp_path, f'\n{row}')
    with pytest.raises(UserError, match=f"Line 2 of the label file '.*train 0.txt'.*{sentence}"):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('points', [1, 2, 3, 4, 17])
def test_yolo_keypoints_without_their_shape_are_not_taken_for_polygons(tmp_path, points):
    def rows(objects):
        return ''.join(f'{row}{" 0.5 0.5 2" * (points - 1)} 0 0 0\n' for row in ['0 0.5 0.5 0.2 0.2'] if row)

    yolo(tmp_path / 'set', f'{PLACES}{NAMES}', rows=rows, train=TRAIN, val=VAL)
    with pytest.raises(UserError, match='kpt_shape'):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')


@pytest.mark.parametrize('twice', ['train: images/val\n', 'names: [x]\n'])
def test_a_key_that_stands_twice_in_yaml_is_refused(tmp_path, twice):
    yolo(tmp_path / 'set', f'{PLACES}{NAMES}{twice}', train=TRAIN, val=VAL)
    with pytest.raises(UserError, match=r"data.yaml' is not valid YAML: '(train|names)' stands twice"):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')


def test_yolo_keypoints_are_left_out(tmp_path):
    def rows(objects):
        return ''.join(f'{row} 0.1 0.2 2 0.3 0.4 1\n' for row in as_yolo(objects).splitlines() if row)

    yolo(tmp_path / 'set', f'{PLACES}{NAMES}kpt_shape: [2, 3]\n', rows=rows, train=TRAIN, val=VAL)
    found, _, sets = found_in(tmp_path / 'set', 'yolo')
    assert close(found['train'], TRAIN) and not sets.masks


@pytest.mark.parametrize(
    'corners, shape, masks, note',
    [
        (4, None, False, 'as oriented boxes do'),
        (4, 'polygons', True, ''),
        (5, None, True, ''),
        (5, 'boxes', False, ''),
    ],
)
def test_yolo_polygons_and_oriented_boxes(tmp_path, corners, shape, masks, note):
    def rows(objects):
        points = CORNERS if corners == 4 else (*CORNERS, X - W / 2, Y)
        return ''.join(f'0 {text(*points)}\n' for _ in objects)

    yolo(tmp_path / 'set', PLACES + NAMES, rows=rows, train=TRAIN, val=VAL)
    found, said, sets = found_in(tmp_path / 'set', 'yolo', shape=shape)
    assert sets.masks is masks and note in said
    assert np.allclose(found['train']['train 0'][0][1:], BOX, atol=0.02)


@pytest.mark.parametrize(
    'settings, sentence',
    [
        ('train: images/nowhere\nval: images/val\n' + NAMES, "names 'images/nowhere' as train"),
        ('train: [images/train, images/x]\nval: images/val\n' + NAMES, "names 'images/x' as train"),
        (PLACES, 'is not a data.yaml'),
        (NAMES, 'is not a data.yaml'),
        (PLACES + 'names: []\n', 'names no classes'),
        (PLACES + 'names: [a, a]\n', 'blank or repeated'),
        (PLACES + 'names: {a: b}\n', 'neither a list of names'),
        (PLACES + 'names: [[a]]\n', 'neither a list of names'),
        (PLACES + 'names: gone.txt\n', "names 'gone.txt' as the list"),
        (PLACES + 'names: [a\n', 'not valid YAML'),
        ('val: images/val\n' + NAMES, 'has no training part'),
        ('train: /x/images/train\nval: /y/images/train\n' + NAMES, 'names different places for train and val'),
    ],
)
def test_yolo_settings_that_are_refused(tmp_path, settings, sentence):
    yolo(tmp_path / 'set', settings, train=TRAIN, val=VAL)
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')


def test_yolo_images_without_label_files_are_told(tmp_path):
    yolo(tmp_path / 'set', PLACES + NAMES, train=TRAIN, val=VAL)
    (tmp_path / 'set' / 'labels' / 'train' / 'train 0.txt').unlink()
    write(tmp_path / 'set' / 'labels' / 'train' / 'gone.txt', '0 0.5 0.5 0.1 0.1')
    found, said, _ = found_in(tmp_path / 'set', 'yolo')
    assert found['train']['train 0'] == [] and '1 (train 0.jpg) of the images have no label file' in said
    assert 'belong to no part: labels/train/gone.txt' in said


def test_yolo_without_any_label_file_is_refused(tmp_path):
    yolo(tmp_path / 'set', PLACES + NAMES, labels='annotations/{}', train=TRAIN, val=VAL)
    with pytest.raises(UserError, match='None of 4 images'):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')


def test_two_descriptions_are_refused_until_one_is_named(tmp_path):
    yolo(tmp_path / 'set', None, train=TRAIN, val=VAL)
    for name in ('a.yaml', 'b.yml'):
        write(tmp_path / 'set' / name, PLACES + NAMES)
    with pytest.raises(UserError, match='several files that describe a set.*--yolo .*a.yaml'):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')
    assert find_sets(tmp_path / 'set' / 'a.yaml', 'yolo', tmp_path / 'out').parts


def test_images_of_two_parts_are_told(tmp_path):
    """As coco128, which validates on what it trains."""
    yolo(tmp_path / 'set', 'train: images/train\nval: images/train\n' + NAMES, train=TRAIN)
    assert (
        '4 (' in (said := found_in(tmp_path / 'set', 'yolo')[1]) and 'in both the training and the validation' in said
    )


# Pascal VOC


def voc(folder, images='JPEGImages', labels='Annotations', lists=None, xml=as_xml, **parts):
    for part, found in parts.items():
        for stem, objects in found.items():
            draw(folder / images.format(part) / f'{stem}.jpg')
            write(folder / labels.format(part) / f'{stem}.xml', xml(stem, objects))
    for name, lines in (lists or {}).items():
        write(folder / 'ImageSets' / 'Main' / f'{name}.txt', '\n'.join(lines) + '\n')


@pytest.mark.parametrize(
    'images, labels',
    [
        ('JPEGImages', 'Annotations'),
        ('images', 'annotations'),
        ('IMAGES', 'xmls'),
        ('{}', '{}'),
        ('{}/images', '{}/annotations'),
        ('images/{}', 'annotations/{}'),
        ('VOCdevkit/VOC2012/JPEGImages', 'VOCdevkit/VOC2012/Annotations'),
        ('', ''),
    ],
)
def test_voc_places(tmp_path, images, labels):
    voc(tmp_path / 'set', images, labels, train=TRAIN, val=VAL)
    found, _, _ = found_in(tmp_path / 'set', 'voc')
    if '{}' in images:
        assert close(found['train'], TRAIN) and close(found['val'], VAL)
    else:
        assert close(found['train'] | found['val'], TRAIN | VAL)


@pytest.mark.parametrize(
    'lists, counts',
    [
        (dict(train=TRAIN, val=VAL), dict(train=4, val=3)),
        (dict(trainval=TRAIN, test=VAL), dict(train=3, val=1, test=3)),
        (dict(train=TRAIN, test=VAL), dict(train=3, val=1, test=3)),
        (dict(train=TRAIN, valid=VAL), dict(train=4, val=3)),
        (dict(train=TRAIN, val=VAL, trainval=TRAIN | VAL), dict(train=4, val=3)),
        (dict(Train=TRAIN, Validation=VAL), dict(train=4, val=3)),
        (dict(train2012=TRAIN, val2012=VAL), dict(train=4, val=3)),
        (dict(default=TRAIN | VAL), dict(train=6, val=1)),
        (
            dict(train=[f'{stem}.jpg' for stem in TRAIN], val=[f'JPEGImages/{stem}' for stem in VAL]),
            dict(train=4, val=3),
        ),
        (dict(train=[f'{stem} 1' for stem in TRAIN], val=[f'{stem} -1' for stem in VAL]), dict(train=4, val=3)),
    ],
)
def test_voc_lists(tmp_path, lists, counts):
    voc(tmp_path / 'set', lists=lists, train=TRAIN, val=VAL)
    found, _, _ = found_in(tmp_path / 'set', 'voc')
    assert {part: len(objects) for part, objects in found.items()} == counts


@pytest.mark.parametrize(
    'lists, sentence',
    [
        (dict(train=['gone'], val=VAL), r'names images that are not in .*1 \(gone\)'),
        (dict(val=VAL), 'has no training part'),
        (dict(val=VAL, valid=VAL, train=TRAIN), 'could both be the list of one part'),
    ],
)
def test_voc_lists_that_are_refused(tmp_path, lists, sentence):
    voc(tmp_path / 'set', lists=lists, train=TRAIN, val=VAL)
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'voc', tmp_path / 'out')


def test_voc_images_without_xml_are_no_background(tmp_path):
    voc(tmp_path / 'set', train=TRAIN, val=VAL)
    draw(tmp_path / 'set' / 'JPEGImages' / 'new.jpg')
    write(tmp_path / 'set' / 'Annotations' / 'gone.xml', as_xml('gone', []))
    found, said, _ = found_in(tmp_path / 'set', 'voc')
    assert 'new' not in found['train'] | found['val'] and 'that have no XML file: JPEGImages/new.jpg' in said
    assert 'that have no image: Annotations/gone.xml' in said


@pytest.mark.parametrize('mark', ['1', 'true', ' 1 '])
def test_voc_difficult_objects_are_ignored(tmp_path, mark):
    voc(tmp_path / 'set', xml=lambda stem, objects: as_xml(stem, objects, difficult=mark), train=TRAIN)
    voc(tmp_path / 'set', val=VAL)
    _, said, sets = found_in(tmp_path / 'set', 'voc')
    crowds = [
        a['iscrowd'] for part in sets.parts.values() for a in json.loads(part.ann_file.read_bytes())['annotations']
    ]
    assert sum(crowds) == 6 and len(crowds) == 10 and 'marked difficult' in said
    assert sum(part.objects for part in sets.parts.values()) == 4


@pytest.mark.parametrize('spelling', [' red car ', 'red  car', 'red car\n'])
def test_blanks_around_voc_names_make_no_new_class(tmp_path, spelling):
    voc(tmp_path / 'set', xml=lambda s, o: as_xml(s, o).replace('red car', spelling), train=TRAIN)
    voc(tmp_path / 'set', val=VAL)
    assert found_in(tmp_path / 'set', 'voc')[2].classes == ('blue', 'red car')


def test_voc_names_that_differ_in_capitals_are_refused(tmp_path):
    voc(tmp_path / 'set', xml=lambda s, o: as_xml(s, o).replace('red car', 'Red Car'), train=TRAIN)
    voc(tmp_path / 'set', val=VAL)
    with pytest.raises(UserError, match="'Red Car' and 'red car'.* differ in capitals only"):
        find_sets(tmp_path / 'set', 'voc', tmp_path / 'out')


OBJECT = '<object><name>red car</name><bndbox>{}</bndbox></object>'
SIDES = '<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>'


@pytest.mark.parametrize(
    'body, boxes, note',
    [
        (OBJECT.format(SIDES.format(5, 6, 34, 29)), [(4, 5, 30, 24)], ''),
        (OBJECT.format(SIDES.format('5.0', '6.0', '34.0', '29.0')), [(4, 5, 30, 24)], ''),
        (OBJECT.format(SIDES.format(34, 29, 5, 6)), [(4, 5, 30, 24)], 'put in order'),
        (OBJECT.format(SIDES.format(0, 0, 34, 29)), [(0, 0, 34, 29)], ''),
        (OBJECT.format(SIDES.format(-9, 6, 34, 29)), [(0, 5, 34, 24)], 'cut at its edges'),
        (OBJECT.format(SIDES.format(200, 6, 234, 29)), [], 'outside of their image'),
        ('', [], ''),
        (
            '<object><name>red car</name><polygon><x1>5</x1><y1>6</y1><x2>34</x2><y2>6</y2><x3>34</x3><y3>29</y3>'
            '</polygon></object>',
            [(4, 5, 30, 24)],
            '',
        ),
        (
            OBJECT.format(SIDES.format(5, 6, 34, 29)).replace(
                '</object>', '<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>'
            ),
            [(4, 5, 30, 24)],
            '',
        ),
    ],
)
def test_voc_objects(tmp_path, body, boxes, note):
    voc(tmp_path / 'set', xml=lambda s, o: as_xml(s, []).replace('</annotation>', f'{body}</annotation>'), train=TRAIN)
    voc(tmp_path / 'set', val=VAL)
    found, said, _ = found_in(tmp_path / 'set', 'voc')
    both = found['train'] | found['val']
    assert [o[1:] for o in both['train 0']] == boxes and note in said


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('<annotation><object>', 'is not valid XML'),
        ('', 'is not valid XML'),
        (f'<annotation>{OBJECT.format("")}</annotation>', 'without the numbers xmin'),
        (f'<annotation>{OBJECT.format(SIDES.format(1, 2, "x", 4))}</annotation>', 'without the numbers xmin'),
        (f'<annotation>{OBJECT.format(SIDES.format(1, 2, "nan", 4))}</annotation>', 'with the box'),
        ('<annotation><object><bndbox/></object></annotation>', 'an object without a name'),
        (
            '<annotation><size><width>7</width><height>9</height></size></annotation>',
            'says 7 x 9 pixels, but the image',
        ),
    ],
)
def test_voc_label_files_that_are_refused(tmp_path, text, sentence):
    voc(tmp_path / 'set', train=TRAIN, val=VAL)
    write(tmp_path / 'set' / 'Annotations' / 'train 0.xml', text)
    with pytest.raises(UserError, match=f"'.*train 0.xml'.*{sentence}"):
        find_sets(tmp_path / 'set', 'voc', tmp_path / 'out')


@pytest.mark.parametrize('size', [None, (0, 0)])
def test_voc_without_a_size_takes_the_image_s(tmp_path, size):
    voc(tmp_path / 'set', xml=lambda s, o: as_xml(s, o, size=size), train=TRAIN, val=VAL)
    found, _, sets = found_in(tmp_path / 'set', 'voc')
    assert close(found['train'] | found['val'], TRAIN | VAL) and set(sets.parts['train'].longest_sides) == {128}


def test_the_same_name_in_two_parts_keeps_its_own_label_file(tmp_path):
    one, two = {'1': TRAIN['train 0']}, {'1': VAL['val 1']}
    for images, labels in (('{}', '{}'), ('images/{}', 'annotations/{}'), ('{}/images', '{}/annotations')):
        folder = tmp_path / images.replace('/', '_') / 'set'
        voc(folder, images, labels, train=one | {'2': []}, val=two)
        found, _, _ = found_in(folder, 'voc')
        assert close(found['train'], one | {'2': []}) and close(found['val'], two)


def test_an_xml_file_is_matched_by_its_filename_if_not_by_its_own_name(tmp_path):
    voc(tmp_path / 'set', train=TRAIN, val=VAL)
    path = tmp_path / 'set' / 'Annotations' / 'train 0.xml'
    path.rename(path.with_name('renamed.xml'))
    found, _, _ = found_in(tmp_path / 'set', 'voc')
    assert close(found['train'] | found['val'], TRAIN | VAL)


# LabelMe


SHAPES = [
    (dict(shape_type='rectangle', points=[[34, 29], [4, 5]]), [(4, 5, 30, 24)]),
    (dict(shape_type='rectangle', points=[[4, 29], [34, 5]]), [(4, 5, 30, 24)]),
    (dict(shape_type='polygon', points=[[4, 5], [34, 5], [34, 29]]), [(4, 5, 30, 24)]),
    (dict(points=[[4, 5], [34, 5], [34, 29]]), [(4, 5, 30, 24)]),
    (dict(shape_type='circle', points=[[40, 40], [50, 40]]), [(30, 30, 20, 20)]),
    (dict(shape_type='point', points=[[4, 5]]), []),
    (dict(shape_type='line', points=[[4, 5], [34, 5]]), []),
    (dict(shape_type='polygon', points=[[-4, 5], [34, 5], [34, 29]]), [(0, 5, 34, 24)]),
]


@pytest.mark.parametrize('shape, boxes', SHAPES)
def test_labelme_shapes(tmp_path, shape, boxes):
    for stem, objects in TRAIN.items():
        draw(tmp_path / 'set' / f'{stem}.jpg')
        content = as_labelme(stem, objects)
        if stem == 'train 3':
            content['shapes'] = [dict(label='blue', group_id=None, **shape)]
        write(tmp_path / 'set' / f'{stem}.json', content)
    found, said, _ = found_in(tmp_path / 'set', 'labelme')
    both = found['train'] | found['val']
    assert_boxes(both['train 3'], boxes)
    assert ('points and lines' in said) is not bool(boxes)


def test_labelme_shapes_of_a_group_are_one_object(tmp_path):
    parts = [dict(label='blue', group_id=3, points=[[x, 5], [x + 4, 5], [x, 9]]) for x in (4, 30)]
    for stem in TRAIN:
        draw(tmp_path / 'set' / f'{stem}.jpg')
        write(tmp_path / 'set' / f'{stem}.json', as_labelme(stem, []) | dict(shapes=parts))
    found, _, sets = found_in(tmp_path / 'set', 'labelme')
    assert found['train']['train 0'] == [('blue', 4, 5, 30, 4)] and sets.masks


@pytest.mark.parametrize(
    'change, sentence',
    [
        (dict(shapes=[dict(points=[[1, 2], [3, 4], [5, 6]])]), 'has no label'),
        (dict(shapes=[dict(label='a', points='x')]), "points can't be read"),
        (dict(shapes=[dict(label='a', shape_type='mask', points=[[0, 0], [9, 9]], mask='?')]), "points can't be read"),
        (dict(imageWidth=5), 'says 5 x 96 pixels'),
    ],
)
def test_labelme_files_that_are_refused(tmp_path, change, sentence):
    for stem in TRAIN:
        draw(tmp_path / 'set' / f'{stem}.jpg')
        write(tmp_path / 'set' / f'{stem}.json', as_labelme(stem, TRAIN[stem]) | (change if '0' in stem else {}))
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'labelme', tmp_path / 'out')


# All


@pytest.mark.parametrize('layout, name', [('voc', 'notes.md'), ('yolo', 'notes.md'), ('voc', 'a.json')])
def test_a_file_that_describes_no_set_is_refused(tmp_path, layout, name):
    write(tmp_path / name, 'x')
    with pytest.raises(UserError, match='is a file'):
        find_sets(tmp_path / name, layout, tmp_path / 'out')


def turned(path, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    draw(path, SIZE, exif=exif)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_turned_images_whose_labels_dont_say_how_are_refused(tmp_path, orientation):
    yolo(tmp_path / 'set', PLACES + NAMES, train=TRAIN, val=VAL)
    turned(tmp_path / 'set' / 'images' / 'train' / 'train 1.jpg', orientation)
    if orientation == 1:
        assert find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out').parts
    else:
        with pytest.raises(UserError, match='1 images, such as train 1.jpg, are rotated by their EXIF'):
            find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('displayed', [False, True])
def test_the_size_in_a_label_file_tells_how_turned_images_were_annotated(tmp_path, orientation, displayed):
    size = SIZE[::-1] if displayed and orientation > 4 else SIZE
    voc(tmp_path / 'set', xml=lambda s, o: as_xml(s, o, size=size if s == 'train 1' else SIZE), train=TRAIN, val=VAL)
    turned(tmp_path / 'set' / 'JPEGImages' / 'train 1.jpg', orientation)
    if orientation in (2, 3, 4):
        with pytest.raises(UserError, match='rotated by their EXIF'):
            find_sets(tmp_path / 'set', 'voc', tmp_path / 'out')
        return
    sets = find_sets(tmp_path / 'set', 'voc', tmp_path / 'out')
    images = [i for part in sets.parts.values() for i in json.loads(part.ann_file.read_bytes())['images']]
    (image,) = (i for i in images if i['file_name'] == 'train 1.jpg')
    assert (image['width'], image['height']) == size


@pytest.mark.parametrize('layout', ['coco', 'yolo', 'voc', 'labelme'])
def test_a_folder_that_is_not_there_is_told(tmp_path, layout):
    with pytest.raises(UserError, match='does not exist'):
        find_sets(tmp_path / 'gone', layout, tmp_path / 'out')


@pytest.mark.parametrize('layout', ['coco', 'yolo', 'voc', 'labelme'])
def test_an_empty_folder_is_told(tmp_path, layout):
    (tmp_path / 'set').mkdir()
    with pytest.raises(UserError, match='holds no|has no data.yaml'):
        find_sets(tmp_path / 'set', layout, tmp_path / 'out')
    with pytest.raises(UserError, match='holds no images, videos or volumes that init can read'):
        layout_of(tmp_path / 'set')


def test_two_layouts_in_one_folder_are_refused_until_one_is_chosen(tmp_path):
    yolo(tmp_path / 'set', PLACES + NAMES, train=TRAIN, val=VAL)
    coco(tmp_path / 'set', train=TRAIN, val=VAL)
    with pytest.raises(UserError, match='layouts of coco and yolo; say which to read: --coco .* or --yolo'):
        layout_of(tmp_path / 'set')
    assert '14 images' not in found_in(tmp_path / 'set', 'yolo')[1]


def test_converted_files_are_never_overwritten(tmp_path):
    yolo(tmp_path / 'set', PLACES + NAMES, train=TRAIN, val=VAL)
    find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')
    with pytest.raises(UserError, match='already exists, and another config may use it'):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')


def test_a_broken_image_is_refused(tmp_path):
    yolo(tmp_path / 'set', PLACES + NAMES, train=TRAIN, val=VAL)
    path = tmp_path / 'set' / 'images' / 'train' / 'train 1.jpg'
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match='train 1.jpg'):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')


# What a breaker found


def test_a_link_to_a_folder_gives_no_image_twice(tmp_path):
    yolo(tmp_path / 'set', None, images='images', labels='labels', train=TRAIN)
    write(tmp_path / 'set' / 'classes.txt', '\n'.join(CLASSES))
    (tmp_path / 'set' / 'loop').symlink_to(tmp_path / 'set')
    (tmp_path / 'set' / 'latest').symlink_to(tmp_path / 'set' / 'images')
    found, said, _ = found_in(tmp_path / 'set', 'yolo')
    assert close(found['train'] | found['val'], TRAIN) and len(found['train']) == 3
    assert '1 of the 4 training images, chosen at random, are put apart' in said


def test_images_of_two_parts_are_told_however_they_are_named(tmp_path, monkeypatch):
    yolo(tmp_path / 'set', 'train: train.txt\nval: val.txt\n' + NAMES, train=TRAIN)
    write(tmp_path / 'set' / 'train.txt', ''.join(f'{tmp_path}/set/images/train/{stem}.jpg\n' for stem in TRAIN))
    write(tmp_path / 'set' / 'val.txt', ''.join(f'images/train/{stem}.jpg\n' for stem in TRAIN))
    monkeypatch.chdir(tmp_path)
    sets = find_sets(Path('set'), 'yolo', tmp_path / 'out')
    assert 'in both the training and the validation part' in '\n'.join(sets.notes)
    assert 'left out' not in '\n'.join(sets.account)


def test_classes_that_only_validation_has_are_told(tmp_path):
    coco(tmp_path / 'set', train=TRAIN, val=VAL)
    content = as_coco(VAL)
    content['categories'].append(dict(id=9, name='green'))
    content['annotations'][0]['category_id'] = 9
    write(tmp_path / 'set' / 'val.json', content)
    assert (
        "1 ('green') of the classes have objects only outside the training part"
        in found_in(tmp_path / 'set', 'coco')[1]
    )


def test_images_of_another_part_are_not_taken(tmp_path):
    coco(tmp_path / 'set', train=TRAIN)
    write(tmp_path / 'set' / 'val.json', as_coco(TRAIN))
    with pytest.raises(UserError, match='No folder in .* holds all images that .*val.json'):
        find_sets(tmp_path / 'set', 'coco', tmp_path / 'out')


def test_repairs_of_annotation_files_are_told(tmp_path):
    coco(tmp_path / 'set', train=TRAIN, val=VAL)
    content = as_coco(TRAIN)
    content['annotations'][0]['bbox'] = [500, 500, 9, 9]
    write(tmp_path / 'set' / 'train.json', content)
    assert 'have boxes without width or height, or outside' in found_in(tmp_path / 'set', 'coco')[1]


def test_a_file_with_many_classes_is_recognised(tmp_path):
    coco(tmp_path / 'set', train=TRAIN, val=VAL)
    content = as_coco(TRAIN)
    classes = content['categories'] + [dict(id=i, name=f'class number {i}') for i in range(10, 400)]
    write(tmp_path / 'set' / 'train.json', dict(info={}, categories=classes) | dict(content, categories=classes))
    assert layout_of(tmp_path / 'set') == 'coco'


def test_a_set_without_any_object_is_refused(tmp_path):
    coco(tmp_path / 'set', train=dict.fromkeys(TRAIN, []), val=dict.fromkeys(VAL, []))
    with pytest.raises(UserError, match='has an object; annotate the images first'):
        find_sets(tmp_path / 'set', 'coco', tmp_path / 'out')


@pytest.mark.parametrize('nothing', ['null', '~', '', '[]'])
def test_parts_that_are_named_as_nothing_are_absent(tmp_path, nothing):
    settings = f'train: images/train\nval: {nothing}\ntest: {nothing}\nkpt_shape: {nothing}\n{NAMES}'
    yolo(tmp_path / 'set', settings, train=TRAIN)
    assert list(found_in(tmp_path / 'set', 'yolo')[0]) == ['train', 'val']


@pytest.mark.parametrize(
    'settings, sentence',
    [
        (PLACES + 'valid: images/other\n' + NAMES, 'names a part twice, as val and valid'),
        (PLACES + 'test: ../test/images\n' + NAMES, "names '../test/images' as test, which is not"),
        (f'train: {"x" * 5000}\nval: images/val\n' + NAMES, 'as train, which is not'),
        ('train: list.txt\nval: images/val\n' + NAMES, 'of which only .*train 0.jpg. is there'),
    ],
)
def test_more_yolo_settings_that_are_refused(tmp_path, settings, sentence):
    yolo(tmp_path / 'set', settings, train=TRAIN, val=VAL)
    write(tmp_path / 'set' / 'list.txt', '/a/images/train/train 0.jpg\n/b/images/train/train 0.jpg\n')
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')


def test_a_place_that_could_be_inside_or_outside_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / 'set'):
        yolo(folder, None, 'train/images', 'train/labels', train=TRAIN)
    write(tmp_path / 'set' / 'data.yaml', f'train: ../train/images\n{NAMES}')
    with pytest.raises(UserError, match='which could be 2'):
        find_sets(tmp_path / 'set', 'yolo', tmp_path / 'out')


def test_images_that_share_a_label_file_are_told(tmp_path):
    yolo(tmp_path / 'set', PLACES + NAMES, train=TRAIN, val=VAL)
    draw(tmp_path / 'set' / 'images' / 'train' / 'train 0.png')
    assert '2 (train 0.jpg, train 0.png) of the images share' in found_in(tmp_path / 'set', 'yolo')[1]


def test_upper_case_endings_of_label_files(tmp_path):
    yolo(tmp_path / 'set', PLACES + NAMES, train=TRAIN, val=VAL)
    for path in (tmp_path / 'set' / 'labels').rglob('*.txt'):
        path.rename(path.with_suffix('.TXT'))
    assert close(found_in(tmp_path / 'set', 'yolo')[0]['train'], TRAIN)


def test_a_darknet_set_in_an_inner_folder(tmp_path):
    EXPORTS['cvat_yolo'][1](tmp_path / 'set' / 'my export')
    found, _, _ = found_in(tmp_path / 'set', 'yolo')
    assert close(found['train'], TRAIN) and close(found['val'], VAL)


def test_an_image_called_train_beside_the_classes_is_no_list(tmp_path):
    yolo(tmp_path / 'set', None, '', '', train=dict(train=TRAIN['train 0'], val=TRAIN['train 1'], test=[]))
    write(tmp_path / 'set' / 'classes.txt', '\n'.join(CLASSES))
    found, _, _ = found_in(tmp_path / 'set', 'yolo')
    assert found['train'].keys() | found['val'].keys() == {'train', 'val', 'test'}


@pytest.mark.parametrize('name, text', [('docker-compose.yaml', 'hostnames: a'), ('b.yml', '---\na: 1\n---\nb: 2')])
def test_other_yaml_files_describe_no_set(tmp_path, name, text):
    coco(tmp_path / 'set', train=TRAIN, val=VAL)
    write(tmp_path / 'set' / name, text)
    assert layout_of(tmp_path / 'set') == 'coco'


def test_init_twice_in_the_data_folder_finds_the_same_set(run_command, tmp_path, monkeypatch):
    yolo(tmp_path / 'set', PLACES + NAMES, train=TRAIN, val=VAL)
    monkeypatch.chdir(tmp_path / 'set')
    for name in ('a.py', 'b.py'):
        code, printed = run_command('init', '.', '--out', name)
        assert code == 0 and "YOLO's layout" in printed and 'a_annotations' not in printed.replace(name, '')[:200], (
            printed
        )


def test_a_label_file_never_goes_to_an_image_of_another_part(tmp_path):
    voc(tmp_path / 'set', '{}', '{}', train=TRAIN, valid=VAL)
    write(tmp_path / 'set' / 'train' / 'new.xml', as_xml('new', TRAIN['train 0']))
    draw(tmp_path / 'set' / 'valid' / 'new.jpg')
    found, said, _ = found_in(tmp_path / 'set', 'voc')
    assert close(found['train'], TRAIN) and close(found['val'], VAL)
    assert 'have no image: train/new.xml' in said and 'have no XML file: valid/new.jpg' in said


def test_voc_objects_that_were_deleted_are_gone(tmp_path):
    def xml(stem, objects):
        return as_xml(stem, objects).replace('<difficult>0</difficult>', '<deleted>1</deleted>', 1)

    voc(tmp_path / 'set', xml=xml, train=TRAIN)
    voc(tmp_path / 'set', val=VAL)
    _, _, sets = found_in(tmp_path / 'set', 'voc')
    assert sum(part.objects for part in sets.parts.values()) == 10 - 3


@pytest.mark.parametrize('mark', ['no', 'None', 'false', '0', '', 'Unspecified'])
def test_marks_that_are_not_set(tmp_path, mark):
    voc(tmp_path / 'set', xml=lambda s, o: as_xml(s, o, difficult=mark), train=TRAIN, val=VAL)
    assert 'difficult' not in found_in(tmp_path / 'set', 'voc')[1]


def test_trainval_is_trained_without_what_validates(tmp_path):
    voc(tmp_path / 'set', lists=dict(trainval=TRAIN | VAL, val=VAL), train=TRAIN, val=VAL)
    found, said, _ = found_in(tmp_path / 'set', 'voc')
    assert close(found['train'], TRAIN) and close(found['val'], VAL) and 'in both' not in said


def test_a_whole_list_that_names_more_is_told(tmp_path):
    voc(tmp_path / 'set', lists=dict(Train=list(TRAIN)[:2], Validation=VAL, default=TRAIN), train=TRAIN, val=VAL)
    assert 'name 2 images that no list of a part names' in found_in(tmp_path / 'set', 'voc')[1]


def test_voc_in_a_folder_called_main(tmp_path):
    EXPORTS['voc2007'][1](tmp_path / 'main' / 'set')
    assert list(found_in(tmp_path / 'main' / 'set', 'voc')[0]) == ['train', 'val', 'test']


def test_the_same_names_in_mirrored_folders(tmp_path):
    one, two = {'0': TRAIN['train 0'], '1': []}, {'0': TRAIN['train 1'], '2': []}
    voc(tmp_path / 'set', 'images/{}', 'annotations/{}', cat=one, dog=two)
    sets = find_sets(tmp_path / 'set', 'voc', tmp_path / 'out')
    both = [a for p in sets.parts.values() for a in json.loads(p.ann_file.read_bytes())['annotations']]
    assert len(both) == 4


def test_labelme_masks_keep_their_edges(tmp_path):
    for stem in TRAIN:
        draw(tmp_path / 'set' / f'{stem}.jpg')
    mask = io.BytesIO()
    Image.fromarray(np.ones((21, 31), bool)).save(mask, 'PNG')
    thin = io.BytesIO()
    Image.fromarray(np.ones((1, 31), bool)).save(thin, 'PNG')
    for stem, png in zip(TRAIN, (mask, thin, mask, thin), strict=True):
        shape = dict(
            label='a', shape_type='mask', points=[[10, 10], [40, 30]], mask=base64.b64encode(png.getvalue()).decode()
        )
        write(tmp_path / 'set' / f'{stem}.json', as_labelme(stem, []) | dict(shapes=[shape]))
    found, _, sets = found_in(tmp_path / 'set', 'labelme')
    both = found['train'] | found['val']
    assert both['train 0'] == [('a', 10, 10, 31, 21)] and both['train 1'] == [('a', 10, 10, 31, 1)] and sets.masks


@pytest.mark.parametrize(
    'shape, box',
    [
        (dict(shape_type='rectangle', points=[[4, 5], [34, 5], [34, 29], [4, 29]]), (4, 5, 30, 24)),
        (dict(shape_type='rotation', points=[[4, 5], [34, 5], [34, 29], [4, 29]]), (4, 5, 30, 24)),
        (dict(shape_type='oriented_rectangle', points=[[4, 5], [34, 5], [34, 29], [4, 29]]), (4, 5, 30, 24)),
    ],
)
def test_labelme_shapes_of_other_programs(tmp_path, shape, box):
    for stem in TRAIN:
        draw(tmp_path / 'set' / f'{stem}.jpg')
        write(tmp_path / 'set' / f'{stem}.json', as_labelme(stem, []) | dict(shapes=[dict(label=0, **shape)]))
    assert found_in(tmp_path / 'set', 'labelme')[0]['train']['train 0'] == [('0', *box)]


def test_labelme_objects_outside_are_told(tmp_path):
    for stem, objects in TRAIN.items():
        draw(tmp_path / 'set' / f'{stem}.jpg')
        more = [dict(label='blue', points=[[500, 5], [534, 5], [534, 29]])]
        content = as_labelme(stem, objects)
        write(tmp_path / 'set' / f'{stem}.json', dict(content, shapes=content['shapes'] + more))
    assert '4 (train 0.json' in found_in(tmp_path / 'set', 'labelme')[1]


def test_a_link_to_an_annotation_file_is_not_a_second_one(tmp_path):
    coco(tmp_path / 'set', train=TRAIN, val=VAL)
    (tmp_path / 'set' / 'more').mkdir()
    (tmp_path / 'set' / 'more' / 'instances_train.json').symlink_to(tmp_path / 'set' / 'train.json')
    found, said, _ = found_in(tmp_path / 'set', 'coco')
    assert close(found['train'], TRAIN) and 'are links to another file: more/instances_train.json' in said
