"""What check-data says of lists of volumes, and what stops a run."""

import json
import re

from hiera_mm.errors import UserError
from hiera_mm.settings import read_config
from hiera_mm.synthetic.volumes import NAMES, make_volume_shapes
from hiera_mm.tasks import check_data, faults_of

import nibabel
import numpy as np
import pytest

OWN = """_base_ = 'hiera_mm::unetr_hiera_t_btcv.py'
data_root = '{folder}'
classes = {classes}
train_ann_file = 'dataset.json'
val_ann_file = 'dataset.json'
"""


@pytest.fixture
def folder(tmp_path):
    make_volume_shapes(tmp_path / 'set', train=3, val=1)
    return tmp_path / 'set'


def config_of(folder, classes=NAMES, more=''):
    path = folder.parent / 'my_config.py'
    path.write_text(OWN.format(folder=folder, classes=classes) + more)
    return read_config(str(path))


def change(path, make=lambda voxels: voxels, affine=None):
    image = nibabel.load(path)
    changed = make(np.asarray(image.dataobj).copy())
    nibabel.save(nibabel.Nifti1Image(changed, image.affine if affine is None else affine), path)


def sentences(config):
    return [fault.sentence for fault in faults_of(config)]


def test_own_volumes_take_a_few_settings(folder):
    config = config_of(folder)
    assert sentences(config) == []
    check_data(config, ['train_dataloader', 'val_dataloader'])
    assert config.model.decoder.num_classes == 3
    for part in ('train', 'val', 'test'):
        assert config[f'{part}_dataloader'].dataset.metainfo.classes == NAMES


def test_the_list_and_the_files_headers_stop_a_run(folder):
    change(folder / 'labels/train_002.nii.gz', affine=np.eye(4))
    with pytest.raises(UserError, match=r'train_002.nii.gz. lie .* mm away from their image'):
        check_data(config_of(folder), ['train_dataloader'])
    check_data(config_of(folder), ['val_dataloader'])
    (folder / 'images/val_001.nii.gz').write_text('none')
    with pytest.raises(UserError, match="val_001.nii.gz' can't be read"):
        check_data(config_of(folder), ['val_dataloader'])


@pytest.mark.parametrize(
    'classes, said',
    [
        (('background', 'thing'), "has 2 classes, but 'labels' in .* has 3"),
        (('none', 'tube', 'ellipsoid'), 'class names differ'),
    ],
)
def test_other_classes_than_the_lists_are_told(folder, classes, said):
    found = '\n'.join(sentences(config_of(folder, classes)))
    assert re.search(said, found), found


def test_a_decoder_of_other_classes_stops_a_run(folder):
    config = config_of(folder)
    config.model.decoder.num_classes = 14
    with pytest.raises(UserError, match='model predicts 14 classes .*, but train_dataloader.dataset has 3'):
        check_data(config, ['train_dataloader'])


def test_without_names_anywhere_a_sentence_asks_for_them(folder):
    listed = json.loads((folder / 'dataset.json').read_text())
    del listed['labels']
    (folder / 'dataset.json').write_text(json.dumps(listed))
    config = config_of(folder)
    assert sentences(config) == []
    for part in ('train', 'val', 'test'):
        config[f'{part}_dataloader'].dataset.metainfo = {}
    assert all('classes of the labels are not named' in sentence for sentence in sentences(config))
    assert len(sentences(config)) >= 2


@pytest.mark.parametrize(
    'part, make, said',
    [
        ('labels', lambda voxels: voxels + 1, 'hold 3, but there are 3 classes'),
        ('images', lambda voxels: voxels + np.float32(np.nan), 'are infinite or NaN'),
        ('images', lambda voxels: np.clip(voxels / 1000, -0.05, 0.2).astype(np.float32) + 900, 'nearly all voxels'),
        ('images', lambda voxels: np.stack([voxels] * 2, -1), 'most have 1, but not 1 ('),
    ],
    ids=['unknown class', 'no numbers', 'other intensities', 'two channels'],
)
def test_voxels_are_looked_at(folder, part, make, said):
    change(folder / part / 'train_003.nii.gz', make)
    (found,) = sentences(config_of(folder))
    assert said in found and 'train_003.nii.gz' in found


