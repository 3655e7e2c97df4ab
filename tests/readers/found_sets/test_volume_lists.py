"""Volumes of several channels as nnU-Net, the Decathlon and MONAI's tutorials keep them: every file is used for its
case, or a sentence says why not."""

import json
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import find_sets

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope

from tests.found_configs import config_of
from tests.volume_files import save

SHAPE = (40, 36, 20)
AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])
NNUNET = 'imagesTr/{case}_{channel:04d}.nii.gz'


def draw(folder, image=NNUNET, label='labelsTr/{case}.nii.gz', cases=5, channels=2, values=(0, 1, 2)):
    """Volumes whose intensities tell case and channel."""
    for case in range(cases):
        labels = np.zeros(SHAPE, np.uint8)
        for number, value in enumerate(values):
            labels[..., 2 * number : 2 * number + 2] = value
        save(folder / label.format(case=case), labels, AFFINE)
        for channel in range(channels):
            voxels = np.full(SHAPE, 100 * channel + case + 1, np.int16)
            save(folder / image.format(case=case, channel=channel), voxels, AFFINE)


def write(folder, **content):
    (folder / 'dataset.json').write_text(json.dumps(content))


def first(config, part='train'):
    """The first volume of a part as it is loaded: its case and the highest intensity of each channel."""
    init_default_scope(config.default_scope)
    loader = config[f'{part}_dataloader'].dataset
    dataset = DATASETS.build(dict(loader, pipeline=[dict(type='LoadVolumes')], cache_rate=0.0))
    return [[int(channel.max()) for channel in dataset[number]['inputs'][0]] for number in range(len(dataset))]


V2 = dict(
    channel_names={'0': 'FLAIR', '1': 'CT'},
    labels={'background': 0, 'edema': 1, 'tumor': 2},
    numTraining=5,
    file_ending='.nii.gz',
)
V1 = dict(
    modality={'0': 'FLAIR', '1': 'CT'},
    labels={'0': 'background', '1': 'edema', '2': 'tumor'},
    numTraining=5,
    numTest=1,
    training=[dict(image=f'./imagesTr/{n}.nii.gz', label=f'./labelsTr/{n}.nii.gz') for n in range(5)],
    test=['./imagesTs/9.nii.gz'],
)


@pytest.mark.parametrize('content', [V2, V1], ids=['second version', 'first version'])
def test_nnunets_raw_folders_are_read_as_they_are(tmp_path, content):
    folder = tmp_path / 'set'
    draw(folder)
    for channel in range(2):
        save(folder / f'imagesTs/9_{channel:04d}.nii.gz', np.zeros(SHAPE, np.int16), AFFINE)
    write(folder, **content)
    config, sets = config_of(folder, tmp_path)
    assert sets.classes == ('background', 'edema', 'tumor')
    assert {part: len(found.images) for part, found in sets.parts.items()} == dict(train=4, val=1)
    both = sorted([*first(config), *first(config, 'val')])
    assert both == [[case + 1, 100 + case + 1] for case in range(5)]
    assert config.channels == config.model.backbone.in_channels == config.model.decoder.image_channels == 2
    assert config.intensity_range == ['zscore', (-175, 250)]
    assert not [note for note in sets.notes if 'numTraining' in note]
    assert any('imagesTs' in line for line in sets.account)


@pytest.mark.parametrize(
    'names, expected',
    [
        (dict(channel_names={'0': 'FLAIR', '1': 'T1w'}), 'zscore'),
        (dict(channel_names={'0': 'CT', '1': 'ct '}), (-175, 250)),
        (dict(channel_names={'1': 'CT', '0': 'PET'}), ['zscore', (-175, 250)]),
        (dict(modality='MRI'), 'zscore'),
        (dict(modality='CT'), (-175, 250)),
        (dict(modality=['T2', 'ADC']), 'zscore'),
        ({}, None),
    ],
)
def test_each_channels_intensities_follow_its_name(tmp_path, names, expected):
    draw(tmp_path / 'set')
    write(tmp_path / 'set', labels=V2['labels'], **names)
    config, _ = config_of(tmp_path / 'set', tmp_path)
    assert config.intensity_range == expected and config.channels == 2


def test_names_of_ten_channels_are_in_the_order_of_numbers(tmp_path):
    draw(tmp_path / 'set', cases=2, channels=11)
    names = {str(number): 'CT' if number == 10 else 'MRI' for number in range(11)}
    write(tmp_path / 'set', labels=V2['labels'], channel_names=names)
    config, _ = config_of(tmp_path / 'set', tmp_path)
    assert config.intensity_range == ['zscore'] * 10 + [(-175, 250)]
    assert [values[10] for values in first(config)] in ([1001], [1002])


def test_channels_in_the_fourth_axis_are_counted(tmp_path):
    folder = tmp_path / 'set'
    draw(folder, image='imagesTr/{case}.nii.gz', channels=1)
    for case in range(5):
        save(folder / f'imagesTr/{case}.nii.gz', np.full((*SHAPE, 4), case + 1, np.int16), AFFINE)
    config, _ = config_of(folder, tmp_path)
    assert config.channels == 4


def test_one_channel_needs_no_setting(tmp_path):
    draw(tmp_path / 'set', channels=1)
    assert 'channels' not in find_sets(tmp_path / 'set', 'volumes', tmp_path / 'out').settings


