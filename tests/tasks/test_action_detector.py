"""The inferencer of action detection: given boxes, a detector, short, slow and empty videos, and faults."""

import json

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.inference.visualization import Label, write_annotated
from hiera_mm.readers.ava_files import read_action_list, read_rows
from hiera_mm.readers.inputs import Kind, find_inputs
from hiera_mm.readers.videos import open_video
from hiera_mm.readers.write_video import write_video
from hiera_mm.synthetic.actions import KEY_SECONDS, make_acting_shapes
from hiera_mm.tasks import load
from hiera_mm.tasks.actions import PersonFinder
from hiera_mm.tasks.actions.files import act_in_files

import numpy as np
import pytest
import torch
from mmengine.hub import get_config
from mmengine.registry import MODELS, init_default_scope

from tests.helpers import ACTIONS_CONFIG, TINY, forget_earlier_runs, save_random_weights


@pytest.fixture(scope='module')
def films(tmp_path_factory):
    """Folder of a generated set."""
    folder = tmp_path_factory.mktemp('data') / 'actions'
    make_acting_shapes(folder, train=1, val=2)
    return folder


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return save_random_weights(ACTIONS_CONFIG, tmp_path_factory.mktemp('weights') / 'actions.pth')


@pytest.fixture(scope='module')
def person_weights(tmp_path_factory):
    return save_random_weights(TINY, tmp_path_factory.mktemp('weights') / 'persons.pth')


@pytest.fixture
def detector(weights, films):
    return load(weights, device='cpu', classes=read_action_list(films / 'actions.pbtxt'))


@pytest.fixture
def finder(person_weights):
    """With a detector of random weights, whose boxes are as random."""
    return PersonFinder(load(person_weights, device='cpu'), score_thr=0.0, classes=('circle', 'bar'))


def act(detector, video, folder, **settings):
    """The result that stands in the file, which is written beside the drawn video."""
    (entry,) = find_inputs([str(video)], [Kind.VIDEO])
    assert act_in_files(detector, [entry], folder, score_thr=0.0, **settings).broken == []
    return json.loads((folder / f'{video.stem}_actions.json').read_text())


def boxes_of(films, name):
    """The annotated boxes of a film in pixels, by seconds from its beginning."""
    boxes = {}
    for row in read_rows(films / 'val.csv'):
        if row.video_id == name:
            corners = tuple(np.array(row.box) * [160, 128, 160, 128])
            boxes.setdefault(row.timestamp - 900.0, {})[row.person] = corners
    return {second: list(persons.values()) for second, persons in boxes.items()}


def test_given_boxes_get_the_scores_of_the_test_pipeline_without_its_crop(detector, films):
    boxes = boxes_of(films, 'val00000')
    result = detector.predict(films / 'val' / 'val00000.mp4', boxes=boxes, score_thr=0.0)
    assert (result['width'], result['height'], result['fps']) == (160, 128, 8)
    assert [prediction['timestamp'] for prediction in result['predictions']] == [s - 900 for s in KEY_SECONDS]
    reader = open_video(films / 'val' / 'val00000.mp4')
    for prediction in result['predictions']:
        given = boxes[prediction['timestamp']]
        np.testing.assert_allclose([person['bbox'] for person in prediction['persons']], given, atol=0.01)
        middle = int(prediction['timestamp'] * 8)
        frames = reader.frames(np.clip(np.arange(middle - 8, middle + 8), 0, 23))
        clip = (torch.from_numpy(np.array(frames)).permute(3, 0, 1, 2)[None].float() / 255 - 0.45) / 0.225
        model = detector.trained.model
        with torch.no_grad():
            rois = torch.tensor([[0, *box] for box in given], dtype=torch.float32)
            features, _ = model.roi_head.bbox_roi_extractor(model.backbone(clip), rois)
            expected = model.roi_head.bbox_head(features).sigmoid().numpy()
        for person, scores in zip(prediction['persons'], expected, strict=True):
            assert [a['score'] for a in person['actions']] == sorted(
                (a['score'] for a in person['actions']), reverse=True
            )
            assert {a['id'] for a in person['actions']} == set(range(1, 8)), 'all actions but the background'
            for action in person['actions']:
                assert action['score'] == pytest.approx(scores[action['id']], abs=2e-4)
            names = {a['id']: a['name'] for a in person['actions']}
            assert names[2] == 'left' and names[7] == 'blink'


