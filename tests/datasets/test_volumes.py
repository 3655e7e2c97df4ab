"""Volumes prepared by MONAI's transforms: axes, crops, random numbers, and faults in sentences."""

import json

from hiera_mm.config import in_scope, read_config_file
from hiera_mm.datasets.volumes import VolumeDataset, packed
from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.settings import read_config
from hiera_mm.synthetic.volumes import make_volume_shapes

import nibabel
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, TRANSFORMS
from mmengine.runner import Runner

from tests.helpers import ROOT
from tests.volume_files import AFFINE, flipped, save, write_list

QUICKSTART = ROOT / 'configs' / 'unetr_hiera_t_shapes.py'
LOAD = dict(type='LoadVolumes')


@pytest.fixture(scope='module')
def volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'volumes'
    make_volume_shapes(folder, train=3, val=1)
    return folder


def dataset(folder, pipeline=(LOAD,), **more):
    return VolumeDataset(ann_file='dataset.json', data_root=str(folder), pipeline=pipeline, **more)


def own(folder, image, labels=None, affine=None):
    """A list of one volume."""
    folder.mkdir(exist_ok=True)
    for name, voxels in (('image', image), ('label', labels)):
        if voxels is not None:
            nibabel.save(
                nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), folder / f'{name}.nii.gz'
            )
    entry = dict(image='image.nii.gz', label='label.nii.gz')
    (folder / 'dataset.json').write_text(json.dumps(dict(labels={'0': 'none', '1': 'some'}, training=[entry])))
    return folder


def test_slices_come_first_as_frames_of_a_clip(tmp_path):
    image = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    found = dataset(own(tmp_path, image, (image == 7).astype(np.uint8)))[0]
    assert found['inputs'].shape == (1, 1, 4, 3, 2)
    for (x, y, z), value in np.ndenumerate(image):
        assert found['inputs'][0, 0, z, y, x] == value
    assert found['data_samples'].label[0, 0].nonzero().tolist() == [[3, 1, 0]]


def test_files_of_either_side_become_the_same(tmp_path):
    """A scanner that counts from the right writes the same body mirrored, and says so."""
    image = np.random.default_rng(0).integers(0, 100, (6, 5, 4)).astype(np.int16)
    mirrored = np.diag([-1.0, 1, 1, 1])
    mirrored[0, 3] = 5
    step = dict(type='MonaiTransform', name='Orientationd', keys=('image', 'label'), axcodes='RAS', labels=None)
    plain = dataset(own(tmp_path / 'a', image, image % 2), [LOAD, step])[0]
    other = dataset(own(tmp_path / 'b', image[::-1].copy(), image[::-1] % 2, mirrored), [LOAD, step])[0]
    assert torch.equal(plain['inputs'], other['inputs'])
    assert torch.equal(plain['data_samples'].label, other['data_samples'].label)


def test_the_quickstarts_crops_keep_image_and_labels_together(volumes):
    config = read_config_file(str(QUICKSTART)).train_dataloader.dataset
    config.data_root = str(volumes)
    config.pop('type')
    found = VolumeDataset(**config)
    assert len(found) == 3 and found.metainfo['classes'] == ('background', 'ellipsoid', 'tube')
    held = set()
    for number in range(3):
        sample = found[number]
        assert sample['inputs'].shape == sample['data_samples'].label.shape == (2, 1, 32, 64, 64)
        inside = sample['data_samples'].label > 0
        # Objects are brighter than what is around them by at least 70 units of 425.
        assert sample['inputs'][inside].mean() > sample['inputs'][~inside].mean() + 0.15
        held |= set(sample['data_samples'].label.unique().tolist())
    assert held == {0, 1, 2}


def loaded(volumes, workers, seed=0):
    step = dict(type='MonaiTransform', name='RandSpatialCropd', keys=('image', 'label'), roi_size=(8, 8, 8))
    loader = Runner.build_dataloader(
        dict(
            batch_size=1,
            num_workers=workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset(volumes, [LOAD, step], indices=[0, 0, 0]),
        ),
        seed=seed,
    )
    np.random.seed(seed)
    return [batch['inputs'][0] for batch in loader]


