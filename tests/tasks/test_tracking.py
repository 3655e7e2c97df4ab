"""Objects keep their numbers through a film, against the truth of drawn films."""

import csv
import json

from hiera_mm.readers.videos import open_video
from hiera_mm.readers.write_video import write_video
from hiera_mm.tasks.detection.results import Detections
from hiera_mm.tasks.detection.tracking import Tracks

import numpy as np
import pytest

from tests.helpers import TINY, save_random_weights

NAMES, SIZE = ('ball', 'box'), (240, 320)


def film(paths, labels, hidden=lambda frame, number: False, score=lambda frame, number: 0.9, seed=0):
    """What an exact detector finds, with a pixel of noise: objects of 30 pixels whose centres move along paths."""
    random = np.random.default_rng(seed)
    for frame in range(60):
        boxes, scores, kinds, truth = [], [], [], []
        for number, path in enumerate(paths):
            if not hidden(frame, number):
                x, y = np.array(path(frame)) + random.normal(0, 1, 2)
                boxes.append([x - 15, y - 15, x + 15, y + 15])
                scores.append(score(frame, number))
                kinds.append(labels[number])
                truth.append(number)
        order = random.permutation(len(boxes))
        arrays = np.array(boxes, np.float32).reshape(-1, 4)[order], np.array(scores, np.float32)[order]
        yield Detections(*arrays, np.array(kinds, int)[order], NAMES, SIZE, None), np.array(truth, int)[order]


def switches(frames, score_thr=0.3):
    """How often an object changes its number, and how many numbers there are."""
    tracks, last, changed, numbers = Tracks(score_thr), {}, 0, set()
    for found, truth in frames:
        numbered = tracks.update(found)
        assert np.array_equal(numbered.boxes, found.boxes)
        followed = numbered.chosen(np.flatnonzero(numbered.track_ids >= 0))
        assert len(set(followed.track_ids.tolist())) == len(followed), 'one number is given once a frame'
        for box, number in zip(followed.boxes, followed.track_ids.tolist(), strict=True):
            owner = int(truth[np.abs(found.boxes - box).sum(1).argmin()])
            changed += last.setdefault(owner, number) != number
            last[owner] = number
            numbers.add(number)
    return changed, len(numbers)


CROSSING = (lambda t: (20 + 4.5 * t, 60 + 2 * t), lambda t: (290 - 4.5 * t, 70 + 2 * t))
SIDE_BY_SIDE = tuple(lambda t, row=row: (20 + 4 * t, 30 + 40 * row) for row in range(5))


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('labels', [(0, 0), (0, 1)])
def test_objects_that_cross_keep_their_numbers(labels, seed):
    assert switches(film(CROSSING, labels, seed=seed)) == (0, 2)


def test_objects_side_by_side_keep_their_numbers():
    assert switches(film(SIDE_BY_SIDE, [0] * 5)) == (0, 5)


def test_an_object_that_is_hidden_for_a_while_or_hardly_seen_keeps_its_number():
    assert switches(film(CROSSING[:1], [0], hidden=lambda frame, _: 20 <= frame < 35)) == (0, 1)
    assert switches(film(CROSSING[:1], [0], score=lambda frame, _: 0.15 if 20 <= frame < 35 else 0.9)) == (0, 1)


def test_what_is_never_sure_gets_no_number():
    assert switches(film(CROSSING, (0, 1), score=lambda frame, number: (0.2, 0.9)[number])) == (0, 1)


def test_a_film_without_objects_has_no_numbers():
    assert switches(film((), ())) == (0, 0)


def test_the_command_writes_numbers_tables_and_a_film(run_command, tmp_path):
    weights = save_random_weights(TINY, tmp_path / 'shapes.pth')
    frames = np.random.default_rng(0).integers(0, 256, (6, 96, 128, 3), np.uint8)
    write_video(tmp_path / 'film.mp4', list(frames), 10)
    options = ['--track', '--pred-score-thr', 0.2, '--frame-interval', 2]
    code, printed = run_command('predict', weights, tmp_path / 'film.mp4', '--out-dir', tmp_path / 'out', *options)
    assert code == 0, printed
    found = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    rows = list(csv.DictReader((tmp_path / 'out' / 'tracks.csv').open()))
    numbered = [entry['track_id'] for entry in found if 'track_id' in entry]
    assert len(found) > len(rows) > 0 and {row['frame'] for row in rows} <= {'2', '4'}
    assert numbered == [int(row['track']) for row in rows]
    options = options[1:]
    assert run_command('predict', weights, tmp_path / 'film.mp4', '--out-dir', tmp_path / 'plain', *options)[0] == 0
    plain = json.loads((tmp_path / 'plain' / 'predictions.json').read_text())
    assert plain == [{key: value for key, value in entry.items() if key != 'track_id'} for entry in found]
    assert len(open_video(tmp_path / 'out' / 'film.mp4')) == 6

    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'a.png').touch()
    code, printed = run_command('predict', weights, tmp_path / 'images', '--out-dir', tmp_path / 'other', '--track')
    assert code != 0 and 'All inputs are images, but --track follows objects through videos' in printed
