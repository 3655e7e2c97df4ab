"""Files of one volume: those that show the same place belong together, others are refused with both names."""

from hiera_mm.errors import UserError
from hiera_mm.readers.listed_volumes import VolumePair
from hiera_mm.readers.volume_grids import channel_count, check_alignment, check_channels, same_grid

import numpy as np
import pytest

from tests.volume_files import AFFINE, flipped, save

SHAPE = (4, 5, 6)


@pytest.fixture
def image(tmp_path):
    return save(tmp_path / 'image.nii.gz', np.zeros(SHAPE, np.int16))


def exchanged():
    """The axes of the identity with x and y exchanged."""
    return np.array([[0, 1.5, 0, 0], [1.5, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    'shape, affine, words',
    [
        ((4, 5, 7), AFFINE, 'have (4, 5, 7) voxels'),
        (SHAPE, np.diag([-1.5, 1.5, 2, 1]), 'mm away from their image'),
        (SHAPE, np.diag([1.5, 1.5, 2.2, 1]), 'mm away from their image'),
        (SHAPE, np.eye(4), 'mm away from their image'),
        (SHAPE, exchanged(), 'have (5, 4, 6) voxels along the axes'),
    ],
    ids=['more slices', 'left for right', 'other spacing', 'no place', 'turned'],
)
def test_labels_beside_their_image_are_refused(tmp_path, image, shape, affine, words):
    label = save(tmp_path / 'label.nii.gz', np.zeros(shape, np.uint8), affine)
    with pytest.raises(UserError) as found:
        check_alignment(VolumePair((image,), label))
    assert words in str(found.value) and 'resample the labels to the image' in str(found.value)


def test_a_channel_for_each_class_is_no_label(tmp_path, image):
    label = save(tmp_path / 'label.nii.gz', np.zeros((*SHAPE, 2), np.uint8))
    with pytest.raises(UserError, match='have 2 channels, but labels are one number for each voxel'):
        check_alignment(VolumePair((image,), label))


def test_rounding_and_an_axis_of_one_are_no_fault(tmp_path):
    image = save(tmp_path / 'image.nii.gz', np.zeros((*SHAPE, 3), np.int16))
    label = save(tmp_path / 'label.nii.gz', np.zeros((*SHAPE, 1), np.uint8), AFFINE + 1e-4)
    assert channel_count(check_alignment(VolumePair((image,), label))) == 3


def moved(millimetres):
    affine = AFFINE.copy()
    affine[:3, 3] = millimetres
    return affine


@pytest.mark.parametrize(
    'shape, affine, same',
    [
        (SHAPE, AFFINE, True),
        (SHAPE, AFFINE + 1e-4, True),
        (SHAPE, flipped(np.zeros(SHAPE))[1], False),
        (SHAPE, moved((1.5, 0, 0)), False),
        ((8, 10, 12), np.diag([0.75, 0.75, 1, 1]), False),
        ((*SHAPE, 2), AFFINE, True),
    ],
    ids=['same', 'rounded', 'from the other side', 'one voxel aside', 'finer', 'two channels'],
)
def test_files_of_one_place_belong_together(tmp_path, image, shape, affine, same):
    other = save(tmp_path / 'other.nii.gz', np.zeros(shape, np.int16), affine)
    first, second = check_alignment(VolumePair((image, other), None))
    assert same_grid(first, second) is same


@pytest.mark.parametrize(
    'affine',
    [moved((100, 0, 0)), np.diag([-1.5, 1.5, 2, 1]), np.diag([0.5, 1.5, 2, 1])],
    ids=['elsewhere', 'left for right', 'smaller'],
)
def test_files_of_other_places_are_refused_with_both_names(tmp_path, image, affine):
    other = save(tmp_path / 'other.nii.gz', np.zeros(SHAPE, np.int16), affine)
    with pytest.raises(UserError) as found:
        check_alignment(VolumePair((image, other), None))
    said = str(found.value)
    assert image in said and other in said and 'covers' in said and 'registering' in said


@pytest.mark.parametrize('count, told', [(1, True), (2, True), (3, False), (4, True)])
def test_another_number_of_channels_is_told(tmp_path, image, count, told):
    other = save(tmp_path / 'other.nii.gz', np.zeros((*SHAPE, 2), np.int16))
    pair = VolumePair((image, other), None)
    headers = check_alignment(pair)
    if not told:
        check_channels(pair, headers, count)
        return
    with pytest.raises(UserError, match=f'has 3 channels in 2 files, but the model takes {count} .channels in its'):
        check_channels(pair, headers, count)
