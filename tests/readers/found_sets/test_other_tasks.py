"""Volumes and actions as people keep them: each file is found with its labels, or a sentence says why not."""

import json
import pickle

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import find_sets
from hiera_mm.readers.write_video import write_video

import nibabel
import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope

from tests.found_configs import config_of

# Volumes


def put_volume(folder, image, label, number, lowest=0.0, shape=(40, 36, 20), spacing=(1.0, 1.0, 3.0)):
    labels = np.zeros(shape, np.uint8)
    labels[:, :, : 2 + number] = 1 + number % 2
    affine = np.diag([*spacing, 1.0])
    for place, content in ((image, labels * 100.0 + number + lowest), (label, labels)):
        path = folder / place.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(content, affine), path)


def draw_volumes(folder, image, label, **more):
    for number in range(5):
        put_volume(folder, image, label, number, **more)


def assert_labels_fit(config, sets):
    """The image of each pair is made of its labels."""
    init_default_scope(config.default_scope)
    for part, found in sets.parts.items():
        dataset = DATASETS.build(dict(config[f'{part}_dataloader'].dataset, pipeline=[], cache_rate=0.0))
        assert len(dataset) == len(found.images)
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            (image,), label = info['image'], info['label']
            image, labels = (np.asarray(nibabel.load(path).dataobj) for path in (image, label))
            assert (np.round((image - image.min()) / 100) == labels - labels.min()).all()
            assert labels.max() < info['num_classes']


VOLUMES = {
    'Decathlon': ('imagesTr/v{}.nii.gz', 'labelsTr/v{}.nii.gz'),
    'nnU-Net': ('imagesTr/v{}_0000.nii.gz', 'labelsTr/v{}.nii.gz'),
    'folders': ('images/{}.nii', 'masks/{}.nii'),
    'one folder a patient': ('patient{0}/ct{0}.nii.gz', 'patient{0}/ct{0}_seg.nii.gz'),
    'one folder': ('{}.nii.gz', '{}_label.nii.gz'),
}


@pytest.mark.parametrize('places', VOLUMES.values(), ids=VOLUMES)
def test_labels_are_found_wherever_they_lie(tmp_path, places):
    draw_volumes(tmp_path / 'set', *places)
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert {part: len(found.images) for part, found in sets.parts.items()} == dict(train=4, val=1)
    assert sets.classes == ('background', 'class 1', 'class 2')
    assert_labels_fit(config, sets)


@pytest.mark.parametrize(
    'labels, names',
    [
        ({'0': 'air', '1': 'liver', '2': 'lung'}, ('air', 'liver', 'lung')),
        ({'air': 0, 'lung': 2, 'liver': 1}, ('air', 'liver', 'lung')),
        ({'0': 'air', '2': 'lung'}, ('air', 'class 1', 'lung')),
    ],
)
@pytest.mark.parametrize('listed', [True, False])
def test_the_list_names_parts_and_classes(tmp_path, labels, names, listed):
    draw_volumes(tmp_path / 'set', *VOLUMES['Decathlon'])
    entries = [dict(image=f'./imagesTr/v{i}.nii.gz', label=f'./labelsTr/v{i}.nii.gz') for i in range(5)]
    parts = dict(training=entries[:3], validation=entries[3:], test=['imagesTs/v9.nii.gz']) if listed else {}
    (tmp_path / 'set' / 'dataset.json').write_text(json.dumps(dict(labels=labels, **parts)))
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert sets.classes == names
    assert {part: len(found.images) for part, found in sets.parts.items()} == (
        dict(train=3, val=2) if listed else dict(train=4, val=1)
    )
    assert_labels_fit(config, sets)


