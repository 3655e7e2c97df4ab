"""hiera-mm make-video-list: one numbering for all parts, what is left out, and sentences for files that are none."""

import json
import shutil

from hiera_mm.readers.labelled_lists import read_video_list
from hiera_mm.settings import read_config

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope

from tests.coded_videos import write_with_pyav


@pytest.fixture
def parts(tmp_path):
    """Videos of the classes a, b and c for training, and of a and c for validation."""
    write_with_pyav(tmp_path / 'film.mp4', times=np.arange(20) / 30)
    for name in ('train/a/1.mp4', 'train/b/1.MP4', 'train/c/deep/1.mp4', 'val/a/2.mp4', 'val/C/2.mp4'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / 'film.mp4', tmp_path / name)
    (tmp_path / 'val/C').rename(tmp_path / 'val/c')
    return tmp_path


def config_of(folder, more=''):
    text = f"""_base_ = 'hiera_mm::k400_hiera_b.py'
train_dataloader = dict(dataset=dict(ann_file='{folder}/train.txt', data_prefix=dict(video='{folder}/train')))
val_dataloader = dict(dataset=dict(ann_file='{folder}/val.txt', data_prefix=dict(video='{folder}/val')))
test_dataloader = dict(dataset=dict(ann_file='{folder}/val.txt', data_prefix=dict(video='{folder}/val')))
{more}
"""
    (folder / 'mine.py').write_text(text)
    return folder / 'mine.py'


def test_parts_that_are_given_together_are_numbered_alike(run_command, parts):
    arguments = [parts / 'train', parts / 'train.txt', parts / 'val', parts / 'new folder' / 'val.txt']
    code, printed = run_command('make-video-list', 'folders', *arguments)
    assert code == 0, printed
    assert read_video_list(parts / 'train.txt') == [('a/1.mp4', 0), ('b/1.MP4', 1), ('c/deep/1.mp4', 2)]
    assert read_video_list(parts / 'new folder' / 'val.txt') == [('a/2.mp4', 0), ('c/2.mp4', 2)]
    assert f"1 (b) of the classes have no video in '{parts}/val'." in printed
    assert (parts / 'new folder' / 'val.txt.classes').read_text() == 'a\nb\nc\n'


def test_a_part_that_is_made_later_is_numbered_by_the_names_of_the_first(run_command, parts):
    assert run_command('make-video-list', 'folders', parts / 'train', parts / 'train.txt')[0] == 0
    (parts / 'val/c').rename(parts / 'val/C')
    names = parts / 'train.txt.classes'
    assert run_command('make-video-list', 'folders', parts / 'val', parts / 'val.txt', '--classes', names)[0] == 0
    assert read_video_list(parts / 'val.txt') == [('C/2.mp4', 2), ('a/2.mp4', 0)]
    (parts / 'val/d').mkdir()
    code, printed = run_command('make-video-list', 'folders', parts / 'val', parts / 'val.txt', '--classes', names)
    assert code == 1 and f"1 (d) of the 3 classes of '{parts}/val' are not among the 3 classes" in printed


def test_lists_that_number_their_classes_apart_are_refused_until_the_advice_is_followed(run_command, parts):
    for part in ('train', 'val'):
        assert run_command('make-video-list', 'folders', parts / part, parts / f'{part}.txt')[0] == 0
    assert read_video_list(parts / 'val.txt') == [('a/2.mp4', 0), ('c/2.mp4', 1)]
    for tool, options in (('check-data', ['--videos', 'all']), ('train', ['--work-dir', parts / 'work'])):
        code, printed = run_command(tool, config_of(parts), *options)
        assert code == 1 and 'The classes of val_dataloader.dataset are a, c, but those of train_dataloader' in printed
        assert 'preferably with classes = (...) at the top of the config' in printed and 'Traceback' not in printed
    config = config_of(parts, f"classes = '{parts}/train.txt.classes'")
    code, printed = run_command('check-data', config, '--videos', 'all')
    assert code == 0 and '0 faults' in printed, printed
    settings = read_config(str(config))
    init_default_scope('mmaction')
    validation = DATASETS.build(settings.val_dataloader.dataset)
    assert [validation.get_data_info(place)['label'] for place in range(2)] == [0, 2]
    assert validation.metainfo['classes'] == ('a', 'b', 'c')
    assert settings.model.cls_head.num_classes == 3 and settings.model.cls_head.topk == (1,)
    assert settings.val_evaluator.metric_options == dict(top_k_accuracy=dict(topk=(1,)))


