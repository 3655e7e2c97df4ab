"""Lists of volumes as MONAI's tutorials, the Decathlon and nnU-Net have them: what they name, and what is wrong."""

import json

from hiera_mm.errors import UserError
from hiera_mm.readers.listed_volumes import VolumePair, folds_of, read_content, read_volume_list

import numpy as np
import pytest

from tests.volume_files import save

FILES = (
    *('image.nii.gz', 'label.nii.gz', 'flair.nii.gz', 't1ce.nii.gz'),
    *('imagesTr/a_0000.nii.gz', 'imagesTr/a_0001.nii.gz'),
    *('imagesTr/b.nii.gz', 'labelsTr/a.nii.gz', 'labelsTr/b.nii.gz', 'imagesTs/c.nii.gz', 'imagesTs/d.nii.gz'),
)
ENTRY = dict(image='image.nii.gz', label='label.nii.gz')
TWO = dict(image=['flair.nii.gz', 't1ce.nii.gz'], label='label.nii.gz')
NAMED = {'0': 'background', '1': 'liver'}
B = dict(image='./imagesTr/b.nii.gz', label='./labelsTr/b.nii.gz')


@pytest.fixture
def listed(tmp_path):
    """``listed(content)`` writes a list beside volumes and gives its path."""
    for name in FILES:
        save(tmp_path / name, np.zeros((4, 5, 6), np.int16))

    def write(content):
        path = tmp_path / 'dataset.json'
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def names(path, part='training', fold=None):
    """The files of each volume, relative to the list's folder."""
    pairs = read_volume_list(path, part, part != 'test', fold).pairs
    root = f'{path.parent}/'
    return [tuple(str(file).removeprefix(root) for file in (*pair.images, pair.label) if file) for pair in pairs]


DECATHLON = dict(
    name='Liver',
    description='',
    reference='',
    licence='',
    tensorImageSize='3D',
    modality={'0': 'CT'},
    labels=NAMED,
    numTraining=1,
    numTest=2,
    training=[B],
    test=['./imagesTs/c.nii.gz', './imagesTs/d.nii.gz'],
)
BRATS = dict(
    training=[
        dict(fold=0, image=['flair.nii.gz', 't1ce.nii.gz'], label='label.nii.gz'),
        dict(fold=1, image=['imagesTr/a_0000.nii.gz', 'imagesTr/a_0001.nii.gz'], label='labelsTr/a.nii.gz'),
    ]
)
"""As ``brats21_folds.json`` of Swin UNETR."""
FLAIR = ('flair.nii.gz', 't1ce.nii.gz', 'label.nii.gz')
A = ('imagesTr/a_0000.nii.gz', 'imagesTr/a_0001.nii.gz', 'labelsTr/a.nii.gz')


@pytest.mark.parametrize(
    'content, part, fold, expected',
    [
        (DECATHLON, 'training', None, [('imagesTr/b.nii.gz', 'labelsTr/b.nii.gz')]),
        (DECATHLON, 'test', None, [('imagesTs/c.nii.gz',), ('imagesTs/d.nii.gz',)]),
        (DECATHLON, 'test', 0, [('imagesTs/c.nii.gz',), ('imagesTs/d.nii.gz',)]),
        (dict(training=[ENTRY], validation=[TWO], test=[]), 'validation', None, [FLAIR]),
        (dict(training=[ENTRY], test=[dict(image='imagesTs/c.nii.gz')]), 'test', None, [('imagesTs/c.nii.gz',)]),
        (dict(test=[['flair.nii.gz', 't1ce.nii.gz']]), 'test', None, [FLAIR[:2]]),
        (BRATS, 'training', None, [FLAIR, A]),
        (BRATS, 'training', 0, [A]),
        (BRATS, 'validation', 0, [FLAIR]),
        (BRATS, 'validation', 1, [A]),
        (
            dict(training=[dict(image='./imagesTr/a.nii.gz', label='./labelsTr/a.nii.gz')]),
            'training',
            None,
            [A],
        ),
        (dict(training=[dict(ENTRY, image=['image.nii.gz'])]), 'training', None, [('image.nii.gz', 'label.nii.gz')]),
    ],
    ids=[
        'Decathlon',
        'paths alone',
        'a test part has no folds',
        'MONAI, three parts',
        'MONAI, a test part of dicts',
        'lists of files alone',
        'all folds',
        'all but a fold',
        'a fold',
        'another fold',
        "nnU-Net's first version names cases",
        'a list of one file is the file',
    ],
)
def test_lists_of_other_programs_are_read(listed, content, part, fold, expected):
    assert names(listed(content), part, fold) == expected