@pytest.mark.parametrize(
    'lowest, modality, expected', [(-1000.0, None, (-175, 250)), (0.0, None, None), (0.0, 'CT', (-175, 250))]
)
def test_intensities_follow_the_modality(tmp_path, lowest, modality, expected):
    draw_volumes(tmp_path / 'set', *VOLUMES['Decathlon'], lowest=lowest)
    if modality:
        content = dict(modality={'0': modality}, labels={'0': 'air', '1': 'a', '2': 'b'})
        (tmp_path / 'set' / 'dataset.json').write_text(json.dumps(content))
    config, sets = config_of(tmp_path / 'set', tmp_path)
    scaling = [step for step in config.train_dataloader.dataset.pipeline if 'ScaleIntensity' in step.get('name', '')]
    assert scaling[0].name == ('ScaleIntensityRanged' if expected else 'ScaleIntensityRangePercentilesd')
    assert not expected or (scaling[0].a_min, scaling[0].a_max) == expected
    assert config.crop_size == (32, 32, 16) and config.spacing == (1.0, 1.0, 3.0)


@pytest.mark.parametrize(
    'spoil, sentence',
    [
        (lambda folder: put_volume(folder, 'more/v1.nii.gz', 'labelsTr/x.nii.gz', 1), 'has several files'),
        (lambda folder: (folder / 'dataset.json').write_text('{"labels": {"a": [1, 2]}}'), 'has regions'),
        (lambda folder: (folder / 'dataset.json').write_text('{"labels": ["a"]}'), 'numbers with names'),
        (
            lambda folder: (folder / 'dataset.json').write_text(
                json.dumps(dict(labels={'0': 'a'}, training=[dict(image='gone.nii', label='gone.nii')]))
            ),
            "names 'gone.nii', which does not exist",
        ),
        (lambda folder: [path.unlink() for path in (folder / 'labelsTr').iterdir()], 'no labels of their names'),
        (lambda folder: (folder / 'labelsTr' / 'v1.nii.gz').write_bytes(b'none'), 'v1.nii.gz'),
    ],
)
def test_volumes_that_cant_be_used_are_refused(tmp_path, spoil, sentence):
    draw_volumes(tmp_path / 'set', 'imagesTr/v{}_0000.nii.gz', 'labelsTr/v{}.nii.gz')
    spoil(tmp_path / 'set')
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'volumes', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


# Actions


def put_videos(folder, names, frames=False):
    for name in names:
        pixels = [np.full((48, 64, 3), 90, np.uint8)] * (45 if frames else 24)
        if frames:
            from PIL import Image

            (folder / name).mkdir(parents=True)
            for number, frame in enumerate(pixels, start=1):
                Image.fromarray(frame).save(folder / name / f'img_{number:05}.jpg')
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_video(folder / f'{name}.mp4', pixels, 8)


def rows(names, start=900):
    return ''.join(f'{name},{start + 1},0.1,0.2,0.5,0.9,{action},0\n' for name in names for action in (1, 3))


