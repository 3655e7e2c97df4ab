"""Lists of files, names of classes, and folders, as people's programs write them."""

from hiera_mm.errors import UserError
from hiera_mm.readers.class_names import classes_from, numbers_by_name, read_class_names
from hiera_mm.readers.labelled_lists import read_named_list, read_video_list
from hiera_mm.readers.text import files_below, folders_in, read_text

import pytest


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
def test_lists_are_read_in_every_encoding_that_tells_itself(tmp_path, encoding, end):
    (tmp_path / 'a.txt').write_bytes(f'käse/a b.mp4 3{end}b.mp4 0{end}'.encode(encoding))
    assert read_video_list(tmp_path / 'a.txt') == [('käse/a b.mp4', 3), ('b.mp4', 0)]


@pytest.mark.parametrize('content', [b'a.mp4 0\nk\xe4se.mp4 1\n', 'a.mp4 0\n'.encode('utf-16-le')])
def test_another_encoding_is_named_with_the_file(tmp_path, content):
    (tmp_path / 'a.txt').write_bytes(content)
    with pytest.raises(UserError, match="the video list|The video list '.*a.txt' is not a text file in UTF-8"):
        read_video_list(tmp_path / 'a.txt')


def test_the_line_of_a_letter_in_another_encoding_is_named(tmp_path):
    (tmp_path / 'a.txt').write_bytes(b'a.mp4 0\nk\xe4se.mp4 1\n')
    with pytest.raises(UserError, match="Line 2 of the list '.*a.txt' is not in UTF-8; save the file as UTF-8"):
        read_text(tmp_path / 'a.txt', 'list')


@pytest.mark.parametrize('line', ['a b.mp4  2', 'a b.mp4\t2', 'a b.mp4,2', 'a b.mp4, 2', '"a b.mp4",2', 'a b.mp4;2 '])
def test_what_stands_between_a_path_and_its_label_is_no_part_of_the_path(tmp_path, line):
    (tmp_path / 'a.txt').write_text(f'{line}\n')
    assert read_video_list(tmp_path / 'a.txt') == [('a b.mp4', 2)]


@pytest.mark.parametrize('line', ['a.mp4', 'a.mp4 -1', 'a.mp4 1.5', '7', 'a.mp4 two', 'a.mp4 ²'])
def test_a_line_without_a_class_is_named(tmp_path, line):
    (tmp_path / 'a.txt').write_text(f'b.mp4 0\n{line}\n', encoding='utf-8')
    with pytest.raises(UserError, match=r"Line 2 of the video list '.*a.txt' is '.*'; each line must be a path, a sp"):
        read_video_list(tmp_path / 'a.txt')


def write_named_list(folder, lines, names):
    (folder / 'a.txt').write_text(lines)
    (folder / 'a.txt.classes').write_text(names)
    return folder / 'a.txt'


def test_labels_are_told_by_the_names_beside_the_list(tmp_path):
    """A validation list that lacks a class, or numbers them in another order, means the model's classes."""
    path = write_named_list(tmp_path, 'a.mp4 0\nb.mp4 1\n', 'Clap\nwave\n')
    assert read_named_list(path, None) == ([('a.mp4', 0), ('b.mp4', 1)], ('Clap', 'wave'))
    classes = ('wave', 'jump', 'clap')
    assert read_named_list(path, classes) == ([('a.mp4', 2), ('b.mp4', 0)], classes)
    (tmp_path / 'a.txt.classes').unlink()
    assert read_named_list(path, classes) == ([('a.mp4', 0), ('b.mp4', 1)], classes)
    assert read_named_list(path, None) == ([('a.mp4', 0), ('b.mp4', 1)], None)


@pytest.mark.parametrize(
    'names, classes, said',
    [
        ('clap\n', None, r"1 videos in '.*' have labels beyond the 1 names in '.*a.txt.classes', such as b.mp4 \(1\)"),
        (
            'clap\nsing\n',
            ('wave', 'clap'),
            r"1 \(sing\) of the 2 classes of '.*' are not among the 2 classes of the mo",
        ),
        ('clap\nclap\n', None, r'has 1 \(clap\) more than once'),
        ('\n', None, r"The file of class names '.*' is empty; write one name a line"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, names, classes, said):
    path = write_named_list(tmp_path, 'a.mp4 0\nb.mp4 1\n', names)
    with pytest.raises(UserError, match=said):
        read_named_list(path, classes)


def test_names_that_differ_in_case_are_two_classes_where_both_are_there():
    assert numbers_by_name(['cat', 'Cat', 'DOG'], ['Cat', 'cat', 'dog'], 'a') == [1, 0, 2]


def test_classes_come_from_names_or_a_file_but_not_from_a_word(tmp_path):
    (tmp_path / 'names.txt').write_bytes('cat\r\ndog\r\n'.encode('utf-8-sig'))
    assert classes_from(str(tmp_path / 'names.txt')) == classes_from(['cat', 'dog']) == ('cat', 'dog')
    with pytest.raises(
        UserError, match=r"The classes are the string 'cat', which is not a file of names; write classes"
    ):
        classes_from('cat')
    with pytest.raises(UserError, match="The file of class names '.*' does not exist"):
        read_class_names(tmp_path / 'none.txt')


def test_what_computers_leave_in_folders_is_passed_over(tmp_path):
    for name in (
        'a/1.MP4',
        'a/deep/2.mp4',
        'a/._1.mp4',
        '.ipynb_checkpoints/3.mp4',
        '__MACOSX/4.mp4',
        'b/x.txt',
        '5.mov',
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in files_below(tmp_path, ('.mp4', '.mov'))]
    assert found == ['5.mov', 'a/1.MP4', 'a/deep/2.mp4']
    assert folders_in(tmp_path) == ['a', 'b']
