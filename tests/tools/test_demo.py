"""tools/demo.py on a real video, with given boxes and with a detector, and its faults."""

import json

from hiera_mm.readers.videos import open_video

import pytest

from tests.helpers import ACTIONS_CONFIG, TINY, assert_explained, save_random_weights


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """The options that name a model of random weights and its actions."""
    folder = tmp_path_factory.mktemp('weights')
    weights = save_random_weights(ACTIONS_CONFIG, folder / 'actions.pth')
    names = ''.join(f'item {{\n  name: "action {number}"\n  id: {number}\n}}\n' for number in range(1, 8))
    (folder / 'actions.pbtxt').write_text(names)
    return ['--config', ACTIONS_CONFIG, '--checkpoint', weights, '--label-map', folder / 'actions.pbtxt']


def demo(run_tool, video, *options):
    return run_tool('demo.py', video, '--task', 'ava', '--device', 'cpu', *options)


def test_a_real_video_with_given_boxes_becomes_predictions_and_a_film(run_tool, model, real_videos, tmp_path):
    boxes = {1: [[20, 30, 120, 250], [200, 40, 300, 250]], 2.5: [[30, 30, 130, 250]]}
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    options = ['--boxes', tmp_path / 'boxes.json', '--out-dir', tmp_path / 'out', '--action-score-thr', 0]
    video = real_videos / 'demo_spatiotemporal_det.mp4'
    code, printed = demo(run_tool, video, *model, *options)
    assert code == 0, printed
    assert f'3 persons in 2 frames; written to {tmp_path}/out.' in printed
    assert '2.50 s  [30.0, 30.0, 130.0, 250.0]  action ' in printed
    result = json.loads((tmp_path / 'out' / 'demo_spatiotemporal_det_actions.json').read_text())
    assert [len(prediction['persons']) for prediction in result['predictions']] == [2, 1]
    film, source = open_video(tmp_path / 'out' / 'demo_spatiotemporal_det_actions.mp4'), open_video(video)
    assert (len(film), film.rate) == (len(source), source.rate) == (57, 6)


def test_a_detector_looks_for_persons(run_tool, model, real_videos, tmp_path):
    weights = save_random_weights(TINY, tmp_path / 'persons.pth')
    options = ['--det-config', TINY, '--det-checkpoint', weights, '--det-classes', 'circle', 'bar', '--step', '4']
    options += ['--out-dir', tmp_path / 'out', '--det-score-thr', '0']
    code, printed = demo(run_tool, real_videos / 'demo_spatiotemporal_det.mp4', *model, *options)
    assert code == 0, printed
    assert 'persons in 3 frames; written to' in printed and 'Looking for persons' in printed


@pytest.mark.parametrize('content', ['', '[1]', '{"one": []}', None])
def test_boxes_that_are_none_are_named(run_tool, model, real_videos, tmp_path, content):
    if content is not None:
        (tmp_path / 'boxes.json').write_text(content)
    result = demo(run_tool, real_videos / 'demo.mp4', *model, '--boxes', tmp_path / 'boxes.json')
    assert_explained(result, f"The file '{tmp_path}/boxes.json' can't be read as boxes by seconds, such as")


def test_a_missing_video_is_named(run_tool, model, tmp_path):
    (tmp_path / 'boxes.json').write_text('{"1": [[20, 30, 120, 250]]}')
    result = demo(run_tool, tmp_path / 'none.mp4', *model, '--boxes', tmp_path / 'boxes.json')
    assert_explained(result, f"The video '{tmp_path}/none.mp4' does not exist")