def test_volumes_in_both_lists_are_a_note(folder):
    listed = json.loads((folder / 'dataset.json').read_text())
    listed['validation'] += listed['training'][:2]
    (folder / 'dataset.json').write_text(json.dumps(listed))
    (found, *others) = sentences(config_of(folder))
    assert '2 (' in found and "are also in the list 'training'" in found and others == []


def test_a_class_that_no_volume_has_is_a_note(folder):
    for path in (folder / 'labels').glob('train_*'):
        change(path, lambda voxels: np.where(voxels == 2, 0, voxels).astype(np.uint8))
    assert sentences(config_of(folder)) == ['train_dataloader.dataset: no volume has the class 1 (tube).']


def separate(folder, *parts, make=lambda voxels: voxels):
    """Give the volumes of these parts a second channel in a file of its own."""
    listed = json.loads((folder / 'dataset.json').read_text())
    for entry in (entry for part in parts for entry in listed[part]):
        other = entry['image'].replace('images/', 'more/')
        (folder / other).parent.mkdir(exist_ok=True)
        image = nibabel.load(folder / entry['image'])
        nibabel.save(nibabel.Nifti1Image(make(np.asarray(image.dataobj)), image.affine), folder / other)
        entry['image'] = [entry['image'], other]
    (folder / 'dataset.json').write_text(json.dumps(listed))


def test_channels_in_files_of_their_own_need_one_setting(folder):
    separate(folder, 'training', 'validation')
    for channels, said in ((1, 'have 2 channels'), (3, 'have 2 channels')):
        with pytest.raises(UserError, match=f'{said}.* but the model takes {channels}; set channels = 2 at the top'):
            check_data(config_of(folder, more=f'channels = {channels}\n'), ['train_dataloader'])
    config = config_of(folder, more='channels = 2\n')
    assert sentences(config) == []
    check_data(config, ['train_dataloader', 'val_dataloader'])
    assert config.model.backbone.in_channels == config.model.decoder.image_channels == 2


def test_volumes_of_too_few_channels_are_told(folder):
    """By a config for two sequences of MRI."""
    found = sentences(config_of(folder, more='channels = 2\n'))
    assert len(found) == 2 and all('have 1 channels' in sentence for sentence in found)
    assert all('set channels = 1' in sentence for sentence in found)


def test_volumes_that_lack_a_channel_stop_a_run(folder):
    separate(folder, 'training')
    listed = json.loads((folder / 'dataset.json').read_text())
    listed['training'][1]['image'].pop()
    (folder / 'dataset.json').write_text(json.dumps(listed))
    with pytest.raises(UserError, match=r'most have 2, but not 1 \(.*train_002.nii.gz has 1\).* set channels') as found:
        check_data(config_of(folder, more='channels = 2\n'), ['train_dataloader'])
    assert 'train_001' not in str(found.value)


@pytest.mark.parametrize(
    'more, said',
    [
        ('model = dict(backbone=dict(in_channels=2))', 'has channels = 1, but model.backbone.in_channels is 2'),
        ('model = dict(backbone=dict(in_channels=2))', 'model.decoder.image_channels is 1, but model.backbone.in_ch'),
        ("channels = 2\nintensity_range = ['zscore', None, (0, 9)]", 'has entries for the channels 0, 1, 2, but'),
        ("channels = 3\nintensity_range = ['zscore', (0, 9)]", 'has entries for the channels 0, 1, but'),
    ],
)
def test_settings_of_channels_that_disagree_are_told(folder, more, said):
    separate(folder, 'training', 'validation')
    config = config_of(folder, more=f'{more}\n')
    found = sentences(config)
    assert any(said in sentence and 'channels' in sentence for sentence in found), found
    with pytest.raises(UserError, match='channels'):
        check_data(config, ['train_dataloader'])


def test_files_of_other_grids_are_a_note_and_those_of_other_places_stop_a_run(folder):
    separate(folder, 'training', 'validation')
    path = folder / 'more/train_001.nii.gz'
    image = nibabel.load(path)
    finer = image.affine @ np.diag([0.5, 1, 1, 1])
    nibabel.save(nibabel.Nifti1Image(np.repeat(np.asarray(image.dataobj), 2, 0), finer), path)
    config = config_of(folder, more='channels = 2\n')
    (found,) = sentences(config)
    assert '1 (' in found and 'images/train_001' in found and 'interpolated' in found
    check_data(config, ['train_dataloader'])
    beside = image.affine.copy()
    beside[0, 3] += 1000
    change(path, affine=beside)
    with pytest.raises(UserError, match=r'more/train_001.nii.gz. covers 0% of .*images/train_001.nii.gz'):
        check_data(config, ['train_dataloader'])


