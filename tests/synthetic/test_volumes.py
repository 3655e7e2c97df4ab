"""The generated volumes: the same each time, with labels where the objects are, and nothing that brightness tells."""

import json

from hiera_mm.errors import UserError
from hiera_mm.synthetic.volumes import NAMES, draw_volume, make_volume_shapes

import nibabel
import numpy as np
import pytest


def read(path):
    return np.asarray(nibabel.load(path).dataobj)


def test_the_same_arguments_give_the_same_voxels(tmp_path):
    for name in ('a', 'b'):
        make_volume_shapes(tmp_path / name, train=2, val=1)
    files = sorted(path.relative_to(tmp_path / 'a') for path in (tmp_path / 'a').rglob('*.nii.gz'))
    assert len(files) == 6
    for file in files:
        np.testing.assert_array_equal(read(tmp_path / 'a' / file), read(tmp_path / 'b' / file))


def test_the_list_is_in_the_decathlons_format_and_sides_differ(tmp_path):
    make_volume_shapes(tmp_path / 'set', train=6, val=2)
    listed = json.loads((tmp_path / 'set/dataset.json').read_text())
    assert listed['labels'] == {'0': 'background', '1': 'ellipsoid', '2': 'tube'}
    assert [len(listed[part]) for part in ('training', 'validation')] == [6, 2]
    sides = {nibabel.load(tmp_path / 'set' / entry['image']).affine[0, 0] for entry in listed['training']}
    assert sides == {1.5, -1.5}


def test_objects_are_brighter_than_the_rest_and_alike():
    random = np.random.default_rng(0)
    means = {number: [] for number in range(len(NAMES))}
    for _ in range(12):
        image, labels = draw_volume(random)
        for number in np.unique(labels):
            means[number].append(image[labels == number].mean())
    assert len(means[1]) == len(means[2]) == 12
    assert max(means[0]) < min(means[1] + means[2])
    assert abs(np.mean(means[1]) - np.mean(means[2])) < 25


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / 'mine.txt').write_text('kept')
    with pytest.raises(UserError, match='something other'):
        make_volume_shapes(tmp_path)
    assert (tmp_path / 'mine.txt').read_text() == 'kept'
