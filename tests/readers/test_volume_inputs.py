"""Volumes of several files that predictions are asked for: files of one case belong together, or a list says so."""

from hiera_mm.errors import UserError
from hiera_mm.readers.volume_inputs import find_volume_inputs, volume_pair

import numpy as np
import pytest

from tests.volume_files import save, write_list


@pytest.fixture
def folder(tmp_path):
    """Three cases of nnU-Net, one of them without its second channel, and a volume of two channels in one file."""
    for name in ('a_0000', 'a_0001', 'deep/a_0000', 'deep/a_0001', 'b_0000', 'c_0001', 'c_0000', 't1'):
        save(tmp_path / f'{name}.nii.gz', np.zeros((4, 4, 4), np.int16))
    for name in ('whole_0000', 'whole_0001'):
        save(tmp_path / f'{name}.nii.gz', np.zeros((4, 4, 4, 2), np.int16))
    (tmp_path / 'broken_0000.nii.gz').write_text('none')
    return tmp_path


def found(given, channels, folder):
    inputs = find_volume_inputs([str(text) for text in given], channels)
    root = f'{folder}/'
    return {entry.name: tuple(file.removeprefix(root) for file in volume_pair(entry).images) for entry in inputs}


def test_files_of_a_case_are_one_volume_of_a_model_of_as_many_channels(folder):
    assert found([folder], 2, folder) == {
        'a.nii.gz': ('a_0000.nii.gz', 'a_0001.nii.gz'),
        'b_0000.nii.gz': ('b_0000.nii.gz',),
        'broken_0000.nii.gz': ('broken_0000.nii.gz',),
        'c.nii.gz': ('c_0000.nii.gz', 'c_0001.nii.gz'),
        'deep/a.nii.gz': ('deep/a_0000.nii.gz', 'deep/a_0001.nii.gz'),
        't1.nii.gz': ('t1.nii.gz',),
        'whole_0000.nii.gz': ('whole_0000.nii.gz',),
        'whole_0001.nii.gz': ('whole_0001.nii.gz',),
    }


@pytest.mark.parametrize('channels', [1, 3])
def test_models_of_other_channels_get_each_file(folder, channels):
    """A model of three channels refuses them by itself, with their names."""
    assert all(len(files) == 1 for files in found([folder], channels, folder).values())


def test_a_change_of_any_file_makes_the_volume_new(folder):
    (entry,) = find_volume_inputs([f'{folder}/a_*.nii.gz'], 2)
    before = entry.version
    (folder / 'a_0001.nii.gz').write_bytes((folder / 'a_0001.nii.gz').read_bytes() + b'0')
    assert entry.version != before and len(entry.version) == 4
    (folder / 'a_0001.nii.gz').unlink()
    assert entry.version is None


ENTRIES = [dict(image=['t1.nii.gz', 'a_0000.nii.gz']), dict(image='c.nii.gz')]
EXPECTED = {'t1.nii.gz': ('t1.nii.gz', 'a_0000.nii.gz'), 'c.nii.gz': ('c_0000.nii.gz', 'c_0001.nii.gz')}


@pytest.mark.parametrize(
    'content',
    [
        dict(test=ENTRIES),
        dict(testing=ENTRIES),
        dict(training=[dict(image='gone.nii.gz')], test=ENTRIES),
        dict(validation=ENTRIES),
    ],
)
def test_a_list_says_which_files_belong_together(folder, content):
    path = write_list(folder / 'dataset.json', **content)
    assert found([path], 2, folder) == EXPECTED
    assert found([path, folder / 'b_0000.nii.gz'], 2, folder) == EXPECTED | {'b_0000.nii.gz': ('b_0000.nii.gz',)}


@pytest.mark.parametrize(
    'content, said',
    [
        (dict(training=ENTRIES, validation=ENTRIES), "it has no 'test', but training, validation"),
        (dict(labels={'0': 'a'}), "it has no 'test', but nothing"),
        (dict(test=[dict(image=['gone.nii.gz'])]), "names 'gone.nii.gz', which does not exist"),
    ],
)
def test_lists_that_do_not_say_it_are_refused(folder, content, said):
    with pytest.raises(UserError, match=said):
        find_volume_inputs([str(write_list(folder / 'dataset.json', **content))], 2)


def test_two_volumes_of_one_name_are_refused(folder):
    save(folder / 'a.nii.gz', np.zeros((4, 4, 4, 2), np.int16))
    with pytest.raises(UserError, match='would be written to the same place'):
        find_volume_inputs([str(folder)], 2)