def test_a_list_of_one_file_is_the_file(listed):
    found = read_volume_list(listed(dict(training=[dict(ENTRY, image=['image.nii.gz'])])), 'training', True).pairs
    assert found == read_volume_list(listed(dict(training=[ENTRY])), 'training', True).pairs
    assert isinstance(found[0], VolumePair)


@pytest.mark.parametrize(
    'labels',
    [NAMED, {'background': 0, 'liver': 1}, {'1': 'liver', '0': 'background'}],
    ids=['by number', 'by name', 'another order'],
)
def test_classes_of_either_format(listed, labels):
    path = listed(dict(labels=labels, training=[ENTRY]))
    assert read_volume_list(path, 'training', with_labels=True).classes == ['background', 'liver']
    assert read_volume_list(listed(dict(training=[ENTRY])), 'training', with_labels=True).classes is None


ONE_FOLD = dict(training=[dict(ENTRY, fold=0)])


@pytest.mark.parametrize(
    'content, words',
    [
        ('{', "dataset.json' can't be read"),
        ([], "has no 'training' (its lists are: none)"),
        (dict(validation=[ENTRY]), "has no 'training' (its lists are: validation)"),
        (dict(training=[]), "has no 'training'"),
        (dict(training={'a': 1}), "has no 'training'"),
        (dict(training=['image.nii.gz']), 'it needs the path of one file as "label"'),
        (dict(training=[dict(ENTRY, label=['label.nii.gz'])]), 'it needs the path of one file as "label"'),
        (dict(training=[dict(image='image.nii.gz')]), 'it needs the path of one file as "label"'),
        (dict(training=[7]), 'it needs the path of one file as "image", or a list of files'),
        (dict(training=[dict(label='label.nii.gz')]), 'it needs the path of one file as "image", or a list of files'),
        (dict(training=[dict(ENTRY, image=[])]), 'it needs the path of one file as "image", or a list of files'),
        (dict(training=[dict(TWO, image=['flair.nii.gz', None])]), 'it needs the path of one file as "image"'),
        (dict(training=[dict(TWO, image=[['flair.nii.gz']])]), 'it needs the path of one file as "image"'),
        (dict(training=[dict(TWO, image=['flair.nii.gz', './flair.nii.gz'])]), 'of its files more than once'),
        (dict(training=[dict(TWO, image=['flair.nii.gz', 'label.nii.gz'])]), 'of its files more than once'),
        (dict(training=[dict(ENTRY, label='other.nii.gz')]), "names 'other.nii.gz', which does not exist in"),
        (dict(training=[dict(TWO, image=['flair.nii.gz', 'gone.nii.gz'])]), "names 'gone.nii.gz', which does not"),
        (dict(training=[ENTRY], labels={'1': 'liver', '2': 'spleen'}), 'must name every number from 0 on'),
        (dict(training=[ENTRY], labels={'0': 'a', '1': 'b', '2': 'c', '4': 'd'}), 'without 3; name also the numbers'),
        (dict(training=[ENTRY], labels=['liver']), 'must name every number from 0 on'),
        (dict(training=[ENTRY], labels={'background': 0, 'liver': [1, 2]}), 'has regions, which are several numbers'),
    ],
)
def test_faults_of_a_list_are_sentences(listed, content, words):
    with pytest.raises(UserError) as found:
        read_volume_list(listed(content), 'training', with_labels=True)
    assert words in str(found.value)


@pytest.mark.parametrize(
    'content, part, fold, words',
    [
        (BRATS, 'validation', None, 'have the folds 0, 1: set fold = 0 at the top of the config'),
        (BRATS, 'validation', 5, 'fold = 5 is none of those in the list of volumes'),
        (BRATS, 'training', 5, 'its folds are 0, 1'),
        (DECATHLON, 'validation', 0, 'not every entry of its "training" has a "fold"'),
        (dict(training=[*ONE_FOLD['training'], ENTRY]), 'training', 0, 'not every entry of its "training" has'),
        (dict(validation=[ENTRY]), 'validation', 0, 'not every entry of its "training" has'),
        (dict(**BRATS, validation=[ENTRY]), 'validation', 0, "has both folds and a 'validation'"),
        (ONE_FOLD, 'training', 0, "has no 'training'"),
    ],
)
def test_folds_that_are_none_are_told(listed, content, part, fold, words):
    with pytest.raises(UserError) as found:
        read_volume_list(listed(content), part, with_labels=True, fold=fold)
    assert words in str(found.value)


@pytest.mark.parametrize(
    'content, folds', [(BRATS, [0, 1]), (ONE_FOLD, [0]), (DECATHLON, []), ({}, []), (dict(training='a'), [])]
)
def test_folds_are_those_that_every_entry_has(content, folds):
    assert folds_of(content) == folds


def test_a_list_that_is_missing_is_told(tmp_path):
    with pytest.raises(UserError, match="none.json' can't be read"):
        read_content(tmp_path / 'none.json')
