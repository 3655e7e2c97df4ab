"""The files of AVA: the real sample is read, and what is none is named; proposals never run code."""

import pickle

from hiera_mm.errors import UserError
from hiera_mm.readers.ava_files import read_action_list, read_exclusions, read_proposals, read_rows

import numpy as np
import pytest
from mmaction.evaluation import read_labelmap


def test_the_real_sample_is_read(ava_sample):
    rows = read_rows(ava_sample / 'ava_sample.csv')
    assert len(rows) == 8
    assert rows[3][1:] == ('0f39OWEqJ24', 903, (0.034, 0.189, 0.669, 0.980), 12, 0)
    assert rows[3].key == '0f39OWEqJ24,0903'
    assert read_action_list(ava_sample / 'action_list.txt') == {
        12: 'action1',
        17: 'action2',
        79: 'action3',
        80: 'action3',
    }
    assert read_exclusions(ava_sample / 'ava_excluded_timestamps_sample.csv') == {
        '0f39OWEqJ24,0903',
        '_-Z6wFjXtGQ,0902',
    }
    proposals = read_proposals(ava_sample / 'ava_proposals_sample.pkl')
    assert {key: boxes.shape for key, boxes in proposals.items()} == {
        '0f39OWEqJ24,0902': (1, 5),
        '0f39OWEqJ24,0903': (1, 5),
        '_-Z6wFjXtGQ,0902': (3, 5),
    }
    assert proposals['_-Z6wFjXtGQ,0902'][0, 4] == 0.281325


@pytest.mark.parametrize(
    'line',
    [
        'video,902,0.1,0.1,0.5,0.5,12',
        'video,902,0.1,0.1,0.5,0.5,12,0,0',
        'video,902.5,0.1,0.1,0.5,0.5,12,0',
        'video,902,,,,,,',
        'video,902,a,0.1,0.5,0.5,12,0',
        ',902,0.1,0.1,0.5,0.5,12,0',
        'video 902 0.1 0.1 0.5 0.5 12 0',
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, line):
    (tmp_path / 'a.csv').write_text(f'video,0902,0.1,0.1,0.5,0.5,12,0\n{line}\n')
    with pytest.raises(
        UserError, match=f"^Line 2 of the annotation file '{tmp_path}/a.csv' is '{line}'; AVA's lines are"
    ):
        read_rows(tmp_path / 'a.csv')


@pytest.mark.parametrize('read', [read_rows, read_action_list, read_exclusions, read_proposals])
def test_a_missing_file_is_named_with_its_option(tmp_path, read):
    with pytest.raises(UserError, match=rf"'{tmp_path}/none' does not exist; put it there or correct \w+\.$"):
        read(tmp_path / 'none')


@pytest.mark.parametrize('read', [read_rows, read_action_list, read_exclusions])
def test_a_file_that_is_no_text_is_named(tmp_path, read):
    (tmp_path / 'a').write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match='is not a text file'):
        read(tmp_path / 'a')


def test_an_excluded_timestamp_that_is_none_is_named(tmp_path):
    (tmp_path / 'a.csv').write_text('video,0902\nvideo\n')
    with pytest.raises(UserError, match="Line 2 of the excluded timestamps '.*' is 'video'; each must be"):
        read_exclusions(tmp_path / 'a.csv')


AVAS_OWN = 'label {\n  name: "bend/bow (at the waist)"\n  label_id: 1\n  label_type: PERSON_MOVEMENT\n}\n'


@pytest.mark.parametrize('text', [AVAS_OWN, 'item {\n  name: "bend/bow (at the waist)"\n  id: 1\n}\n'])
def test_action_lists_are_read_as_mmaction2_reads_them(tmp_path, text):
    (tmp_path / 'a.pbtxt').write_text(text)
    categories, _ = read_labelmap((tmp_path / 'a.pbtxt').open())
    assert read_action_list(tmp_path / 'a.pbtxt') == {c['id']: c['name'] for c in categories} != {}


@pytest.mark.parametrize(
    'text', ['item {\n name: "stand"\n id: 1\n}\n', 'item { name: "stand" id: 1 }', 'item {\n  id: 1\n}', 'stand', '']
)
def test_an_action_list_that_mmaction2_would_misread_is_refused(tmp_path, text):
    (tmp_path / 'a.pbtxt').write_text(text)
    categories, _ = read_labelmap((tmp_path / 'a.pbtxt').open())
    assert len(categories) == 0 or categories[0]['name'] != 'stand'
    with pytest.raises(UserError, match='that can be read; write each action as four lines'):
        read_action_list(tmp_path / 'a.pbtxt')


class Touch:
    """Unpickled by pickle itself, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


@pytest.mark.parametrize(
    'nested', [lambda bad: bad, lambda bad: {'a,0902': bad}, lambda bad: {'a,0902': np.array([bad])}]
)
def test_a_proposal_file_never_runs_code(tmp_path, nested):
    path = tmp_path / 'p.pkl'
    path.write_bytes(pickle.dumps(nested(Touch(tmp_path / 'ran'))))
    with pytest.raises(
        UserError, match=r"^The proposal file '.*' was refused: it holds more than boxes .*: (_?io|.*)open"
    ):
        read_proposals(path)
    assert not (tmp_path / 'ran').exists()
    pickle.loads(path.read_bytes())
    assert (tmp_path / 'ran').exists(), 'the payload is a real one'


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('dtype', ['float32', 'float64', '>f8'])
def test_arrays_of_every_protocol_are_read(tmp_path, protocol, dtype):
    boxes = {'a,0902': np.array([[0.1, 0.2, 0.3, 0.4, 0.9]], dtype)}
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps(boxes, protocol=protocol))
    np.testing.assert_array_equal(read_proposals(tmp_path / 'p.pkl')['a,0902'], boxes['a,0902'])


@pytest.mark.parametrize(
    'content, said',
    [
        ([1, 2], 'holds a list'),
        ({}, 'holds a dict'),
        ({'a,0902': [[0.1, 0.1, 0.2, 0.2, 1.0]]}, "has a list under 'a,0902'"),
        ({('a', 902): np.zeros((1, 5))}, r"has a ndarray under \('a', 902\)"),
        ({'a,0902': np.zeros((1, 5), int)}, "has a ndarray under 'a,0902'"),
        ({'a,0902': np.zeros(5)}, r"an array of shape \(5,\) under 'a,0902'"),
        ({'a,0902': np.zeros((1, 6))}, r'an array of shape \(1, 6\)'),
        ({'a,0902': np.zeros((0, 5))}, 'leave out frames without persons'),
    ],
)
def test_proposals_of_another_form_are_named(tmp_path, content, said):
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=f"^The proposal file '{tmp_path}/p.pkl' .*{said}"):
        read_proposals(tmp_path / 'p.pkl')


@pytest.mark.parametrize('content', [b'', b'no pickle', pickle.dumps({'a,0902': np.zeros((9, 5))})[:-40]])
def test_a_damaged_proposal_file_is_named(tmp_path, content):
    (tmp_path / 'p.pkl').write_bytes(content)
    with pytest.raises(
        UserError, match=f"^The proposal file '{tmp_path}/p.pkl' is damaged or not a pickle; copy or make"
    ):
        read_proposals(tmp_path / 'p.pkl')