def test_numbers_of_cases_are_no_channels(tmp_path):
    """``case_0001.nii.gz`` has labels of that name."""
    draw(tmp_path / 'set', image='images/case_000{case}.nii.gz', label='labels/case_000{case}.nii.gz', channels=1)
    sets = find_sets(tmp_path / 'set', 'volumes', tmp_path / 'out')
    assert sum(len(part.images) for part in sets.parts.values()) == 5 and 'channels' not in sets.settings


def brats(folder, **more):
    """Files of a case in a folder of its own, which only a list says the order of."""
    names = ('flair', 't1ce')
    draw(folder, '{case}/{case}_{channel}.nii.gz', '{case}/{case}_seg.nii.gz', values=(0, 1, 2, 4))
    for case in range(5):
        for channel, name in enumerate(names):
            (folder / f'{case}/{case}_{channel}.nii.gz').rename(folder / f'{case}/{case}_{name}.nii.gz')
    entries = [
        dict(
            fold=case % 3,
            image=[f'{case}/{case}_{name}.nii.gz' for name in reversed(names)],
            label=f'{case}/{case}_seg.nii.gz',
        )
        for case in range(5)
    ]
    write(folder, training=entries, **more)


def test_a_list_with_folds_is_split_by_the_first(tmp_path):
    brats(tmp_path / 'set')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert first(config, 'val') == [[101, 1], [104, 4]]
    assert first(config) == [[102, 2], [103, 3], [105, 5]]
    notes = '\n'.join(sets.notes)
    assert 'Of the folds 0, 1, 2, fold 0 is validated on' in notes and 'set train_ann_file and val_ann_file' in notes


def test_numbers_of_labels_with_gaps_are_kept_and_told(tmp_path):
    brats(tmp_path / 'set')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sets.classes == ('background', 'class 1', 'class 2', 'class 3', 'class 4')
    assert any('are 0, 1, 2, 4, without 3' in note for note in sets.notes)
    assert len(first(config)) == 3
    brats(tmp_path / 'other', labels={'0': 'none', '1': 'necrosis', '2': 'edema', '4': 'enhancing'})
    sets = find_sets(tmp_path / 'other', 'volumes', tmp_path / 'other_out')
    assert sets.classes == ('none', 'necrosis', 'edema', 'class 3', 'enhancing')
    assert any('are 0, 1, 2, 4, without 3' in note for note in sets.notes)


def test_another_number_of_cases_than_the_list_says_is_a_note(tmp_path):
    draw(tmp_path / 'set')
    write(tmp_path / 'set', **V2 | dict(numTraining=7))
    notes = find_sets(tmp_path / 'set', 'volumes', tmp_path / 'out').notes
    assert any('7 training volumes (numTraining), but 5 are there' in note for note in notes)


@pytest.mark.parametrize(
    'spoil, sentence',
    [
        (lambda folder: (folder / 'imagesTr/1_0001.nii.gz').unlink(), '1_0000.nii.gz has 1. of the volumes .* have 2'),
        (
            lambda folder: (folder / 'imagesTr/1_0001.nii.gz').rename(folder / 'imagesTr/1_0002.nii.gz'),
            "'1' in .* has the channels 0, 2 by the names",
        ),
        (
            lambda folder: (folder / 'imagesTr/1_0001.nii.gz').rename(folder / 'imagesTr/1.nii.gz'),
            "'1' in .* has several files",
        ),
        (lambda folder: save(folder / 'more/1_0001.nii.gz', np.zeros(SHAPE), AFFINE), "'1' in .* has several files"),
        (
            lambda folder: write(folder, **V2 | dict(channel_names={'0': 'a', '1': 'b', '2': 'c'})),
            'names 3 of the channels',
        ),
        (lambda folder: write(folder, **V2 | dict(labels={'background': 0, 'all': [1, 2], 'b': 2})), 'has regions'),
        (lambda folder: write(folder, **V2 | dict(labels={'background': 0, 'a': 1, 'ignore': 2})), "has 'ignore'"),
        (lambda folder: write(folder, training=[dict(image=[], label='labelsTr/1.nii.gz')]), 'needs the path of one'),
        (
            lambda folder: write(folder, training=[dict(image=['a.nii.gz'], label='labelsTr/1.nii.gz')]),
            "names 'a.nii.gz', which does not exist",
        ),
        (lambda folder: write(folder, training=[dict(image='imagesTr/1_0000.nii.gz')]), 'one file as "label"'),
        (
            lambda folder: [
                save(folder / f'imagesTr/{case}_0001.nii.gz', np.zeros((*SHAPE, 2), np.int16), AFFINE)
                for case in (1, 2)
            ],
            'different numbers of channels',
        ),
    ],
)
def test_volumes_of_several_channels_that_cant_be_used_are_refused(tmp_path, spoil, sentence):
    draw(tmp_path / 'set')
    spoil(tmp_path / 'set')
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'volumes', tmp_path / 'out')
    assert not Path(tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'voxels, sentence',
    [
        (np.ones((*SHAPE, 3), np.uint8), 'have 3 channels, but labels are one number'),
        (np.full(SHAPE, 255, np.uint8), 'hold 0, 1, 2, 255, which are too far apart'),
    ],
    ids=['a channel for each class', '255'],
)
def test_labels_that_are_no_numbers_of_classes_are_refused(tmp_path, voxels, sentence):
    draw(tmp_path / 'set')
    for case in range(5):
        save(tmp_path / f'set/labelsTr/{case}.nii.gz', voxels, AFFINE)
    save(tmp_path / 'set/labelsTr/0.nii.gz', np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.uint8) % 3, AFFINE)
    save(tmp_path / 'set/labelsTr/1.nii.gz', np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.uint8) % 3, AFFINE)
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'volumes', tmp_path / 'out')