def test_boxes_may_be_shares_of_the_sides(detector, films):
    """As those in AVA's files; taken for pixels, each would be less than one."""
    boxes = boxes_of(films, 'val00000')
    shares = {second: [np.array(box) / [160, 128, 160, 128] for box in each] for second, each in boxes.items()}
    found = [detector.predict(films / 'val' / 'val00000.mp4', boxes=given, score_thr=0.0) for given in (boxes, shares)]
    for one, other in zip(*(result['predictions'] for result in found), strict=True):
        for person, same in zip(one['persons'], other['persons'], strict=True):
            np.testing.assert_allclose(person['bbox'], same['bbox'], atol=0.01)


def test_unsure_actions_are_left_out(detector, films):
    result = detector.predict(films / 'val' / 'val00000.mp4', boxes={1: [[10, 10, 40, 60]]}, score_thr=0.99)
    assert result['predictions'][0]['persons'][0]['actions'] == []


def test_persons_are_found_once_a_step_and_written_as_json_and_film(detector, finder, films, tmp_path):
    result = act(detector, films / 'val' / 'val00001.mp4', tmp_path / 'out', persons=finder, step=0.5)
    assert [prediction['timestamp'] for prediction in result['predictions']] == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    persons = [person for prediction in result['predictions'] for person in prediction['persons']]
    assert len(persons) > 6
    for person in persons:
        x1, y1, x2, y2 = person['bbox']
        assert 0 <= x1 <= x2 <= 160 and 0 <= y1 <= y2 <= 128 and 0 <= person['bbox_score'] <= 1
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'val00001_actions.json', 'val00001_actions.mp4'}
    film = open_video(tmp_path / 'out' / 'val00001_actions.mp4')
    assert (len(film), film.rate) == (24, 8)


@pytest.mark.parametrize(
    'frames, rate, seconds', [(12, 6, [0.5, 1.5]), (3, 30, [1 / 30]), (1, 30, [0]), (90, 60, [0.5, 1.25])]
)
def test_videos_of_any_length_and_rate_work(detector, finder, tmp_path, frames, rate, seconds):
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (96, 128, 3), dtype=np.uint8)
    write_video(tmp_path / 'film.mp4', [picture] * frames, rate)
    result = act(detector, tmp_path / 'film.mp4', tmp_path, persons=finder)
    found = [prediction['timestamp'] for prediction in result['predictions']]
    assert found == pytest.approx(seconds)
    assert len(open_video(tmp_path / 'film_actions.mp4')) == frames


def test_a_video_without_persons_says_so_and_is_written_all_the_same(detector, finder, films, tmp_path, capfd):
    forget_earlier_runs()
    finder.score_thr = 1.1
    result = act(detector, films / 'val' / 'val00000.mp4', tmp_path, persons=finder)
    assert all(prediction['persons'] == [] for prediction in result['predictions'])
    printed = ''.join(capfd.readouterr())
    assert 'No person was found in 3 frames' in printed and 'lower det_score_thr (1.1)' in printed
    film, source = open_video(tmp_path / 'val00000_actions.mp4'), open_video(films / 'val' / 'val00000.mp4')
    # Small films are enlarged.
    difference = np.abs(film.frames([9])[0][::3, ::3].astype(int) - source.frames([9])[0])
    assert difference.mean() < 3, 'nothing is drawn'


def test_boxes_are_drawn_where_and_when_they_are(tmp_path):
    write_video(tmp_path / 'film.mp4', [np.full((96, 128, 3), 60, np.uint8)] * 30, 10)
    labels = {0.5: [Label((20, 30, 60, 90), ['stand 0.90', 'turn 0.70'])], 1.5: []}
    write_annotated(tmp_path / 'drawn.mp4', open_video(tmp_path / 'film.mp4'), labels)
    frames = open_video(tmp_path / 'drawn.mp4').frames(range(30))
    coloured = [(frame[..., 0].astype(int) - frame[..., 2] > 60) for frame in frames]
    rows, columns = (places / 4 for places in np.nonzero(coloured[5]))  # Small films are enlarged.
    assert (abs(columns.min() - 20) <= 2, abs(columns.max() - 60) <= 2, abs(rows.max() - 90) <= 2) == (True,) * 3
    assert rows.min() < 28, 'the text stands above the box'
    assert [bool(frame.any()) for frame in coloured] in ([True] * n + [False] * (30 - n) for n in (10, 11))


