"""What check-data counts is what the data set yields."""

import json

from hiera_mm.checks.fault import Severity
from hiera_mm.errors import UserError
from hiera_mm.tasks import faults_of

import pytest
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from PIL import Image

from tests.coloured import config_of, draw, write


@pytest.fixture
def folder(tmp_path):
    contents = draw(tmp_path / 'set', pictures=6)
    write(tmp_path / 'set', contents)
    return tmp_path / 'set'


def change(folder, alter):
    """Change the training file."""
    path = folder / 'train.json'
    content = json.loads(path.read_text())
    alter(content)
    path.write_text(json.dumps(content))


def shrink(count):
    def alter(content):
        for image in content['images'][:count]:
            image['width'], image['height'] = 40, 20

    return alter


def without_objects(content):
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] > 2]


def crowds(content):
    for annotation in content['annotations'][:3]:
        annotation['iscrowd'] = 1


def ignored(content):
    content['annotations'][0]['ignore'] = 1


def another_class(content):
    content['categories'].append(dict(id=9, name='bird'))
    for annotation in content['annotations'][:2]:
        annotation['category_id'] = 9


def outside(content):
    content['annotations'][0].update(bbox=[500, 500, 10, 10])
    content['annotations'][0].pop('segmentation')


@pytest.mark.parametrize(
    'alter', [lambda content: None, without_objects, crowds, ignored, another_class, shrink(2), shrink(5)]
)
def test_the_counts_are_those_of_the_data_set(folder, alter):
    change(folder, alter)
    if alter.__qualname__.startswith('shrink'):
        content = json.loads((folder / 'train.json').read_text())
        for image in content['images']:
            Image.new('RGB', (image['width'], image['height'])).save(folder / 'train' / image['file_name'])
    config = config_of(folder)
    found = list(faults_of(config, ['train_dataloader']))
    init_default_scope('mmdet')
    loaded = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[]))
    counts = dict(cat=0, dog=0)
    for number in range(len(loaded)):
        for each in loaded.get_data_info(number)['instances']:
            counts[loaded.metainfo['classes'][each['bbox_label']]] += not each['ignore_flag']
    said = '; '.join(fault.sentence for fault in found)
    assert f'{len(loaded)} images, ' in said
    assert f'objects of each class: cat {counts["cat"]}, dog {counts["dog"]}.' in said


@pytest.mark.parametrize('small, severity', [(2, Severity.NOTE), (5, Severity.FAULT)])
def test_images_that_are_too_small_to_be_trained_are_told(folder, small, severity):
    change(folder, shrink(small))
    content = json.loads((folder / 'train.json').read_text())
    for image in content['images']:
        Image.new('RGB', (image['width'], image['height'])).save(folder / 'train' / image['file_name'])
    (fault,) = [f for f in faults_of(config_of(folder), ['train_dataloader']) if 'filter_cfg' in f.sentence]
    assert fault.severity is severity
    assert f'{small} of the 6 images' in fault.sentence and f'{small} (1.png, ' in fault.sentence
    assert 'under min_size = 32 pixels' in fault.sentence


def test_a_set_of_which_nothing_would_be_trained_is_refused(folder):
    change(folder, shrink(6))
    init_default_scope('mmdet')
    with pytest.raises(UserError, match=r'None of the 6 images in .* would be used: filter_cfg'):
        DATASETS.build(config_of(folder).train_dataloader.dataset)


def test_a_set_without_a_check_is_not_called_faultless(run_command, folder, tmp_path):
    config = config_of(folder)
    config.train_dataloader.dataset.type = 'mmdet.LVISV1Dataset'
    config.dump(tmp_path / 'mine.py')
    code, printed = run_command('check-data', tmp_path / 'mine.py')
    assert code == 0 and 'train_dataloader.dataset: not checked, as there is no check for mmdet.LVISV1' in printed
    assert printed.rstrip().splitlines()[-1].endswith('; 1 data set not checked.')
