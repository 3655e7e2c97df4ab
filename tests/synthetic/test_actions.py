"""The generated videos of several actors: annotations, proposals and what is to be seen."""

from hiera_mm.readers.ava_files import read_action_list, read_proposals, read_rows
from hiera_mm.readers.videos import open_video
from hiera_mm.synthetic.actions import make_acting_shapes

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou


@pytest.fixture(scope='module')
def actions(tmp_path_factory):
    folder = tmp_path_factory.mktemp('actions') / 'set'
    make_acting_shapes(folder, train=12, val=2)
    return folder


def test_acting_shapes_are_a_set_in_avas_format(actions):
    rows, proposals = read_rows(actions / 'train.csv'), read_proposals(actions / 'train_proposals.pkl')
    names = read_action_list(actions / 'actions.pbtxt')
    assert list(names.values()) == ['stand', 'left', 'right', 'up', 'down', 'turn', 'blink']
    persons = {(row.key, row.person): [] for row in rows}
    for row in rows:
        persons[row.key, row.person].append(row)
    labels = [[row.action for row in group] for group in persons.values()]
    assert all(sum(action <= 5 for action in actions) == 1 for actions in labels), 'one way of going each'
    assert {len(actions) for actions in labels} == {1, 2, 3}, 'several labels'
    assert {sum(key == of for of, _ in persons) for key, _ in persons} == {1, 2, 3}, 'several actors'
    assert {row.timestamp for row in rows} == {901, 902}
    assert proposals.keys() == {row.key for row in rows}
    for group in persons.values():
        boxes = torch.tensor(proposals[group[0].key])
        sure = boxes[boxes[:, 4] > 0.8]
        overlaps = box_iou(torch.tensor([group[0].box]), sure[:, :4].float())
        assert overlaps.max() > 0.8
    assert any((boxes[:, 4] < 0.6).any() for boxes in proposals.values())


def test_actors_are_where_and_do_what_the_annotations_say(actions):
    rows = read_rows(actions / 'train.csv')
    for row in rows:
        if row.action > 5:
            continue
        others = [r for r in rows if r.video_id == row.video_id and r.person == row.person]
        before, after = (next(r.box for r in others if r.timestamp == second) for second in (901, 902))
        middle_before, middle_after = (np.array([(b[0] + b[2]) * 80, (b[1] + b[3]) * 64]) for b in (before, after))
        moved = middle_after - middle_before
        expected = dict(enumerate([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)], start=1))[row.action]
        turning = any(r.action == 6 for r in others)
        assert np.abs(moved / 8 - np.array(expected) * 1.8).max() < (1.2 if turning else 0.5)


def test_actors_stand_out_inside_their_boxes(actions):
    rows = read_rows(actions / 'val.csv')
    for name in {row.video_id for row in rows}:
        reader = open_video(actions / 'val' / f'{name}.mp4')
        frames = np.array(reader.frames(range(4, 13))).astype(float).max(axis=0)
        for row in rows:
            if (row.video_id, row.timestamp, row.action) == (name, 901, 1):
                x1, y1, x2, y2 = (np.array(row.box) * [160, 128, 160, 128]).round().astype(int)
                assert frames[y1:y2, x1:x2].max(axis=-1).max() > 160 > np.median(frames.max(axis=-1))


def test_the_same_arguments_give_the_same_films_and_proposals(actions, tmp_path):
    make_acting_shapes(tmp_path / 'again', train=12, val=2)
    for path in sorted(actions.rglob('*.*')):
        assert path.read_bytes() == (tmp_path / 'again' / path.relative_to(actions)).read_bytes(), path.name
