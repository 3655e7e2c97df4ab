"""Actions in many videos: what begins anew when a setting changes."""

from pathlib import Path
from types import SimpleNamespace

from hiera_mm.errors import BrokenFileError
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.tasks.actions.files import act_in_files

import pytest


class Counting:
    """Counts the videos that it is given; one of them is broken, so that the progress is kept."""

    trained = SimpleNamespace(version='v1')

    def __init__(self):
        self.seen = []

    def predict(self, source, *others):
        self.seen.append(Path(source).name)
        if self.seen[-1] == 'broken.mp4':
            raise BrokenFileError('The video is broken.')
        return dict(predictions=[])


def persons(version='finder', score_thr=0.8, wanted=(0,)):
    detector = SimpleNamespace(trained=SimpleNamespace(version=version))
    return SimpleNamespace(detector=detector, score_thr=score_thr, wanted=list(wanted))


def seen(folder, **settings):
    counting = Counting()
    inputs = [Input(str(folder / name), Kind.VIDEO, name) for name in ('a.mp4', 'broken.mp4')]
    act_in_files(counting, inputs, folder / 'out', drawn=False, **dict(dict(persons=persons()), **settings))
    return counting.seen


@pytest.mark.parametrize(
    'changed',
    [
        dict(persons=persons(wanted=(1,))),
        dict(persons=persons(score_thr=0.5)),
        dict(persons=persons(version='another')),
        dict(persons=None, boxes={1.0: [[0, 0, 5, 5]]}),
        dict(step=2.0),
        dict(score_thr=0.1),
    ],
)
def test_a_finished_video_is_predicted_again_where_a_setting_differs_and_not_else(tmp_path, changed):
    for name in ('a.mp4', 'broken.mp4'):
        (tmp_path / name).touch()
    assert seen(tmp_path) == ['a.mp4', 'broken.mp4']
    assert seen(tmp_path) == ['broken.mp4']
    assert seen(tmp_path, **changed) == ['a.mp4', 'broken.mp4']
