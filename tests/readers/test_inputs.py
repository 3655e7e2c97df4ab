"""What a user asks predictions for."""

from hiera_mm.errors import UserError
from hiera_mm.readers.inputs import Kind, find_inputs, unread_media

import pytest

BOTH = (Kind.IMAGE, Kind.VIDEO, Kind.STREAM)


@pytest.fixture
def folder(tmp_path):
    for name in ('b/2.JPG', 'b/10.jpg', 'a.png', 'film.MP4', 'notes.txt', '.hidden.jpg', 'b/.DS_Store'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(given, kinds=BOTH):
    return [(entry.name, entry.kind) for entry in find_inputs([str(text) for text in given], kinds)]


def test_a_folder_stands_for_all_inside_it(folder):
    pictures = [('a.png', Kind.IMAGE), ('b/10.jpg', Kind.IMAGE), ('b/2.JPG', Kind.IMAGE)]
    assert names([folder]) == [pictures[0], ('film.MP4', Kind.VIDEO), *pictures[1:]]
    assert names([folder], (Kind.IMAGE,)) == pictures
    assert names([folder], (Kind.VIDEO,)) == [('film.MP4', Kind.VIDEO)]


def test_patterns_files_and_folders_mix_and_nothing_comes_twice(folder):
    assert names([f'{folder}/b/*.jpg', folder / 'b' / '10.jpg', folder / 'b']) == [
        ('10.jpg', Kind.IMAGE),
        ('2.JPG', Kind.IMAGE),
    ]
    assert len(names([f'{folder}/**/*'])) == 4
    assert names([f'{folder}/*']) == [
        ('a.png', Kind.IMAGE),
        ('b/10.jpg', Kind.IMAGE),
        ('b/2.JPG', Kind.IMAGE),
        ('film.MP4', Kind.VIDEO),
    ]


def test_files_of_one_name_in_several_folders_stay_apart(folder):
    (folder / 'c').mkdir()
    (folder / 'c' / '10.jpg').touch()
    assert names([folder / 'c', folder / 'b' / '10.jpg']) == [('c/10.jpg', Kind.IMAGE), ('b/10.jpg', Kind.IMAGE)]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path):
    (tmp_path / 'photo [1].jpg').touch()
    assert names([tmp_path / 'photo [1].jpg']) == [('photo [1].jpg', Kind.IMAGE)]


def test_folders_of_frames_are_inputs_of_models_of_clips(folder):
    found = names([folder], (Kind.VIDEO, Kind.FRAMES))
    name = folder.name
    assert found == [(f'{name}/film.MP4', Kind.VIDEO), (name, Kind.FRAMES), (f'{name}/b', Kind.FRAMES)]


def test_cameras_and_addresses_are_streams(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert names(['0', 'rtsp://camera.local/1']) == [('camera_0', Kind.STREAM), ('rtsp_camera_local_1', Kind.STREAM)]
    (folder / '7').mkdir()
    (folder / '7' / 'x.jpg').touch()
    assert names(['7']) == [('x.jpg', Kind.IMAGE)]


@pytest.mark.parametrize(
    'given, kinds, said',
    [
        ('none.jpg', BOTH, "none.jpg' does not exist; correct the path, or put a pattern in quotes"),
        ('*.gif', BOTH, r"\*.gif' does not exist"),
        (
            'notes.txt',
            BOTH,
            'is not an image, a video or a volume by its ending, but this model takes images, videos',
        ),
        ('film.MP4', (Kind.IMAGE,), 'is one of the videos, but this model takes images'),
        ('*.txt', BOTH, 'There are no images, videos and cameras and streams in'),
    ],
)
def test_what_is_no_input_is_told(folder, given, kinds, said):
    with pytest.raises(UserError, match=said):
        names([folder / given], kinds)
    with pytest.raises(UserError, match='but this model takes images'):
        names(['0'], (Kind.IMAGE,))


@pytest.mark.parametrize('name', ['a.heic', 'a.HEIF', 'a.avif', 'a.gif', 'a.jp2', 'a.jfif', 'a.tga', 'a.pbm'])
def test_every_format_that_is_read_is_found(tmp_path, name):
    (tmp_path / name).touch()
    assert [entry.name for entry in find_inputs([str(tmp_path)], [Kind.IMAGE])] == [name]


def test_images_and_videos_of_other_formats_are_named(tmp_path):
    for name in ('a.jpg', 'a.svg', 'a.cr2', 'a.psd', 'notes.txt', 'a.json', 'deep/a.jxl'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(path.rsplit('.', 1)[1] for path in unread_media([str(tmp_path)])) == ['cr2', 'jxl', 'psd', 'svg']