@pytest.mark.parametrize('workers', [0, 3])
def test_crops_differ_between_samples_and_follow_from_the_seed(volumes, workers):
    """Copies of a transform's own generator in several processes would give the same crop."""
    crops = loaded(volumes, workers)
    assert not torch.equal(crops[0], crops[1]) and not torch.equal(crops[1], crops[2])
    assert all(torch.equal(one, other) for one, other in zip(crops, loaded(volumes, workers), strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(crops, loaded(volumes, workers, seed=1), strict=True))


def test_what_precedes_the_first_random_step_is_computed_once(volumes, tmp_path):
    image = np.zeros((9, 9, 9), np.int16)
    folder = own(tmp_path, image, image.astype(np.uint8))
    held, read = dataset(folder), dataset(folder, cache_rate=0.0)
    (folder / 'image.nii.gz').unlink()
    assert held[0]['inputs'].shape == (1, 1, 9, 9, 9)
    with pytest.raises(BrokenFileError, match='image.nii.gz'):
        read[0]


@pytest.mark.parametrize(
    'image, labels, words',
    [
        (np.zeros((2, 2, 2), np.int16), np.zeros((2, 2, 3), np.uint8), 'voxels along the axes of their image'),
        (np.zeros((2, 2, 2), np.int16), np.full((2, 2, 2), 2, np.uint8), 'hold 2, but there are 2 classes'),
        (np.full((2, 2, 2), np.nan, np.float32), np.zeros((2, 2, 2), np.uint8), 'infinite or NaN'),
    ],
)
def test_faults_of_voxels_are_sentences(tmp_path, image, labels, words):
    with pytest.raises(UserError) as found:
        dataset(own(tmp_path, image, labels))
    assert words in str(found.value)


def test_labels_follow_their_image_where_programs_rounded(tmp_path):
    """15 voxels of 1.0001 mm are 15 of 1 mm, 15 of 1.04 would be 16: each by itself they would differ in size."""
    image = np.arange(15**3, dtype=np.int16).reshape(15, 15, 15)
    own(tmp_path, image, (image % 2).astype(np.uint8))
    affine = np.diag([1 + 2e-3, 1, 1, 1.0])
    nibabel.save(nibabel.Nifti1Image((image % 2).astype(np.uint8), affine), tmp_path / 'label.nii.gz')
    step = dict(type='MonaiTransform', name='Spacingd', keys=('image', 'label'), pixdim=(0.0303, 1, 1))
    sample = dataset(tmp_path, [LOAD, dict(step, mode=('bilinear', 'nearest'))])[0]
    assert sample['inputs'].shape == sample['data_samples'].label.shape


@pytest.mark.parametrize('size', [(40, 72, 72), (70, 20, 3)])
def test_the_quickstart_fills_what_is_smaller_than_a_crop_in_testing_too(tmp_path, size):
    config = read_config_file(str(QUICKSTART))
    image = np.full(size, 100, np.int16)
    folder = own(tmp_path, image, np.ones(size, np.uint8))
    for part in ('train', 'val'):
        settings = config[f'{part}_dataloader'].dataset
        settings.update(data_root=str(folder), metainfo=dict(classes=('none', 'some')), data_list_key='training')
        settings.pop('type')
        sample = VolumeDataset(**settings)[0]
        assert all(side >= least for side, least in zip(sample['inputs'].shape[2:], (32, 64, 64), strict=True))
        filled = sample['data_samples'].label == 0
        assert filled.any() and sample['inputs'][filled].max() < 1e-6
        assert sample['inputs'][~filled].min() > 0.5


def test_volumes_without_named_classes_are_refused(volumes, tmp_path):
    image = np.zeros((2, 2, 2), np.int16)
    folder = own(tmp_path, image, image.astype(np.uint8))
    (folder / 'dataset.json').write_text(json.dumps(dict(training=[dict(image='image.nii.gz', label='label.nii.gz')])))
    with pytest.raises(UserError, match='classes of the labels are not named'):
        dataset(folder)
    assert dataset(folder, metainfo=dict(classes=('none', 'some'))).metainfo['classes'] == ('none', 'some')
    assert 'label' not in dataset(folder, with_label=False)[0]['data_samples']


@pytest.mark.parametrize(
    'step, words',
    [
        (dict(name='Spacing'), 'did you mean Spacingd?'),
        (dict(name='Lambdad', keys='image', func=print), 'not one of its dictionary transforms that crop, pad'),
        (dict(name='LoadImaged', keys='image'), 'not one of its dictionary transforms that crop, pad'),
        (dict(name='Spacingd', keys='image', spacing=1), "'Spacingd' does not accept its settings"),
    ],
)
def test_steps_that_are_none_are_refused(step, words):
    with pytest.raises(UserError) as found:
        TRANSFORMS.build(dict(step, type='MonaiTransform'))
    assert words in str(found.value)


def test_a_step_that_fails_is_told(volumes):
    step = dict(type='MonaiTransform', name='RandSpatialCropd', keys=('image', 'mask'), roi_size=(8, 8, 8))
    with pytest.raises(UserError, match='A step of the pipeline of volumes fails: KeyError: .*mask'):
        dataset(volumes, [LOAD, step])[0]


def test_one_volume_is_one_view(volumes):
    sample = packed(dataset(volumes).prepared[0])
    assert sample['inputs'].shape == (1, 1, 40, 72, 72)
    assert sample['data_samples'].image_path.endswith('train_001.nii.gz')


def modalities(folder, *files, label=None):
    """A list of one volume whose channels are files of voxels and affine."""
    names = [f'{number}.nii.gz' for number in range(len(files))]
    for name, (voxels, affine) in zip(names, files, strict=True):
        save(folder / name, voxels, affine)
    label = np.zeros(files[0][0].shape[:3], np.uint8) if label is None else label
    save(folder / 'label.nii.gz', label, files[0][1])
    labels = {'0': 'none', '1': 'some'}
    write_list(folder / 'dataset.json', labels=labels, training=[dict(image=names, label='label.nii.gz')])
    return folder


@pytest.fixture
def body():
    """A smooth one, whose linear interpolation is exact: each intensity is a sum of its coordinates."""
    x, y, z = np.meshgrid(np.arange(8), np.arange(6), np.arange(4), indexing='ij')
    return (10 + 3 * x + 5 * y + 7 * z).astype(np.float32)


@pytest.mark.parametrize('axes', [(), (0,), (2,), (0, 1), (0, 1, 2)])
def test_files_from_other_sides_are_joined_at_the_voxels_of_the_first(tmp_path, body, axes):
    folder = modalities(tmp_path, (body, AFFINE), flipped(2 * body, axes))
    found = dataset(folder).prepared[0]
    np.testing.assert_allclose(found['image'].numpy(), [body, 2 * body], rtol=1e-5)
    np.testing.assert_array_equal(found['image'].affine.numpy(), AFFINE)


def test_files_of_exchanged_axes_are_joined_at_the_voxels_of_the_first(tmp_path, body):
    exchanged = AFFINE[:, [2, 0, 1, 3]]
    folder = modalities(tmp_path, (body, AFFINE), (body.transpose(2, 0, 1).copy(), exchanged))
    np.testing.assert_allclose(dataset(folder).prepared[0]['image'].numpy(), [body, body], rtol=1e-5)


def test_finer_voxels_are_interpolated(tmp_path, body):
    """By half voxels from one corner to the other."""
    x, y, z = np.meshgrid(np.arange(15) / 2, np.arange(11) / 2, np.arange(7) / 2, indexing='ij')
    finer = (10 + 3 * x + 5 * y + 7 * z).astype(np.float32)
    folder = modalities(tmp_path, (body, AFFINE), (finer, AFFINE @ np.diag([0.5, 0.5, 0.5, 1])))
    np.testing.assert_allclose(dataset(folder).prepared[0]['image'].numpy(), [body, body], rtol=1e-5)


def test_where_a_file_has_nothing_is_its_lowest_intensity(tmp_path, body):
    beside = AFFINE.copy()
    beside[0, 3] = 2 * AFFINE[0, 0]
    folder = modalities(tmp_path, (body, AFFINE), (body - 100, beside))
    _, other = dataset(folder).prepared[0]['image'].numpy()
    np.testing.assert_allclose(other[2:], body[:-2] - 100, rtol=1e-5)
    np.testing.assert_allclose(other[:2], (body - 100).min(), rtol=1e-5)


def test_channels_of_several_files_are_one_after_the_other(tmp_path, body):
    folder = modalities(tmp_path, (np.stack([body, body + 1], -1), AFFINE), (body + 2, AFFINE))
    found = dataset(folder, channels=3).prepared[0]['image'].numpy()
    np.testing.assert_allclose(found, [body, body + 1, body + 2])


@pytest.mark.parametrize('channels', [1, 3])
def test_volumes_of_other_channels_are_refused(tmp_path, body, channels):
    folder = modalities(tmp_path, (body, AFFINE), (body, AFFINE))
    with pytest.raises(UserError, match=f'has 2 channels in 2 files, but the model takes {channels}'):
        dataset(folder, channels=channels)


def test_voxels_of_any_file_must_be_numbers(tmp_path, body):
    folder = modalities(tmp_path, (body, AFFINE), (body * np.float32(np.nan), AFFINE))
    with pytest.raises(UserError, match=r"1.nii.gz' has 192 voxels that are infinite or NaN"):
        dataset(folder)


def test_labels_are_those_of_the_first_file(tmp_path, body):
    label = (body > 40).astype(np.uint8)
    folder = modalities(tmp_path, flipped(body), (body, AFFINE), label=flipped(label)[0])
    found = dataset(folder).prepared[0]
    np.testing.assert_array_equal(found['label'].numpy()[0], flipped(label)[0])
    np.testing.assert_allclose(found['image'].numpy()[1], flipped(body)[0], rtol=1e-5)


@pytest.mark.parametrize('fold, trained, validated', [(0, ['1', '2'], ['0']), (2, ['0', '1'], ['2'])])
def test_a_fold_is_validated_on_and_the_others_trained_on(tmp_path, fold, trained, validated):
    entries = []
    for number in range(3):
        save(tmp_path / f'{number}.nii.gz', np.full((2, 2, 2), number, np.int16))
        save(tmp_path / f'{number}_seg.nii.gz', np.zeros((2, 2, 2), np.uint8))
        entries.append(dict(fold=number, image=[f'{number}.nii.gz'], label=f'{number}_seg.nii.gz'))
    write_list(tmp_path / 'dataset.json', labels={'0': 'none', '1': 'some'}, training=entries)
    for key, expected in (('training', trained), ('validation', validated)):
        found = dataset(tmp_path, data_list_key=key, fold=fold)
        assert [str(int(found[number]['inputs'].max())) for number in range(len(found))] == expected


def prepared_by_config(folder, **settings):
    """The volume as the shipped config prepares it for testing."""
    path = folder / 'mine.py'
    lines = [f'{name} = {value!r}' for name, value in settings.items()]
    path.write_text('\n'.join(["_base_ = 'hiera_mm::unetr_hiera_t_btcv.py'", f"data_root = '{folder}/'", *lines]))
    config = read_config(str(path))
    part = config.val_dataloader.dataset
    part.update(ann_file='dataset.json', data_list_key='training', metainfo=None)
    part.pop('type')
    sample = VolumeDataset(**part)[0]
    with in_scope(config):
        preprocessor = MODELS.build(config.model.data_preprocessor)
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    return preprocessor(batch)['inputs'][0, 0]


def test_each_modality_is_normalised_by_its_kind(tmp_path):
    """CT by its window, MRI by the deviation of its body, others by their percentiles; seen by the model as numbers
    around 0 with a deviation of about 1."""
    random = np.random.default_rng(0)
    inside = np.zeros((40, 36, 16), bool)
    inside[4:36, 2:30, :] = True
    ct = np.where(inside, random.uniform(-150, 230, inside.shape), -1000).astype(np.float32)
    mri = np.where(inside, random.gamma(2.0, 300, inside.shape) + 1, 0).astype(np.float32)
    pet = np.where(inside, random.gamma(2.0, 3e-3, inside.shape), 0).astype(np.float32)
    folder = modalities(tmp_path, *((voxels, np.eye(4)) for voxels in (ct, mri, pet)))
    found = prepared_by_config(
        folder,
        channels=3,
        intensity_range=[(-175, 250), 'zscore', None],
        spacing=(1.0, 1.0, 1.0),
        crop_size=(32, 32, 16),
    )
    # Cut to the body, filled up to a crop at its end, slices first.
    body = (slice(4, 36), slice(2, 30), slice(None))
    assert found.shape == (3, 16, 32, 32)
    low, high = np.percentile(pet, (1, 99))
    wanted = [
        ((ct[body] + 175) / 425 - 0.45) / 0.225,
        (mri[body] - mri[inside].mean()) / mri[inside].std(),
        (np.clip((pet[body] - low) / (high - low), 0, 1) - 0.45) / 0.225,
    ]
    for channel, expected in zip(found.numpy().transpose(0, 3, 2, 1), wanted, strict=True):
        filled = channel[:, 2:30]
        np.testing.assert_allclose(filled, expected, atol=2e-3)


def test_one_kind_is_for_all_channels(tmp_path, body):
    folder = modalities(tmp_path, (body, np.eye(4)), (7 * body, np.eye(4)))
    found = prepared_by_config(
        folder, channels=2, intensity_range='zscore', spacing=(1.0, 1.0, 1.0), crop_size=(32, 32, 4)
    )
    one, other = found.numpy()
    np.testing.assert_allclose(one, other, atol=1e-4)
    seen = one[one != 0]
    assert abs(seen.mean()) < 1e-4 and seen.std() == pytest.approx(1, abs=1e-3)
