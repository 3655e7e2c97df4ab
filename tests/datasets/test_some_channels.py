"""MONAI's transforms of intensities for some channels: what they are for these alone, by numpy, and the others as they
were."""

from hiera_mm.errors import UserError

import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS
from monai.data import MetaTensor

WINDOW = dict(name='ScaleIntensityRanged', a_min=-175, a_max=250, b_min=0.0, b_max=1.0, clip=True)
PERCENTILES = dict(
    name='ScaleIntensityRangePercentilesd', lower=1, upper=99, b_min=0.0, b_max=1.0, clip=True, channel_wise=True
)
ZSCORE = dict(name='NormalizeIntensityd', nonzero=True, channel_wise=True)


def windowed(voxels):
    return np.clip((voxels + 175) / 425, 0, 1)


def by_percentiles(voxels):
    low, high = np.percentile(voxels, (1, 99))
    return np.clip((voxels - low) / (high - low), 0, 1)


def by_deviation(voxels):
    body = voxels[voxels != 0]
    return np.where(voxels != 0, (voxels - body.mean()) / body.std(), 0)


@pytest.fixture
def image():
    random = np.random.default_rng(0)
    voxels = random.normal(100, 200, (3, 6, 7, 8)).astype(np.float32)
    voxels[:, :2] = 0
    return voxels


def applied(settings, image):
    step = TRANSFORMS.build(dict(type='MonaiTransform', keys=('image',), **settings))
    affine = torch.diag(torch.tensor([2.0, 2, 2, 1]))
    return step(dict(image=MetaTensor(torch.from_numpy(image.copy()), affine=affine), source='a'))


@pytest.mark.parametrize('channels', [[0], [2], [0, 2], [2, 1, 0], None])
@pytest.mark.parametrize(
    'settings, expected',
    [(WINDOW, windowed), (PERCENTILES, by_percentiles), (ZSCORE, by_deviation)],
    ids=['window', 'percentiles', 'deviation'],
)
def test_chosen_channels_change_each_by_itself(image, settings, expected, channels):
    found = applied(dict(settings, channels=channels), image)
    changed = range(3) if channels is None else channels
    for number in range(3):
        wanted = expected(image[number].astype(float)) if number in changed else image[number]
        np.testing.assert_allclose(found['image'][number].numpy(), wanted, atol=1e-4)
    assert found['source'] == 'a' and found['image'].affine[0, 0] == 2


def test_the_given_image_stays_as_it_is(image):
    step = TRANSFORMS.build(dict(type='MonaiTransform', keys=('image',), channels=[1], **ZSCORE))
    given = MetaTensor(torch.from_numpy(image.copy()))
    step(dict(image=given))
    np.testing.assert_array_equal(given.numpy(), image)


@pytest.mark.parametrize(
    'settings',
    [
        dict(name='RandScaleIntensityd', factors=0.1),
        dict(name='RandFlipd', spatial_axis=0),
        dict(name='Orientationd', axcodes='RAS', labels=None),
        dict(name='CropForegroundd', source_key='image'),
    ],
)
def test_steps_of_chance_and_of_places_are_for_all_channels(settings):
    with pytest.raises(UserError, match=f'channels = .0. of MONAI.s .{settings["name"]}., but only transforms'):
        TRANSFORMS.build(dict(type='MonaiTransform', keys=('image',), channels=[0], **settings))