def test_what_is_left_out_is_said(run_command, parts):
    for name in ('train/.ipynb_checkpoints/1.mp4', 'train/__MACOSX/._1.mp4', 'train/a/notes.txt', 'train/loose.mp4'):
        (parts / name).parent.mkdir(exist_ok=True)
        (parts / name).write_bytes(b'x')
    code, printed = run_command('make-video-list', 'folders', parts / 'train', parts / 'train.txt')
    assert code == 0 and '3 videos of 3 classes' in printed
    assert f"2 (loose.mp4, notes.txt) files in '{parts}/train' are not videos in a class folder: left" in printed


def test_folders_that_differ_in_case_only_are_refused(run_command, parts):
    (parts / 'train/A').mkdir()
    code, printed = run_command('make-video-list', 'folders', parts / 'train', parts / 'train.txt')
    assert code == 1 and 'The folders of 1 (a) classes differ between upper and lower case only' in printed
    assert not (parts / 'train.txt').exists()


KINETICS = 'label,youtube_id,time_start,time_end,split\n'
LABELS = json.dumps({'Holding something': '0'})


@pytest.mark.parametrize(
    'source, files, said',
    [
        ('kinetics', [KINETICS + 'clap,abc,,,train\n'], 'Row 2 of the Kinetics list'),
        ('kinetics', [KINETICS + 'clap,abc,ten,20,train\n'], "time_start='ten'"),
        ('kinetics', [KINETICS + 'clap,abc\n'], 'needs a label, a youtube_id, and times in seconds'),
        ('kinetics', [KINETICS + 'clap,abc,inf,1e999,train\n'], 'needs a label'),
        ('kinetics', ['\ufeffyoutube_id,time_start\nabc,1\n'], 'it needs the columns label, youtube_id'),
        ('kinetics', ['\0\0'], 'is not a text file'),
        ('ssv2', [json.dumps([{'id': '1'}]), LABELS], 'the test part has no template'),
        ('ssv2', [LABELS, json.dumps([{'id': '1'}])], 'give the part first and then the labels'),
        ('ssv2', [json.dumps([dict(id=1, template='Holding [something]')]), '{"Holding something": "x"}'], 'numbers'),
        ('ssv2', ['[1', LABELS], 'is not valid JSON'),
        ('ssv2', ['[' * 100_000, LABELS], 'is not valid JSON'),
    ],
)
def test_files_in_another_form_are_refused_in_a_sentence(run_command, tmp_path, source, files, said):
    (tmp_path / 'videos').mkdir()
    paths = [tmp_path / f'{number}.file' for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_text(content, encoding='utf-8')
    code, printed = run_command('make-video-list', source, *paths, tmp_path / 'videos', tmp_path / 'list.txt')
    assert code == 1 and said in printed and 'Traceback' not in printed and not (tmp_path / 'list.txt').exists()


def test_a_csv_with_a_byte_order_mark_is_read_and_numbered_by_given_names(run_command, tmp_path):
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'videos/abc_000010_000020.WEBM').touch()
    (tmp_path / 'k.csv').write_text(KINETICS + 'clap,abc,10,20,val\n', encoding='utf-8-sig')
    (tmp_path / 'all.classes').write_text('bow\nclap\n')
    arguments = ['kinetics', tmp_path / 'k.csv', tmp_path / 'videos', tmp_path / 'list.txt']
    assert run_command('make-video-list', *arguments, '--classes', tmp_path / 'all.classes')[0] == 0
    assert read_video_list(tmp_path / 'list.txt') == [('abc_000010_000020.WEBM', 1)]


def test_another_size_after_reading_is_told(run_command, parts):
    """As when somebody changes a recipe's Resize alone: frames would be shrunk and then enlarged."""
    lists = [parts / 'train', parts / 'train.txt', parts / 'val', parts / 'val.txt']
    assert run_command('make-video-list', 'folders', *lists)[0] == 0
    config = config_of(parts)
    options = ['--cfg-options', 'train_dataloader.dataset.pipeline.3.scale=(-1,448)']
    code, printed = run_command('check-data', config, *options)
    assert code == 1 and 'reads frames with a short side of 320 (ReadFrames) and then resizes them to 448' in printed
