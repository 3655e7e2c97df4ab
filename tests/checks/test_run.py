"""What is wrong with a data set is said in a sentence that names the file or key."""

import json
import shutil

from hiera_mm.checks.fault import Severity, class_of, classes_of
from hiera_mm.errors import UserError
from hiera_mm.tasks import check_data, faults_of

import pytest
from mmengine.config import Config, ConfigDict

from tests.helpers import ROOT, tiny_config

LOADERS = ['train_dataloader', 'val_dataloader']


@pytest.fixture
def config(shapes, tmp_path):
    """The tiny detector's config on a copy of the generated set that a test may damage."""
    folder = tmp_path / 'set'
    shutil.copytree(shapes, folder)
    config = tiny_config()
    for loader in LOADERS:
        config[loader].dataset.data_root = str(folder)
    config.val_evaluator.ann_file = str(folder / 'annotations' / 'instances_val.json')
    return config


def annotation_file(config, part='train'):
    from pathlib import Path

    return Path(config.train_dataloader.dataset.data_root, 'annotations', f'instances_{part}.json')


def test_a_sound_set_passes(config):
    check_data(config, LOADERS)


def test_a_set_inside_a_wrapper_is_looked_at(config):
    inner = config.train_dataloader.dataset
    config.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=inner)
    check_data(config, LOADERS)
    config.train_dataloader.dataset.dataset.data_root = 'nowhere'
    with pytest.raises(UserError, match="'nowhere' of train_dataloader.dataset.dataset does not exist"):
        check_data(config, LOADERS)


def test_data_in_a_remote_store_and_later_processes_are_passed_over(config, monkeypatch):
    config.train_dataloader.dataset.data_root = 's3://bucket/coco/'
    monkeypatch.setenv('RANK', '1')
    check_data(config, LOADERS)
    monkeypatch.setenv('RANK', '0')
    with pytest.raises(UserError):
        check_data(config, LOADERS)
    config.train_dataloader.dataset.backend_args = dict(backend='petrel')
    check_data(config, LOADERS)


def test_a_missing_folder_is_named_with_the_option_that_sets_it(config):
    config.train_dataloader.dataset.data_root = 'nowhere'
    with pytest.raises(UserError, match='--cfg-options train_dataloader.dataset.data_root=FOLDER'):
        check_data(config, LOADERS)


def test_a_missing_image_folder_is_named(config):
    config.val_dataloader.dataset.data_prefix.img = 'pictures/'
    with pytest.raises(UserError, match='set/pictures. of val_dataloader.dataset does not exist'):
        check_data(config, LOADERS)


@pytest.mark.parametrize('content, message', [(None, 'does not exist'), ('{', 'not valid JSON'), ('{}', 'COCO format')])
def test_a_missing_or_broken_annotation_file_is_named(config, content, message):
    path = annotation_file(config)
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=f'instances_train.json.*{message}'):
        check_data(config, LOADERS)


def test_a_missing_file_of_the_evaluator_is_named(config):
    config.val_evaluator.ann_file = 'nowhere.json'
    with pytest.raises(UserError, match="'nowhere.json' of val_evaluator.ann_file does not exist"):
        check_data(config, LOADERS)


def test_other_class_names_are_listed_on_both_sides(config):
    config.train_dataloader.dataset.metainfo = dict(classes=('cat', 'dog'))
    with pytest.raises(UserError, match=r"\['cat', 'dog'\], the file has \['circle', 'bar', 'triangle'\]"):
        check_data(config, LOADERS)


def test_the_default_classes_are_cocos(config):
    del config.train_dataloader.dataset['metainfo']
    with pytest.raises(UserError, match=r"\['person', 'bicycle', .*80 in all\], the file has \['circle'"):
        check_data(config, LOADERS)


def test_the_order_of_the_classes_is_free_but_one_for_all_sets(config):
    for loader in LOADERS:
        config[loader].dataset.metainfo = dict(classes=('bar', 'circle', 'triangle'))
    check_data(config, LOADERS)
    config.val_dataloader.dataset.metainfo = dict(classes=('circle', 'bar', 'triangle'))
    with pytest.raises(
        UserError, match='val_dataloader.dataset are circle, bar, triangle, but those of train_dataload'
    ):
        check_data(config, LOADERS)


def test_a_part_of_the_files_classes_may_be_chosen(config):
    for loader in LOADERS:
        config[loader].dataset.metainfo = dict(classes=('circle', 'triangle'))
    for head in ('bbox_head', 'mask_head'):
        config.model.roi_head[head].num_classes = 2
    check_data(config, LOADERS)


def test_a_head_with_another_number_of_classes_is_named(config):
    config.model.roi_head.mask_head.num_classes = 80
    with pytest.raises(UserError, match=r'predicts 80 classes \(model.roi_head.mask_head.num_classes\).*has 3'):
        check_data(config, LOADERS)


def test_an_image_list_without_names_is_no_annotation_file(config):
    path = annotation_file(config, 'val')
    content = json.loads(path.read_text())
    del content['categories']
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match='instances_val.json.*lacks categories'):
        check_data(config, LOADERS)