def draw_actions(folder, start=900, frames=False, listed=True, parts=('train', 'val')):
    folder.mkdir()
    for part, names in zip(parts, (['a', 'b', 'c'], ['d', 'e'], ['f']), strict=False):
        put_videos(folder / part, names, frames)
        (folder / f'{part}.csv').write_text(rows(names, start))
    if listed:
        items = ''.join(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n' for number, name in ((1, 'go'), (3, 'sit')))
        (folder / 'actions.pbtxt').write_text(items)


@pytest.mark.parametrize('start', [900, 0])
@pytest.mark.parametrize('frames', [False, True], ids=['videos', 'frames'])
@pytest.mark.parametrize('listed', [False, True])
def test_actions_are_found(tmp_path, start, frames, listed):
    draw_actions(tmp_path / 'set', start, frames, listed)
    config, sets = config_of(tmp_path / 'set', tmp_path)
    init_default_scope(config.default_scope)
    for part, names in dict(train='abc', val='de').items():
        dataset = DATASETS.build(config[f'{part}_dataloader'].dataset)
        assert sorted({dataset.get_data_info(i)['video_id'] for i in range(len(dataset))}) == list(names)
        assert dataset[0]['inputs'].shape[1:] == (3, 16, 128, 128) or dataset[0]['inputs'].shape[0] == 3
    assert (config.num_classes, config.timestamp_start) == (4, start)
    assert (config.label_file is not None) is listed


def test_actions_are_tested_on_a_part_of_their_own(tmp_path):
    draw_actions(tmp_path / 'set', parts=('train', 'val', 'test'))
    (tmp_path / 'set' / 'val_excluded.csv').write_text('d,0901\n')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert set(sets.parts) == {'train', 'val', 'test'}
    init_default_scope(config.default_scope)
    for part, name in dict(val='e', test='f').items():
        dataset = DATASETS.build(config[f'{part}_dataloader'].dataset)
        assert {dataset.get_data_info(i)['video_id'] for i in range(len(dataset))} == {name}
        assert config[f'{part}_evaluator'].ann_file == config[f'{part}_dataloader'].dataset.ann_file
    assert config.test_evaluator.exclude_file is None


def test_videos_are_put_apart_without_a_validation_part(tmp_path):
    draw_actions(tmp_path / 'set', parts=['train'])
    config, sets = config_of(tmp_path / 'set', tmp_path)
    init_default_scope(config.default_scope)
    found = {}
    for part in ('train', 'val'):
        dataset = DATASETS.build(config[f'{part}_dataloader'].dataset)
        found[part] = {dataset.get_data_info(i)['video_id'] for i in range(len(dataset))}
    assert found['train'] | found['val'] == {*'abc'} and not found['train'] & found['val'] and len(found['val']) == 1


@pytest.mark.parametrize('first, start', [(900, 900), (0, 0), (905, 0)])
def test_where_frames_begin_is_told_by_how_long_they_last(tmp_path, first, start):
    draw_actions(tmp_path / 'set', first, frames=True)
    if first > 900:
        # The first video that is annotated has frames from the film's first second on.
        for number in range(46, 30 * 907):
            (tmp_path / 'set' / 'train' / 'a' / f'img_{number:05}.jpg').touch()
    assert config_of(tmp_path / 'set', tmp_path)[0].timestamp_start == start


def test_proposals_and_exclusions_are_used_for_their_part(tmp_path):
    draw_actions(tmp_path / 'set')
    boxes = {f'{name},0901': np.array([[0.1, 0.1, 0.6, 0.9, 0.95]]) for name in 'de'}
    (tmp_path / 'set' / 'val_proposals.pkl').write_bytes(pickle.dumps(boxes))
    (tmp_path / 'set' / 'train_excluded_timestamps.csv').write_text('a,0901\n')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    init_default_scope(config.default_scope)
    train, val = (DATASETS.build(config[f'{part}_dataloader'].dataset) for part in ('train', 'val'))
    assert len(train) == 2 and train.proposals is None and set(val.proposals) == set(boxes)
    assert all('left out' not in line for line in sets.account)


def test_of_avas_lists_of_actions_the_scored_one_is_used(tmp_path):
    draw_actions(tmp_path / 'set')
    scored = tmp_path / 'set' / 'ava_action_list_v2.2_for_activitynet_2019.pbtxt'
    scored.write_text('item {\n  name: "go"\n  id: 1\n}\n')
    config, sets = config_of(tmp_path / 'set', tmp_path)
    assert config.label_file == scored.name
    assert '1 (3) of the actions are not in' in '\n'.join(sets.notes)


@pytest.mark.parametrize(
    'spoil, sentence',
    [
        (lambda folder: (folder / 'train_2.csv').write_text(rows('a')), 'two files with annotations of the training'),
        (lambda folder: put_videos(folder / 'more', ['a']), 'more than once'),
        (lambda folder: [path.unlink() for path in (folder / 'val').iterdir()], "are not in '"),
        (lambda folder: (folder / 'train.csv').write_text(rows('a') + 'a,b\n'), 'Line 3 of the annotation file'),
        (lambda folder: (folder / 'val' / 'e.mp4').unlink(), r'1 \(e\) of the videos that .* are not in'),
        (lambda folder: (folder / 'b.pbtxt').write_text(''), 'several lists of actions'),
    ],
)
def test_actions_that_cant_be_used_are_refused(tmp_path, spoil, sentence):
    draw_actions(tmp_path / 'set')
    spoil(tmp_path / 'set')
    with pytest.raises(UserError, match=sentence):
        find_sets(tmp_path / 'set', 'ava', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
