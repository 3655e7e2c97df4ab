"""hiera-mm check-data on every fault of COCO files and video lists, and hiera-mm make-video-list."""

import json
import shutil

from hiera_mm.readers.labelled_lists import read_video_list
from hiera_mm.readers.write_video import write_video
from hiera_mm.synthetic.motions import make_motion_shapes

import numpy as np
import pytest

from tests.helpers import ROOT, TINY, shapes_options

MOTION = ROOT / 'configs' / 'k400_hiera_t_shapes.py'


def motion_options(folder):
    lists = dict(train='train', val='val', test='val')
    options = [f'{part}_dataloader.dataset.ann_file={folder}/{name}.txt' for part, name in lists.items()]
    return ['--cfg-options', *options, *(f'{part}_dataloader.dataset.data_prefix.video={folder}' for part in lists)]


@pytest.fixture(scope='module')
def motion(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'motion'
    make_motion_shapes(folder, train=12, val=6)
    return folder


@pytest.fixture
def faulty(motion, tmp_path):
    """A copy of the set, to spoil."""
    shutil.copytree(motion, tmp_path / 'set')
    return tmp_path / 'set'


def test_sound_sets_have_no_fault(run_command, motion, shapes):
    for config, options in ((MOTION, motion_options(motion)), (TINY, shapes_options(shapes))):
        code, printed = run_command('check-data', config, *options)
        assert code == 0 and '0 faults, ' in printed.splitlines()[-1], printed


def test_missing_videos_are_counted_with_examples(run_command, faulty):
    for number in range(4):
        (faulty / f'train/{number:05d}.mp4').unlink()
    code, printed = run_command('check-data', MOTION, *motion_options(faulty))
    assert code == 1
    assert f"4 (train/00000.mp4, train/00001.mp4, train/00002.mp4, ...) of '{faulty}/train.txt' are not in" in printed


def test_labels_beyond_the_classes_are_named(run_command, faulty):
    # Without names the head's number of classes is the limit.
    for part in ('train', 'val'):
        (faulty / f'{part}.txt.classes').unlink()
    with (faulty / 'train.txt').open('a') as file:
        file.write('train/00000.mp4 6\n')
    code, printed = run_command('check-data', MOTION, *motion_options(faulty))
    assert code == 1 and "1 videos in '" in printed
    assert 'have labels outside 0 to 5, such as train/00000.mp4 (6); correct the list or set model.cls_hea' in printed
    code, printed = run_command('train', MOTION, '--work-dir', faulty / 'run', *motion_options(faulty))
    assert code == 1 and 'Traceback' not in printed and 'have labels outside 0 to 5' in printed


def test_videos_shorter_than_a_clip_are_worth_a_note(run_command, faulty):
    write_video(faulty / 'train' / '00000.mp4', [np.zeros((64, 64, 3), np.uint8)] * 5, 10)
    code, printed = run_command('check-data', MOTION, *motion_options(faulty))
    assert code == 0 and '0 faults, 1 note.' in printed, printed
    assert 'Note: train_dataloader.dataset: 1 (train/00000.mp4 with 5) of the videos have fewer frames' in printed


@pytest.mark.parametrize('sampled', ['all', '3'])
def test_broken_videos_are_named_among_those_that_are_decoded(run_command, faulty, sampled):
    for number in range(12):
        (faulty / f'train/{number:05d}.mp4').write_bytes(b'no video')
    code, printed = run_command('check-data', MOTION, '--videos', sampled, *motion_options(faulty))
    assert code == 1
    assert printed.count('is damaged, truncated or not a video') == (12 if sampled == 'all' else 3)


@pytest.mark.parametrize(
    'content, said', [('a.mp4\n', "Line 1 of the video list '"), ('', 'is empty; make one'), (None, 'does not exist')]
)
def test_a_list_that_is_none_is_named(run_command, faulty, content, said):
    (faulty / 'train.txt').unlink() if content is None else (faulty / 'train.txt').write_text(content)
    code, printed = run_command('check-data', MOTION, *motion_options(faulty))
    assert code == 1 and f"{faulty}/train.txt'" in printed and said in printed


def test_a_missing_video_folder_is_named(run_command, motion, tmp_path):
    options = motion_options(motion)
    options[-3:] = [option.replace(str(motion), str(tmp_path / 'absent')) for option in options[-3:]]
    code, printed = run_command('check-data', MOTION, *options)
    assert code == 1 and f"The video folder '{tmp_path}/absent' of train_dataloader.dataset does not exist" in printed


def spoil(content, images):
    """Faults of a COCO file that does not hinder reading it, and what is said of them."""
    annotations = content['annotations']
    annotations[0]['bbox'] = [0, 0, 5000, 5]
    annotations[1]['bbox'] = [3, 3, 0, 5]
    (images / content['images'][0]['file_name']).unlink()
    (images / content['images'][1]['file_name']).write_text('<html>404</html>')
    content['images'][2]['width'] += 1
    first = annotations[0]['id']
    return [
        f'1 ({first}) of the annotations have a box that does not match their mask; boxes and masks are taken',
        f'1 ({first}) of the annotations have boxes that leave their image; they are cut at its edges',
        f'1 ({annotations[1]["id"]}) of the annotations have boxes without width or height, or outside',
        "train_dataloader.dataset: 1 (000001.png) of the images named in '",
        "000002.png' is empty, damaged, truncated or not an image",
        "1 ('000003.png' is ",
    ]


def test_every_fault_of_a_coco_file_is_named(run_command, shapes, tmp_path):
    shutil.copytree(shapes, tmp_path / 'set')
    path = tmp_path / 'set/annotations/instances_train.json'
    content = json.loads(path.read_text())
    expected = spoil(content, tmp_path / 'set/train')
    path.write_text(json.dumps(content))
    code, printed = run_command('check-data', TINY, *shapes_options(tmp_path / 'set'))
    assert code == 1 and '4 faults, 5 notes.' in printed, printed
    for sentence in expected:
        assert sentence in printed


@pytest.mark.parametrize('corner', [0, 1])
@pytest.mark.parametrize('beyond, cut', [(0.9, 0), (1.5, 1)])
def test_a_box_may_leave_its_image_by_less_than_a_pixel_on_every_side(
    run_command, shapes, tmp_path, corner, beyond, cut
):
    shutil.copytree(shapes, tmp_path / 'set')
    path = tmp_path / 'set/annotations/instances_train.json'
    content = json.loads(path.read_text())
    box = content['annotations'][0]['bbox']
    box[corner] = -beyond
    x, y, width, height = box
    content['annotations'][0]['segmentation'] = [[x, y, x + width, y, x + width, y + height]]
    path.write_text(json.dumps(content))
    code, printed = run_command('check-data', TINY, *shapes_options(tmp_path / 'set'))
    assert code == 0 and ('leave their image; they are cut at its edges' in printed) == bool(cut), printed


def test_an_empty_coco_file_and_other_class_names_are_named(run_command, shapes, tmp_path):
    shutil.copytree(shapes, tmp_path / 'set')
    path = tmp_path / 'set/annotations/instances_train.json'
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | dict(annotations=[])))
    code, printed = run_command('check-data', TINY, *shapes_options(tmp_path / 'set'))
    assert code == 1 and 'has 8 images, but no object of the classes; annotate some' in printed
    options = [*shapes_options(shapes), "train_dataloader.dataset.metainfo.classes=('cat','dog')"]
    code, printed = run_command('check-data', TINY, *options)
    assert code == 1 and "['cat', 'dog']" in printed


