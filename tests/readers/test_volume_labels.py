"""Names and numbers of the classes of volumes: each voxel has one class, and nothing is guessed."""

from hiera_mm.errors import UserError
from hiera_mm.readers.volume_labels import check_all_named, check_label_values, check_one_number, names_by_number

import numpy as np
import pytest


@pytest.mark.parametrize(
    'labels, names',
    [
        ({'0': 'background', '1': 'liver'}, {0: 'background', 1: 'liver'}),
        ({'1': 'liver', '0': 'background'}, {0: 'background', 1: 'liver'}),
        ({'background': 0, 'liver': 1}, {0: 'background', 1: 'liver'}),
        ({'background': '0', 'liver': '1'}, {0: 'background', 1: 'liver'}),
        ({'background': 0, 'liver': [1]}, {0: 'background', 1: 'liver'}),
        ({'0': 'background', '4': 'enhancing'}, {0: 'background', 4: 'enhancing'}),
        ({'background': 0, 'a': 1, 'b': 1}, {}),
        ({'background': 0, 'a': []}, {}),
        ({'background': 0, 'a': 'some'}, {}),
        ({'background': None}, {}),
        (['background', 'liver'], {}),
        (7, {}),
    ],
)
def test_names_of_either_format(labels, names):
    assert names_by_number(labels, 'dataset.json') == names


def test_regions_are_told_with_the_numbers_to_name():
    labels = {'background': 0, 'whole tumor': [1, 2, 3], 'tumor core': [2, 3], 'enhancing tumor': 3}
    with pytest.raises(UserError) as found:
        names_by_number(labels, 'dataset.json')
    said = str(found.value)
    assert 'regions' in said and '(whole tumor: 1, 2, 3; tumor core: 2, 3)' in said
    assert '{"background": 0, "class 1": 1, "class 2": 2, "class 3": 3}' in said


def test_voxels_to_leave_out_are_told():
    with pytest.raises(UserError, match="has 'ignore', the voxels that nnU-Net leaves out"):
        names_by_number({'background': 0, 'liver': 1, 'ignore': 2}, 'dataset.json')


@pytest.mark.parametrize(
    'names, said',
    [
        ({0: 'background', 1: 'a', 2: 'b', 4: 'c'}, 'without 3; name also the numbers that no voxel has'),
        ({1: 'a', 2: 'b'}, 'without 0; name also'),
        ({}, 'must name every number from 0 on'),
        ({-1: 'a', 0: 'b'}, 'must name every number from 0 on'),
    ],
)
def test_numbers_without_names_are_told(names, said):
    with pytest.raises(UserError, match=said):
        check_all_named(names, names, 'dataset.json')
    check_all_named({0: 'a', 1: 'b'}, {}, 'dataset.json')


@pytest.mark.parametrize('shape, told', [((4, 5, 6), False), ((4, 5, 6, 1), False), ((4, 5, 6, 3), True)])
def test_a_channel_for_each_class_is_told(shape, told):
    if not told:
        check_one_number('label.nii.gz', shape)
        return
    with pytest.raises(UserError) as found:
        check_one_number('label.nii.gz', shape)
    assert "'label.nii.gz' have 3 channels" in str(found.value) and 'AsDiscrete(argmax=True)' in str(found.value)


@pytest.mark.parametrize(
    'values, words',
    [
        ([0, 3], 'hold 3,'),
        ([0, -1], 'hold -1,'),
        ([0, 0.5], 'hold 0.5,'),
        ([0, np.nan], 'hold nan,'),
        ([0, 1, 2, 4], 'hold 4,'),
    ],
)
def test_labels_that_no_class_has_are_refused(values, words):
    with pytest.raises(UserError) as found:
        check_label_values('label.nii.gz', np.array(values), 3)
    assert words in str(found.value) and '0 to 2' in str(found.value)
    check_label_values('label.nii.gz', np.array([0.0, 2.0]), 3)
