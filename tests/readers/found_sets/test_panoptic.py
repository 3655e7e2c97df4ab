"""What init finds in folders in COCO's panoptic format."""

import json
import shutil

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import find_sets, layout_of
from hiera_mm.settings import read_config
from hiera_mm.synthetic.panoptic import STUFF, THINGS

import pytest

from tests.helpers import assert_explained


@pytest.fixture
def folder(panoptic, tmp_path):
    copied = shutil.copytree(panoptic, tmp_path / 'set')
    (copied / 'shapes.json').unlink()
    return copied


def content_of(path):
    return json.loads(path.read_text())


def as_it_is(folder):
    """Images and maps have the same names."""


def maps_beside_images(folder):
    for part in ('train', 'val'):
        shutil.move(folder / 'annotations' / f'panoptic_{part}', folder / f'segments_{part}')


def maps_of_all_parts_together(folder):
    (folder / 'maps').mkdir()
    for part in ('train', 'val'):
        path = folder / 'annotations' / f'panoptic_{part}.json'
        content = content_of(path)
        for entry in content['annotations']:
            named = f'{part}_{entry["file_name"]}'
            shutil.move(folder / 'annotations' / f'panoptic_{part}' / entry['file_name'], folder / 'maps' / named)
            entry['file_name'] = named
        path.write_text(json.dumps(content))


def files_beside_images(folder):
    for part in ('train', 'val'):
        shutil.move(folder / 'annotations' / f'panoptic_{part}', folder / part / 'maps')
        shutil.move(folder / 'annotations' / f'panoptic_{part}.json', folder / part / 'panoptic.json')


def stuff_first(folder):
    for path in (folder / 'annotations').glob('*.json'):
        content = content_of(path)
        content['categories'].reverse()
        path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    'arrange', [as_it_is, maps_beside_images, maps_of_all_parts_together, files_beside_images, stuff_first]
)
def test_images_and_maps_are_told_apart_and_the_check_agrees(folder, arrange, run_command, monkeypatch, tmp_path):
    arrange(folder)
    monkeypatch.chdir(tmp_path)
    assert layout_of(folder) == 'panoptic'
    code, printed = run_command('init', folder, '--random-weights', '--out', 'my_config.py')
    assert code == 0 and 'training    4 images' in printed and 'validation  3 images' in printed, printed
    assert 'left out' not in printed and 'Note' not in printed
    config = read_config('my_config.py')
    order = reversed if arrange is stuff_first else list
    assert tuple(config.thing_classes) == tuple(order(THINGS)) and tuple(config.stuff_classes) == tuple(order(STUFF))
    code, printed = run_command('check-data', 'my_config.py')
    assert code == 0 and '0 faults' in printed, printed


def test_without_a_validation_part_a_fifth_becomes_it(folder, tmp_path):
    shutil.rmtree(folder / 'val')
    shutil.rmtree(folder / 'annotations' / 'panoptic_val')
    (folder / 'annotations' / 'panoptic_val.json').unlink()
    found = find_sets(folder, 'panoptic', tmp_path / 'out')
    lists = [content_of(found.parts[part].ann_file) for part in ('train', 'val')]
    assert [len(content['images']) for content in lists] == [3, 1]
    for content in lists:
        assert [entry['image_id'] for entry in content['annotations']] == [image['id'] for image in content['images']]
    assert all(part.beside['seg'] == folder / 'annotations' / 'panoptic_train' for part in found.parts.values())


def test_instances_beside_are_taken_unless_panoptic_is_asked_for(folder, shapes, tmp_path):
    for part in ('train', 'val'):
        content = content_of(folder / 'annotations' / f'panoptic_{part}.json')
        boxes = [dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 5, 5], area=25, iscrowd=0)]
        path = folder / 'annotations' / f'instances_{part}.json'
        path.write_text(json.dumps(dict(content, annotations=boxes, categories=content['categories'][:3])))
    assert layout_of(folder) == 'coco'
    assert find_sets(folder, 'coco', tmp_path / 'one').kind == 'objects'
    found = find_sets(folder, 'panoptic', tmp_path / 'two')
    assert found.kind == 'images with things and stuff' and any('hold instances' in line for line in found.account)


def without_isthing(folder):
    for path in (folder / 'annotations').glob('*.json'):
        content = content_of(path)
        for category in content['categories']:
            del category['isthing']
        path.write_text(json.dumps(content))
    return "doesn't say whether 5"


def without_a_map(folder):
    next((folder / 'annotations' / 'panoptic_train').iterdir()).unlink()
    return 'maps that .*panoptic_train.json.* are missing'


def without_an_image(folder):
    next((folder / 'train').iterdir()).unlink()
    return 'No folder in .* holds all images'


def maps_of_another_export(folder):
    path = folder / 'annotations' / 'panoptic_train.json'
    content = content_of(path)
    for entry in content['annotations']:
        for number, segment in enumerate(entry['segments_info'], start=1):
            segment['id'] = number
    path.write_text(json.dumps(content))
    return 'No folder in .* holds maps with the segments'


@pytest.mark.parametrize('spoil', [without_isthing, without_a_map, without_an_image, maps_of_another_export])
def test_what_is_missing_is_a_sentence(folder, tmp_path, spoil):
    part = spoil(folder)
    with pytest.raises(UserError, match=part):
        find_sets(folder, 'panoptic', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_folder_of_instances_has_no_panoptic_annotations(shapes, panoptic, tmp_path, run_command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='holds no panoptic annotations'):
        find_sets(shapes, 'panoptic', tmp_path / 'out')
    assert_explained(run_command('init', '--coco', panoptic), 'no instances', f'--panoptic {panoptic}')


@pytest.mark.parametrize('ending', ['.png', '.jpg'])
def test_maps_are_no_images_of_instances_and_none_to_pre_train_on(folder, tmp_path, ending):
    """Though they have the names of the images."""
    for part in ('train', 'val'):
        content = content_of(folder / 'annotations' / f'panoptic_{part}.json')
        for image in content['images']:
            path = folder / part / image['file_name']
            image['file_name'] = image['file_name'].replace('.png', ending)
            path.rename(folder / part / image['file_name'])
        (folder / 'annotations' / f'panoptic_{part}.json').write_text(json.dumps(content))
        boxes = [dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 5, 5], area=25, iscrowd=0)]
        instances = dict(content, annotations=boxes, categories=content['categories'][:3])
        (folder / 'annotations' / f'instances_{part}.json').write_text(json.dumps(instances))
    found = find_sets(folder, 'coco', tmp_path / 'one')
    assert {name: part.folder for name, part in found.parts.items()} == dict(train=folder / 'train', val=folder / 'val')
    unlabelled = find_sets(folder, 'unlabelled', tmp_path / 'two')
    assert sorted(unlabelled.parts['train'].images) == sorted(map(str, folder.rglob(f'[tv]*/*{ending}')))


def test_parts_with_the_same_names_have_maps_of_their_own(folder, tmp_path):
    for part in ('train', 'val'):
        shutil.move(folder / 'annotations' / f'panoptic_{part}', folder / f'{part}_maps')
        shutil.move(folder / 'annotations' / f'panoptic_{part}.json', folder / f'{part}.json')
    found = find_sets(folder, 'panoptic', tmp_path / 'out')
    assert [part.beside['seg'].name for part in found.parts.values()] == ['train_maps', 'val_maps']
