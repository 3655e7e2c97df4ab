"""Folders of frames with other files beside them."""

from hiera_mm.errors import BrokenFileError
from hiera_mm.readers.frame_folders import FrameFolder, infer_frame_naming

import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'film').mkdir()
    return tmp_path / 'film'


def write(folder, *names):
    for name in names:
        Image.new('RGB', (8, 6), (9, 9, 9)).save(folder / name)


BESIDE = {
    'optical flow': ['flow_x_00001.jpg', 'flow_y_00001.jpg', 'flow_x_00009.jpg'],
    'a thumbnail': ['thumbnail.jpg'],
    'another number': ['img_1.jpg', 'img_000001.jpg'],
    'another ending': ['img_00004.png'],
    'another beginning': ['my_img_00004.jpg', 'frame_00004.jpg'],
    'a copy': ['img_00004 (1).jpg', 'img_00004_small.jpg'],
}


@pytest.mark.parametrize('beside', BESIDE)
def test_only_names_of_the_template_are_frames(folder, beside):
    write(folder, 'img_00001.jpg', 'img_00002.jpg', 'img_00003.jpg', *BESIDE[beside])
    reader = FrameFolder(folder, 'img_{:05}.jpg', 1, 25.0)
    assert len(reader) == 3 and len(reader.frames(range(3))) == 3


@pytest.mark.parametrize(
    'template, names',
    [
        ('{:06}.jpg', ['000000.jpg', '000001.jpg']),
        ('{}.png', ['0.png', '1.png', '10.png']),
        ('{video_id}_{:03}.jpg', ['film_000.jpg', 'film_001.jpg', 'other_002.jpg']),
        ('shot2_{:04}.jpg', ['shot2_0000.jpg', 'shot2_0001.jpg', 'shot3_0002.jpg']),
        ('img_{:05}.jpg', ['img_00000.jpg', 'img_100000.jpg']),
    ],
)
def test_templates_of_every_form_count_their_frames(folder, template, names):
    write(folder, *names)
    expected = sum(not name.startswith(('other', 'shot3')) for name in names)
    assert len(FrameFolder(folder, template, 0, 25.0)) == expected


def test_a_folder_with_flow_alone_holds_no_frames(folder):
    write(folder, 'flow_x_00001.jpg', 'flow_y_00001.jpg')
    with pytest.raises(BrokenFileError, match='holds no frames named like'):
        FrameFolder(folder, 'img_{:05}.jpg', 1, 25.0)


def test_the_naming_is_told_beside_flow(folder):
    write(folder, 'img_00001.jpg', 'img_00002.jpg', 'flow_x_00001.jpg', 'flow_y_00001.jpg')
    assert infer_frame_naming(folder) == ('img_{:05}.jpg', 1)
