"""Results are named after their inputs, and no result replaces another."""

from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.inference.prediction import drawn_name, names_without_endings, result_names
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.tasks.segmentation.files import segment_files

import pytest


def inputs(*names):
    kinds = {'.mp4': Kind.VIDEO, '.mov': Kind.VIDEO}
    return [Input(f'/photos/{name}', kinds.get(Path(name).suffix, Kind.IMAGE), name) for name in names]


def test_results_are_named_after_inputs_without_their_endings():
    given = inputs('a.jpg', 'b.png', 'far/a.jpg')
    assert list(names_without_endings(given).values()) == ['a', 'b', 'far/a']


@pytest.mark.parametrize('names', [('a.jpg', 'a.png'), ('far/a.jpg', 'b.jpg', 'far/a.webp'), ('a', 'a.jpg')])
def test_two_inputs_whose_results_would_share_a_name_are_refused_in_a_sentence(names):
    with pytest.raises(UserError, match=r'/photos/.* would both be named .*: rename one of the files'):
        names_without_endings(inputs(*names))


def test_drawn_copies_keep_the_endings_of_images_and_are_films_of_one_format():
    given = inputs('a.jpg', 'a.png', 'film.mp4', 'film.mov')
    assert list(result_names(given, drawn_name).values()) == ['a.jpg', 'a.png', 'film.mp4', 'film.mov.mp4']
    with pytest.raises(UserError, match='film.mov and .*film.mov.mp4 would both be named film.mov.mp4'):
        result_names(inputs('film.mov', 'film.mov.mp4'), drawn_name)


@pytest.mark.parametrize('names', [('a.jpg', 'a.jpg.png'), ('film.mov', 'film.mov.mp4')])
def test_segmenting_refuses_them_before_anything_is_written(tmp_path, names):
    with pytest.raises(UserError, match='would both be named'):
        segment_files(None, inputs(*names), tmp_path / 'out')
    assert not [*tmp_path.iterdir()]
