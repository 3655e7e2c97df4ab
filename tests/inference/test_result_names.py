"""Results are named after their inputs, and no result replaces another."""

from hiera_mm.errors import UserError
from hiera_mm.inference.prediction import names_without_endings
from hiera_mm.readers.inputs import Input, Kind

import pytest


def inputs(*names):
    return [Input(f'/photos/{name}', Kind.IMAGE, name) for name in names]


def test_results_are_named_after_inputs_without_their_endings():
    given = inputs('a.jpg', 'b.png', 'far/a.jpg')
    assert list(names_without_endings(given).values()) == ['a', 'b', 'far/a']


@pytest.mark.parametrize('names', [('a.jpg', 'a.png'), ('far/a.jpg', 'b.jpg', 'far/a.webp'), ('a', 'a.jpg')])
def test_two_inputs_whose_results_would_share_a_name_are_refused_in_a_sentence(names):
    with pytest.raises(UserError, match=r'/photos/.* would both be named .*: rename one of the files'):
        names_without_endings(inputs(*names))