def test_a_list_is_made_from_folders_of_classes(run_command, motion, tmp_path):
    for name, number in (('walking dog', 0), ('arching', 1), ('walking dog', 2)):
        (tmp_path / 'videos' / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(motion / f'train/0000{number}.mp4', tmp_path / 'videos' / name)
    code, printed = run_command('make-video-list', 'folders', tmp_path / 'videos', tmp_path / 'list.txt')
    assert code == 0 and '3 videos of 2 classes' in printed
    assert read_video_list(tmp_path / 'list.txt') == [
        ('arching/00001.mp4', 0),
        ('walking dog/00000.mp4', 1),
        ('walking dog/00002.mp4', 1),
    ]
    assert (tmp_path / 'list.txt.classes').read_text() == 'arching\nwalking dog\n'


def test_a_list_is_made_from_kinetics_csv(run_command, tmp_path):
    (tmp_path / 'train.csv').write_text(
        'label,youtube_id,time_start,time_end,split\nzumba,aaaaaaaaaaa,10,20,train\n'
        '"playing, guitar",bbb,3.0,13.0,train\nzumba,ccc,1,11,train\n'
    )
    (tmp_path / 'videos/zumba').mkdir(parents=True)
    for name in ('zumba/aaaaaaaaaaa_000010_000020.mp4', 'bbb_000003_000013.webm'):
        (tmp_path / 'videos' / name).touch()
    arguments = ('kinetics', tmp_path / 'train.csv', tmp_path / 'videos', tmp_path / 'list.txt')
    code, printed = run_command('make-video-list', *arguments)
    assert code == 0 and '2 videos of 2 classes' in printed
    assert f"1 listed videos are not in '{tmp_path}/videos', such as ccc_000001_000011: left out." in printed
    assert read_video_list(tmp_path / 'list.txt') == [
        ('bbb_000003_000013.webm', 0),
        ('zumba/aaaaaaaaaaa_000010_000020.mp4', 1),
    ]


def test_a_list_is_made_from_something_something_json(run_command, tmp_path):
    (tmp_path / 'labels.json').write_text(json.dumps({'Pushing something': '1', 'Holding something': '0'}))
    rows = [dict(id='7', template='Pushing [something]'), dict(id='3', template='Holding [something]')]
    (tmp_path / 'train.json').write_text(json.dumps(rows))
    (tmp_path / 'videos').mkdir()
    for name in ('7.webm', '3.webm'):
        (tmp_path / 'videos' / name).touch()
    arguments = ('ssv2', tmp_path / 'train.json', tmp_path / 'labels.json', tmp_path / 'videos', tmp_path / 'list.txt')
    assert run_command('make-video-list', *arguments)[0] == 0
    assert read_video_list(tmp_path / 'list.txt') == [('3.webm', 0), ('7.webm', 1)]
    rows[0]['template'] = 'Eating [something]'
    (tmp_path / 'train.json').write_text(json.dumps(rows))
    code, printed = run_command('make-video-list', *arguments)
    assert code == 1 and "'Eating something' of video 7 is not in" in printed and 'Traceback' not in printed


@pytest.mark.parametrize(
    'content, said', [('a,b\n1,2\n', 'not a Kinetics list: it needs the columns label'), (None, 'does not')]
)
def test_a_csv_that_is_none_is_refused(run_command, tmp_path, content, said):
    if content is not None:
        (tmp_path / 'train.csv').write_text(content)
    code, printed = run_command('make-video-list', 'kinetics', tmp_path / 'train.csv', tmp_path, tmp_path / 'list.txt')
    assert code == 1 and said in printed and 'Traceback' not in printed and not (tmp_path / 'list.txt').exists()


def test_a_file_without_annotations_for_a_submission_has_no_fault_and_no_sheet(
    run_command, shapes, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    content = json.loads((shapes / 'annotations/instances_val.json').read_text())
    del content['annotations']
    (tmp_path / 'image_info.json').write_text(json.dumps(content))
    config = tmp_path / 'mine.py'
    config.write_text(f"""_base_ = '{TINY}'
pipeline = [step for step in _base_.test_pipeline if step['type'] != 'LoadAnnotations']
test_dataloader = dict(dataset=dict(ann_file='{tmp_path}/image_info.json', pipeline=pipeline))
test_evaluator = dict(format_only=True, ann_file='{tmp_path}/image_info.json', outfile_prefix='{tmp_path}/found')
""")
    options = [option for option in shapes_options(shapes) if not option.startswith('test_evaluator')]
    code, printed = run_command('check-data', config, *options)
    assert code == 0 and '0 faults' in printed, printed
    assert not list(tmp_path.rglob('test.png')) and list(tmp_path.rglob('train.png'))