def test_a_type_named_with_its_scope_or_by_its_class_is_looked_at(config):
    from mmdet.datasets import CocoDataset

    for loader in LOADERS:
        config[loader].dataset.metainfo = dict(classes=('bar', 'circle', 'triangle'))
    config.train_dataloader.dataset.type = 'mmdet.CocoDataset'
    check_data(config, LOADERS)
    # mmdet's own class numbers labels by the file's order, so every name after the swap would be wrong.
    config.train_dataloader.dataset.type = CocoDataset
    with pytest.raises(UserError, match='in another order'):
        check_data(config, LOADERS)


def test_what_mmdets_own_class_does_not_repair_is_refused(config):
    from mmdet.datasets import CocoDataset

    path = annotation_file(config)
    content = json.loads(path.read_text())
    for annotation in content['annotations']:
        del annotation['iscrowd']
    path.write_text(json.dumps(content))
    check_data(config, LOADERS)
    config.train_dataloader.dataset.type = CocoDataset
    with pytest.raises(UserError, match='lack iscrowd.*does not do that; derive it from hiera_mm.datasets.coco'):
        check_data(config, LOADERS)


def test_a_users_own_subclass_is_looked_at_with_its_own_classes(config):
    from mmdet.datasets import CocoDataset
    from mmdet.registry import DATASETS

    @DATASETS.register_module(force=True)
    class ShapesDataset(CocoDataset):
        METAINFO = dict(classes=('triangle', 'circle', 'bar'))

    config.train_dataloader.dataset.type = 'ShapesDataset'
    check_data(config, LOADERS)
    del config.train_dataloader.dataset['metainfo']
    with pytest.raises(UserError, match='in another order'):
        check_data(config, LOADERS)


def test_a_set_inside_two_wrappers_is_looked_at(config):
    inner = dict(config.train_dataloader.dataset, metainfo=dict(classes=('bar', 'circle', 'triangle')))
    joined = dict(type='mmdet.ConcatDataset', datasets=[config.val_dataloader.dataset, inner])
    config.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=joined)
    with pytest.raises(UserError, match='The classes of train_dataloader.dataset.dataset.datasets.1 are bar, circle'):
        check_data(config, LOADERS)


@pytest.mark.parametrize(
    'head', [dict(type='RetinaHead', num_classes=80), dict(type='mmdet.RetinaHead', num_classes=1)]
)
def test_the_head_of_a_one_stage_detector_is_looked_at(config, head):
    config.model = dict(type='RetinaNet', bbox_head=head)
    with pytest.raises(UserError, match=r'\(model.bbox_head.num_classes\), but the data set has 3'):
        check_data(config, LOADERS)


def test_a_head_that_leaves_its_number_of_classes_to_its_default_is_looked_at(config):
    del config.model.roi_head.bbox_head['num_classes']
    with pytest.raises(UserError, match=r'predicts 80 classes \(model.roi_head.bbox_head.num_classes\).*has 3'):
        check_data(config, LOADERS)


def test_each_head_of_a_cascade_is_looked_at(config):
    head = config.model.roi_head.bbox_head
    config.model.roi_head.bbox_head = [head, dict(head, num_classes=80)]
    with pytest.raises(UserError, match='predicts 80 classes'):
        check_data(config, LOADERS)


def test_images_inside_a_wrapper_are_looked_at(tmp_path):
    config = Config.fromfile(ROOT / 'tests' / 'data' / 'tiny_in1k.py')
    (tmp_path / 'train' / 'only').mkdir(parents=True)
    dataset = dict(config.train_dataloader.dataset, data_root=str(tmp_path), data_prefix=dict(img='train'))
    for kind in ('ImageDataset', 'mmengine.ImageDataset'):
        config.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=dict(dataset, type=kind))
        with pytest.raises(UserError, match='of train_dataloader.dataset.dataset has 1 classes, but'):
            check_data(config, ['train_dataloader'])


def test_each_annotation_file_is_parsed_once(config, monkeypatch):
    parsed = []
    loads = json.loads
    monkeypatch.setattr(json, 'loads', lambda text: parsed.append(1) or loads(text))
    list(faults_of(config, LOADERS))
    assert len(parsed) == 2


def test_faults_say_how_much_they_matter(config):
    path = annotation_file(config)
    content = json.loads(path.read_text())
    content['annotations'][0]['bbox'] = [0, 0, 5000, 5]
    path.write_text(json.dumps(content))
    check_data(config, LOADERS)
    found = list(faults_of(config, LOADERS))
    # The box is cut at the edges, it does not match its mask, and both sets have their objects counted.
    assert [fault.severity for fault in found] == [Severity.NOTE] * 2 + [Severity.FAULT] + [Severity.NOTE] * 2
    config.val_evaluator.ann_file = 'nowhere.json'
    assert [fault.severity for fault in faults_of(config, LOADERS)][-1] == Severity.BLOCKS


def test_classes_that_the_config_names_need_no_registered_type():
    named = ConfigDict(type='NobodyRegisters', metainfo=dict(classes=('person', 'dog')))
    assert classes_of(named, class_of(named, 'mmdet')) == ['person', 'dog']
    unnamed = ConfigDict(type='NobodyRegisters')
    with pytest.raises(UserError, match="type 'NobodyRegisters' are not known.*set metainfo"):
        classes_of(unnamed, class_of(unnamed, 'mmdet'))