@pytest.mark.parametrize(
    'boxes, said',
    [
        ({1: [[10, 10, 400, 60]]}, 'which has 160 x 128 pixels and 3.0 seconds; give x1, y1, x2, y2 in pixels'),
        ({1: [[170, 10, 200, 60]]}, 'give x1, y1, x2, y2 in pixels'),
        ({1: [[10, 10, float('nan'), 60]]}, 'give x1, y1, x2, y2 in pixels'),
        ({1: [[50, 10, 20, 60]]}, 'give x1, y1, x2, y2 in pixels'),
        ({1: [[0.5, 0.1, 0.2, 0.6]]}, 'give x1, y1, x2, y2 in pixels'),
        ({9: [[10, 10, 40, 60]]}, r'The boxes \[\[10, 10, 40, 60\]\] at second 9 are outside'),
        ({1: [[10, 10, 40]]}, 'The boxes at second 1 are not lists of x1, y1, x2, y2'),
        ({}, 'There are no boxes; give some by seconds'),
        ({1: 'left'}, 'The boxes at second 1 are not lists of x1, y1, x2, y2'),
    ],
)
def test_boxes_that_are_none_of_the_video_are_named(detector, films, boxes, said):
    with pytest.raises(UserError, match=said):
        detector.predict(films / 'val' / 'val00000.mp4', boxes=boxes)


def test_neither_boxes_nor_a_detector_is_a_fault(detector, films):
    with pytest.raises(UserError, match='Give boxes of the persons, or a detector that finds them'):
        detector.predict(films / 'val' / 'val00000.mp4')


@pytest.mark.parametrize('step', [0, -1])
def test_a_step_that_is_none_is_a_fault(detector, finder, films, step):
    with pytest.raises(UserError, match="'step', must be above 0 seconds"):
        detector.predict(films / 'val' / 'val00000.mp4', persons=finder, step=step)


def test_a_broken_video_is_named(detector, tmp_path):
    (tmp_path / 'film.mp4').write_bytes(b'no video')
    with pytest.raises(BrokenFileError, match="film.mp4' is damaged, truncated or not a video"):
        detector.predict(tmp_path / 'film.mp4', boxes={0: [[1, 1, 5, 5]]})


def test_faults_of_models_are_named(weights, person_weights):
    persons = load(person_weights, device='cpu')
    with pytest.raises(UserError, match="has no class 'person' among its 3, such as 'circle'; set the classes"):
        PersonFinder(persons)
    with pytest.raises(UserError, match='was not made with this config'):
        load(person_weights, str(ACTIONS_CONFIG), device='cpu')
    with pytest.raises(UserError, match="the action list '.*actions.pbtxt' that its config names does not exist"):
        load(weights, str(ACTIONS_CONFIG), device='cpu')
    with pytest.raises(UserError, match='has no names for its actions; give an action list: --classes FILE.pbtxt'):
        load(weights, device='cpu')


def test_a_detector_of_mmdets_own_finds_persons(detector, films, tmp_path):
    name = 'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py'
    config = get_config(name)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'yolox.pth')
    finder = PersonFinder(load(str(tmp_path / 'yolox.pth'), name, device='cpu'), score_thr=0.0)
    result = detector.predict(films / 'val' / 'val00000.mp4', persons=finder, step=3)
    assert finder.wanted == [0], 'COCO begins with persons'
    assert len(result['predictions']) == 1


@pytest.mark.parametrize(
    ('given', 'inside'),
    [
        ((-2, 10, 60, 130), (0, 10, 60, 128)),
        ((100, -30, 162, 90), (100, 0, 160, 90)),
        ((-0.02, 0.1, 0.5, 1.04), (0, 12.8, 80, 128)),
    ],
)
def test_a_box_that_leaves_the_frame_is_cut(detector, films, given, inside):
    found = detector.predict(films / 'val' / 'val00000.mp4', boxes={1: [given]})
    assert found['predictions'][0]['persons'][0]['bbox'] == pytest.approx(inside, abs=0.01)
