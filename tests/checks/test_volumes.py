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
        ('images', lambda voxels: np.stack([voxels] * 2, -1), 'do not have the 1 channels'),
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


def test_volumes_of_too_few_channels_are_told(folder):
    """By a config for two sequences of MRI."""
    config = config_of(folder)
    config.model.backbone.in_channels = config.model.decoder.image_channels = 2
    assert any('3 (' in sentence and 'do not have the 2 channels' in sentence for sentence in sentences(config))


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
