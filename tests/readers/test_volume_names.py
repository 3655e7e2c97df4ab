"""nnU-Net's names of files with one channel each."""

from hiera_mm.readers.volume_names import case_and_channel, files_of_case

import pytest


@pytest.mark.parametrize(
    'name, case, channel',
    [
        ('liver_0000.nii.gz', 'liver.nii.gz', 0),
        ('liver_0012.nii', 'liver.nii', 12),
        ('a_0001_0002.NII.GZ', 'a_0001.NII.GZ', 2),
        ('liver.nii.gz', 'liver.nii.gz', None),
        ('liver_000.nii.gz', 'liver_000.nii.gz', None),
        ('liver_00000.nii.gz', 'liver_00000.nii.gz', None),
        ('liver0000.nii.gz', 'liver0000.nii.gz', None),
        ('liver_0000.json', 'liver_0000.json', None),
    ],
)
def test_case_and_channel_of_a_name(name, case, channel):
    assert case_and_channel(name) == (case, channel)


def test_the_files_of_a_case_are_in_the_order_of_channels(tmp_path):
    for name in ('a_0010.nii.gz', 'a_0002.nii.gz', 'a_0000.nii.gz', 'ab_0001.nii.gz', 'a_0001.nii', 'a_b_0003.nii.gz'):
        (tmp_path / name).touch()
    found = files_of_case(tmp_path / 'a.nii.gz')
    assert [path.name for path in found] == ['a_0000.nii.gz', 'a_0002.nii.gz', 'a_0010.nii.gz']
    assert files_of_case(tmp_path / 'none' / 'a.nii.gz') == files_of_case(tmp_path / 'c.nii.gz') == []
