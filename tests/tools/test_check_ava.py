"""hiera-mm check-data and the start of training on every fault of data in AVA's format."""

import pickle
import shutil

from hiera_mm.synthetic.actions import make_acting_shapes

import numpy as np
import pytest

from tests.helpers import ROOT, assert_explained, extract_as_ffmpeg

ACTIONS = ROOT / 'configs' / 'ava_hiera_t_shapes.py'


def options_for(folder, *others):
    options = ['--cfg-options', *others]
    for loader, part in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = f'{loader}_dataloader.dataset'
        options += [f'{dataset}.ann_file={folder}/{part}.csv', f'{dataset}.proposal_file={folder}/{part}_proposals.pkl']
        options += [f'{dataset}.data_prefix.video={folder}/{part}', f'{dataset}.label_file={folder}/actions.pbtxt']
    for evaluator in ('val_evaluator', 'test_evaluator'):
        options += [f'{evaluator}.ann_file={folder}/val.csv', f'{evaluator}.label_file={folder}/actions.pbtxt']
    return options


@pytest.fixture(scope='module')
def actions(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'actions'
    make_acting_shapes(folder, train=4, val=1)
    return folder


@pytest.fixture
def faulty(actions, tmp_path):
    """A copy of the set, to spoil."""
    shutil.copytree(actions, tmp_path / 'set')
    return tmp_path / 'set'


def check(run_command, folder, *others):
    return run_command('check-data', ACTIONS, '--videos', 'all', *options_for(folder, *others))


def change(path, replace):
    path.write_text(replace(path.read_text()))


def change_proposals(path, replace):
    path.write_bytes(pickle.dumps(replace(pickle.loads(path.read_bytes()))))


def test_a_sound_set_has_no_fault(run_command, actions):
    code, printed = check(run_command, actions)
    assert code == 0 and printed.strip().endswith('\n0 faults, 0 notes.') and 'Note' not in printed, printed


def spoilt_line(text):
    return text.replace('train00000,0901', 'train00000;0901', 1)


def first_box(corners):
    def replace(text):
        first, *others = text.splitlines()
        values = first.split(',')
        return '\n'.join([','.join([*values[:2], corners, *values[6:]]), *others])

    return replace


def first_action(number):
    def replace(text):
        first, *others = text.splitlines()
        return '\n'.join([','.join([*first.split(',')[:6], number, '0']), *others])

    return replace


REFUSED = {
    'a line that is none': (lambda f: change(f / 'train.csv', spoilt_line), 'Line 1 of the annotation file '),
    'an empty file': (lambda f: change(f / 'train.csv', lambda text: ''), "train.csv' is empty"),
    'pixels for parts': (
        lambda f: change(f / 'train.csv', first_box('10,20,60,90')),
        'The boxes of 1 (line 1) in',
    ),
    'an action beyond the classes': (
        lambda f: change(f / 'train.csv', first_action('8')),
        'are outside 1 to 7; correct them, or set num_classes',
    ),
    'an action below the first': (lambda f: change(f / 'train.csv', first_action('0')), 'are outside 1 to 7;'),
    'a list that is none': (
        lambda f: change(f / 'actions.pbtxt', lambda text: text.replace('  name', ' name')),
        "actions.pbtxt' has 7 names and 7 numbers that can be read; write each action as four lines",
    ),
    'pixels in proposals': (
        lambda f: change_proposals(f / 'train_proposals.pkl', lambda p: {key: boxes * 100 for key, boxes in p.items()}),
        'have boxes or scores outside 0 to 1',
    ),
    'no number in proposals': (
        lambda f: change_proposals(f / 'train_proposals.pkl', lambda p: {k: boxes * np.nan for k, boxes in p.items()}),
        'have boxes or scores outside 0 to 1',
    ),
    'widths for corners': (
        lambda f: change_proposals(
            f / 'train_proposals.pkl', lambda p: {key: boxes[:, [2, 3, 0, 1, 4]] for key, boxes in p.items()}
        ),
        'or corners in the wrong order, for 8 (train00000,0901, ',
    ),
    'keys without zeros': (
        lambda f: change_proposals(
            f / 'train_proposals.pkl', lambda p: {key.replace(',0', ','): boxes for key, boxes in p.items()}
        ),
        "under keys such as 'train00000,901', where annotated seconds have keys such as 'train00000,0901'",
    ),
    'proposals of other films': (
        lambda f: change_proposals(f / 'train_proposals.pkl', lambda p: {f'x{k}': boxes for k, boxes in p.items()}),
        "under keys such as 'xtrain00000,0901'",
    ),
    'proposals that are none': (
        lambda f: (f / 'train_proposals.pkl').write_bytes(b'none'),
        'is damaged or not a pickle',
    ),
    'no folder': (
        lambda f: (f / 'train').rename(f / 'away'),
        "train' of train_dataloader.dataset does not exist; put the videos there or set it with --cfg-options",
    ),
}


@pytest.mark.parametrize('spoil, said', REFUSED.values(), ids=REFUSED)
def test_data_that_cannot_be_trained_on_are_refused_and_reported(run_command, faulty, spoil, said):
    spoil(faulty)
    code, printed = check(run_command, faulty)
    assert code == 1 and said in printed and 'Traceback' not in printed
    result = run_command('train', ACTIONS, '--work-dir', faulty / 'run', *options_for(faulty))
    assert_explained(result, said)


def without_scores(proposals):
    return {key: boxes[:, :4] for key, boxes in proposals.items()}


REPORTED = {
    'no scores': (
        lambda f: change_proposals(f / 'train_proposals.pkl', without_scores),
        'have no fifth column with scores, so person_det_score_thr cannot filter them; add one',
    ),
    'an empty box': (
        lambda f: change(f / 'train.csv', first_box('0.5,0.1,0.5,0.2')),
        'the boxes of 1 (line 1) in',
    ),
    'a missing video': (
        lambda f: (f / 'train' / 'train00001.mp4').unlink(),
        "train00001.mp4' does not exist; correct the path, data_prefix or the list.",
    ),
    'a broken video': (
        lambda f: (f / 'train' / 'train00001.mp4').write_bytes(b'none'),
        "train00001.mp4' is damaged, truncated or not a video",
    ),
    'a second too late': (
        lambda f: change(f / 'train.csv', lambda text: text.replace('train00001,0902', 'train00001,0909')),
        "'train00001' has no frames for 1 (909) of its annotated seconds: its 24 frames at 8 a second reach from "
        'second 900 (timestamp_start) to 903.0; correct timestamp_start',
    ),
    'a second too early': (
        lambda f: change(f / 'train.csv', lambda text: text.replace('train00001,0901', 'train00001,0001')),
        "'train00001' has no frames for 1 (1) of its annotated seconds",
    ),
}


@pytest.mark.parametrize('spoil, said', REPORTED.values(), ids=REPORTED)
def test_what_training_could_do_without_is_reported(run_command, faulty, spoil, said):
    spoil(faulty)
    code, printed = check(run_command, faulty)
    assert code == 1 and said in printed and 'Traceback' not in printed


NOTED = {
    'an action that is not listed': (
        lambda f: change(f / 'actions.pbtxt', lambda text: text.replace('id: 7', 'id: 77')),
        'Note: train_dataloader.dataset: 1 (7) of the actions in',
    ),
    'a frame without proposals': (
        lambda f: change_proposals(f / 'train_proposals.pkl', lambda p: dict(list(p.items())[1:])),
        'Note: train_dataloader.dataset: 1 (train00000,0901) of the 8 annotated seconds have no proposals in',
    ),
}


@pytest.mark.parametrize('spoil, said', NOTED.values(), ids=NOTED)
def test_what_is_allowed_but_worth_knowing_is_no_fault(run_command, faulty, spoil, said):
    spoil(faulty)
    code, printed = check(run_command, faulty)
    assert code == 0 and said in printed and '0 faults, ' in printed


def test_another_frame_rate_is_noted_for_videos(run_command, actions):
    rates = [f'{loader}_dataloader.dataset.fps=30' for loader in ('train', 'val', 'test')]
    code, printed = check(run_command, actions, *rates)
    assert code == 0
    said = (
        'Note: train_dataloader.dataset: 4 (train00000 with 8, train00001 with 8, train00002 with 8, ...) of the videos'
    )
    assert said in printed and 'have a rate other than 30 frames a second (fps)' in printed


def config_with_frames(folder, rate):
    for film in (folder / 'train').iterdir():
        extract_as_ffmpeg(film, folder / 'frames' / film.stem, rate)
    path = folder / 'frames.py'
    path.write_text(
        f"_base_ = '{ACTIONS}'\n"
        f"files = dict(ann_file='{folder}/train.csv', proposal_file=None, label_file='{folder}/actions.pbtxt')\n"
        f"frames = dict(_delete_=True, img='{folder}/frames')\n"
        "train_dataloader = dict(dataset=dict(**files, data_prefix=frames, filename_tmpl='img_{:05}.png'))\n"
        'val_dataloader = test_dataloader = val_evaluator = test_evaluator = None\n'
    )
    return path


def test_frames_at_another_rate_than_said_leave_seconds_without_frames(run_command, faulty):
    code, printed = run_command('check-data', config_with_frames(faulty, 8))
    assert code == 0, printed
    shutil.rmtree(faulty / 'frames')
    code, printed = run_command('check-data', config_with_frames(faulty, 4))
    assert code == 1
    assert 'its 12 frames at 8 a second reach from second 900 (timestamp_start) to 901.5' in printed
    assert 'or extract the frames again, 8 a second (fps).' in printed


def test_a_gap_among_the_frames_is_named(run_command, faulty):
    config = config_with_frames(faulty, 8)
    (faulty / 'frames' / 'train00002' / 'img_00009.png').unlink()
    code, printed = run_command('check-data', config)
    assert code == 1 and "frames/train00002' lacks the frames of 1 (901) seconds; extract them again." in printed


def test_exclusions_are_read_and_must_leave_something(run_command, faulty):
    (faulty / 'none.csv').write_text('train00000 0901\n')
    excluded = f'train_dataloader.dataset.exclude_file={faulty}/none.csv'
    code, printed = check(run_command, faulty, excluded)
    assert code == 1 and "Line 1 of the excluded timestamps '" in printed
    (faulty / 'none.csv').write_text(''.join(f'train{n:05d},{s:04d}\n' for n in range(4) for s in (901, 902)))
    code, printed = check(run_command, faulty, excluded)
    assert code == 1 and "are excluded by '" in printed and "'; correct exclude_file." in printed


def test_a_head_of_another_size_than_the_data_is_named(run_command, actions, tmp_path):
    options = options_for(actions, 'model.roi_head.bbox_head.num_classes=81')
    result = run_command('train', ACTIONS, '--work-dir', tmp_path, *options)
    assert_explained(
        result, 'The model predicts 81 classes', 'but train_dataloader.dataset.num_classes is 8; make them'
    )


def test_more_ranks_than_actions_are_named(run_command, actions, tmp_path):
    options = options_for(actions, 'model.roi_head.bbox_head.topk=(1,9)')
    result = run_command('train', ACTIONS, '--work-dir', tmp_path, *options)
    assert_explained(result, 'among the best 9 of 7 actions; set model.roi_head.bbox_head.topk to fewer')


def test_the_evaluators_files_are_looked_at(run_command, actions, tmp_path):
    absent = options_for(actions) + ['val_evaluator.label_file=none.pbtxt']
    result = run_command('train', ACTIONS, '--work-dir', tmp_path, *absent)
    assert_explained(result, "The action list 'none.pbtxt' does not exist; put it there or correct label_file.")
    (tmp_path / 'other.pbtxt').write_text('item {\n  name: "sing"\n  id: 66\n}\n')
    other = options_for(actions) + [f'val_evaluator.label_file={tmp_path}/other.pbtxt']
    result = run_command('train', ACTIONS, '--work-dir', tmp_path, *other)
    assert_explained(result, 'of val_evaluator, so nothing can be scored; correct label_file.')
