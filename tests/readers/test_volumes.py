"""NIfTI files: what is wrong is told with file and remedy, and places are in millimetres."""

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.volumes import check_finite, file_affine, read_header

import nibabel
import numpy as np
import pytest

from tests.volume_files import save


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
        read_header(path)


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
