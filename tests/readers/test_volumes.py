"""Lists of volumes and NIfTI files: what is wrong is told with file, key and remedy."""

import json
import shutil

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.volumes import (
    VolumePair,
    check_alignment,
    check_finite,
    check_label_values,
    file_affine,
    read_header,
    read_volume_list,
)

import nibabel
import numpy as np
import pytest


def save(path, voxels, affine=None):
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.5, 1.5, 2, 1]) if affine is None else affine), path)
    return str(path)


@pytest.fixture
def listed(tmp_path):
    """``listed(content)`` writes a list beside one volume and gives its path."""
    save(tmp_path / 'image.nii.gz', np.zeros((4, 5, 6), np.int16))
    shutil.copy(tmp_path / 'image.nii.gz', tmp_path / 'label.nii.gz')

    def write(content):
        path = tmp_path / 'dataset.json'
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


ENTRY = dict(image='image.nii.gz', label='label.nii.gz')


@pytest.mark.parametrize(
    'labels',
    [{'0': 'background', '1': 'liver'}, {'background': 0, 'liver': 1}, {'1': 'liver', '0': 'background'}],
    ids=['decathlon', 'nnU-Net', 'another order'],
)
def test_pairs_and_classes_of_either_format(listed, labels):
    path = listed(dict(labels=labels, training=[ENTRY], test=['./image.nii.gz']))
    found = read_volume_list(path, 'training', with_labels=True)
    assert found.pairs == [VolumePair(str(path.parent / 'image.nii.gz'), str(path.parent / 'label.nii.gz'))]
    assert found.classes == ['background', 'liver']
    assert read_volume_list(path, 'test', with_labels=False).pairs[0].label is None


@pytest.mark.parametrize(
    'content, words',
    [
        ('{', "dataset.json' can't be read"),
        ([], "has no 'training' (its lists are: none)"),
        (dict(validation=[ENTRY]), "has no 'training' (its lists are: validation)"),
        (dict(training=[]), "has no 'training'"),
        (dict(training=['image.nii.gz']), 'it needs the path of one file as "label"'),
        (dict(training=[dict(ENTRY, image=['image.nii.gz'])]), 'it needs the path of one file as "image"'),
        (dict(training=[7]), 'it needs the path of one file as "image"'),
        (dict(training=[dict(ENTRY, label='other.nii.gz')]), "names 'other.nii.gz', which does not exist in"),
        (dict(training=[ENTRY], labels={'1': 'liver', '2': 'spleen'}), 'must name every number from 0 on'),
        (dict(training=[ENTRY], labels=['liver']), 'must name every number from 0 on'),
        (dict(training=[ENTRY], labels={'background': 0, 'liver': [1, 2]}), 'must name every number from 0 on'),
    ],
)
def test_faults_of_a_list_are_sentences(listed, content, words):
    with pytest.raises(UserError) as found:
        read_volume_list(listed(content), 'training', with_labels=True)
    assert words in str(found.value)


def test_a_list_that_is_missing_is_told(tmp_path):
    with pytest.raises(UserError, match="none.json' can't be read"):
        read_volume_list(tmp_path / 'none.json', 'training', with_labels=True)


@pytest.mark.parametrize('content', [b'', b'no volume', None], ids=['empty', 'text', 'cut off'])
def test_a_file_that_is_no_volume_is_told(tmp_path, content):
    path = tmp_path / 'image.nii.gz'
    save(path, np.zeros((4, 5, 6), np.int16))
    path.write_bytes(path.read_bytes()[:40] if content is None else content)
    with pytest.raises(BrokenFileError, match='image.nii.gz'):
        read_header(path)


@pytest.mark.parametrize('shape', [(8, 9), (4, 5, 6, 1, 3)])
def test_a_picture_or_more_than_a_volume_is_told(tmp_path, shape):
    path = save(tmp_path / 'image.nii.gz', np.zeros(shape, np.int16), np.eye(4))
    with pytest.raises(BrokenFileError, match='is not a volume: it has'):
        check_alignment(VolumePair(path, None))


def turned():
    """The axes of the identity with x and y exchanged."""
    return np.array([[0, 1.5, 0, 0], [1.5, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    'shape, affine, words',
    [
        ((4, 5, 7), None, 'have (4, 5, 7) voxels'),
        ((4, 5, 6, 2), None, 'have (4, 5, 6, 2) voxels'),
        ((4, 5, 6), np.diag([-1.5, 1.5, 2, 1]), 'mm away from their image'),
        ((4, 5, 6), np.diag([1.5, 1.5, 2.2, 1]), 'mm away from their image'),
        ((4, 5, 6), np.eye(4), 'mm away from their image'),
        ((4, 5, 6), turned(), 'have (5, 4, 6) voxels along the axes'),
    ],
    ids=['more slices', 'two channels', 'left for right', 'other spacing', 'no place', 'turned'],
)
def test_labels_beside_their_image_are_refused(tmp_path, shape, affine, words):
    image = save(tmp_path / 'image.nii.gz', np.zeros((4, 5, 6), np.int16))
    label = save(tmp_path / 'label.nii.gz', np.zeros(shape, np.uint8), affine)
    with pytest.raises(UserError) as found:
        check_alignment(VolumePair(image, label))
    assert words in str(found.value) and 'resample the labels to the image' in str(found.value)


def test_rounding_and_an_axis_of_one_are_no_fault(tmp_path):
    image = save(tmp_path / 'image.nii.gz', np.zeros((4, 5, 6, 3), np.int16))
    affine = np.diag([1.5, 1.5, 2, 1]) + 1e-4
    check_alignment(VolumePair(image, save(tmp_path / 'label.nii.gz', np.zeros((4, 5, 6, 1), np.uint8), affine)))


@pytest.mark.parametrize(
    'values, words', [([0, 3], 'hold 3,'), ([0, -1], 'hold -1,'), ([0, 0.5], 'hold 0.5,'), ([0, np.nan], 'hold nan,')]
)
def test_labels_that_no_class_has_are_refused(values, words):
    with pytest.raises(UserError) as found:
        check_label_values('label.nii.gz', np.array(values), 3)
    assert words in str(found.value) and '0 to 2' in str(found.value)
    check_label_values('label.nii.gz', np.array([0.0, 2.0]), 3)


@pytest.mark.parametrize('wrong', [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused(wrong):
    with pytest.raises(UserError, match='has 1 voxels that are infinite or NaN'):
        check_finite('image.nii.gz', np.array([0.0, wrong]))


def test_a_unit_of_length_that_nifti_does_not_know_is_told(tmp_path):
    volume = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
    volume.header['xyzt_units'] = 6
    nibabel.save(volume, tmp_path / 'odd.nii.gz')
    with pytest.raises(BrokenFileError, match="The volume '.*odd.nii.gz' can't be read"):
        read_header(tmp_path / 'odd.nii.gz')


@pytest.mark.parametrize(('unit', 'millimetres'), [('mm', 1), ('micron', 1e-3), ('meter', 1e3), ('unknown', 1)])
def test_places_are_in_millimetres_whatever_the_unit(tmp_path, unit, millimetres):
    volume = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.diag([2.0, 2, 2, 1]))
    volume.header.set_xyzt_units(unit)
    nibabel.save(volume, tmp_path / 'v.nii.gz')
    header = read_header(tmp_path / 'v.nii.gz')
    np.testing.assert_allclose(np.diag(header.affine), [2 * millimetres] * 3 + [1])
    np.testing.assert_allclose(file_affine(header), np.diag([2.0, 2, 2, 1]))