def test_windows_of_single_channels_are_looked_at(folder):
    separate(folder, 'training', 'validation', make=lambda voxels: (voxels + 5000).astype(np.int16))
    more = 'channels = 2\nintensity_range = [(-175, 250), {}]\n'
    assert sentences(config_of(folder, more=more.format("'zscore'"))) == []
    assert sentences(config_of(folder, more=more.format('(4800, 5300)'))) == []
    found = sentences(config_of(folder, more=more.format('(0, 100)')))
    assert len(found) == 2 and all('in the channels 1 outside the intensities 0 to 100' in said for said in found)


def test_validation_on_what_is_trained_on_is_a_note(folder):
    more = "val_dataloader = dict(dataset=dict(data_list_key='training'))\ntest_dataloader = val_dataloader\n"
    config = config_of(folder, more=more)
    check_data(config, ['train_dataloader', 'val_dataloader'])
    (found,) = sentences(config)
    assert '3 (' in found and "'training' of " in found and 'Dice says nothing about unseen volumes' in found


def test_volumes_of_both_parts_in_lists_of_their_own_are_a_note(folder):
    listed = json.loads((folder / 'dataset.json').read_text())
    (folder / 'val.json').write_text(json.dumps(dict(labels=listed['labels'], validation=listed['training'][:1])))
    (found,) = sentences(config_of(folder, more="val_ann_file = 'val.json'\n"))
    assert '1 (' in found and "'validation' of " in found and 'val.json' in found


def test_a_fold_is_validated_on(folder):
    listed = json.loads((folder / 'dataset.json').read_text())
    entries = [dict(entry, fold=number % 2) for number, entry in enumerate(listed['training'])]
    (folder / 'dataset.json').write_text(json.dumps(dict(labels=listed['labels'], training=entries)))
    with pytest.raises(UserError, match='have the folds 0, 1: set fold = 0'):
        check_data(config_of(folder), ['train_dataloader', 'val_dataloader'])
    config = config_of(folder, more='fold = 1\n')
    assert sentences(config) == []
    assert {config[f'{part}_dataloader'].dataset.fold for part in ('train', 'val', 'test')} == {1}
    config = config_of(folder, more="fold = 1\ntest_ann_file = 'others.json'\n")
    assert config.test_dataloader.dataset.fold is None


@pytest.mark.parametrize(
    'labels, said',
    [
        ({'background': 0, 'whole': [1, 2], 'core': 2}, 'has regions'),
        ({'background': 0, 'tumour': 1, 'ignore': 2}, "has 'ignore'"),
        ({'0': 'background', '1': 'a', '2': 'b', '4': 'c'}, 'without 3'),
    ],
)
def test_labels_that_are_not_one_class_a_voxel_stop_a_run(folder, labels, said):
    listed = json.loads((folder / 'dataset.json').read_text())
    (folder / 'dataset.json').write_text(json.dumps(listed | dict(labels=labels)))
    with pytest.raises(UserError, match=said):
        check_data(config_of(folder), ['train_dataloader'])


def test_labels_with_a_channel_for_each_class_stop_a_run(folder):
    change(folder / 'labels/train_001.nii.gz', lambda voxels: np.eye(3, dtype=np.uint8)[voxels])
    with pytest.raises(UserError, match='train_001.nii.gz. have 3 channels, but labels are one number'):
        check_data(config_of(folder), ['train_dataloader'])


@pytest.mark.parametrize('share, stops', [(0.005, True), (0.02, False)])
def test_a_hundredth_of_the_voxels_has_to_lie_inside_the_window(folder, share, stops):
    def with_few_inside(voxels):
        made = np.full(voxels.shape, 900, np.float32)
        made.reshape(-1)[: round(share * made.size)] = 0.5
        return made

    config = config_of(folder)
    change(folder / 'images/train_003.nii.gz', with_few_inside)
    found = [sentence for sentence in sentences(config) if 'nearly all voxels outside' in sentence]
    assert len(found) == stops and all('train_003' in sentence for sentence in found)
