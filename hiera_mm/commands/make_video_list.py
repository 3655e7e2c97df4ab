"""Make mmaction2's video lists from folders of classes, Kinetics' CSV, or Something-Something's JSON.

hiera-mm make-video-list folders VIDEOS LIST [VIDEOS LIST ...] [--classes FILE]   # VIDEOS/class name/**/*.mp4
hiera-mm make-video-list kinetics CSV VIDEOS LIST [--classes FILE]      # label, youtube_id, time_start, time_end, split
hiera-mm make-video-list ssv2 JSON LABELS VIDEOS LIST                   # something-something-v2-{train,labels}.json

The class names are written next to each list, as LIST.classes. Parts given together share one numbering; for a part
made later, pass the first one's file with --classes.
"""

import argparse
import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, examples, first_few
from hiera_mm.readers.class_names import class_names_file, numbers_by_name, read_class_names
from hiera_mm.readers.text import files_below, folders_in, read_text
from hiera_mm.readers.videos import VIDEO_ENDINGS

KINETICS_COLUMNS = ('label', 'youtube_id', 'time_start', 'time_end')


class VideoList(NamedTuple):
    """The videos of a list with their class numbers, and sentences about what was left out."""

    entries: list[tuple[Path, int]]
    notes: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sources = parser.add_subparsers(dest='source', required=True)
    for source, files in dict(folders=(), kinetics=('csv',), ssv2=('json', 'labels')).items():
        command = sources.add_parser(source)
        for name in (*files, 'videos', 'list'):
            command.add_argument(name)
        if source == 'folders':
            command.add_argument('more', nargs='*', help='videos and list of further parts, with the same numbering')
        if source != 'ssv2':
            command.add_argument(
                '--classes', metavar='FILE', help='the class names, such as those next to an earlier list'
            )


def run(arguments: argparse.Namespace) -> None:
    places = [arguments.videos, arguments.list, *getattr(arguments, 'more', ())]
    if len(places) % 2:
        raise UserError(f"After the videos '{places[-1]}' the list to write is missing; give both for each part.")
    parts = [(existing_path(videos), Path(path)) for videos, path in zip(places[::2], places[1::2], strict=True)]
    if arguments.source == 'folders':
        classes = classes_videos_in_folders([videos for videos, _ in parts], arguments.classes)
        found = [videos_in_folders(videos, classes) for videos, _ in parts]
    elif arguments.source == 'kinetics':
        named = read_kinetics(arguments.csv)
        classes = read_classes(arguments.classes) or tuple(sorted({name for _, name in named}))
        numbers = numbers_by_name([name for _, name in named], classes, arguments.csv)
        found = [find_videos([(video, number) for (video, _), number in zip(named, numbers, strict=True)], parts[0][0])]
    else:
        listed, classes = read_ssv2(arguments.json, arguments.labels)
        found = [find_videos(listed, parts[0][0])]
    for (videos, _), (entries, _) in zip(parts, found, strict=True):
        if not entries:
            raise UserError(f"No video was found in '{videos}' (endings: {', '.join(VIDEO_ENDINGS)}).")
    for (videos, path), (entries, notes) in zip(parts, found, strict=True):
        write_rows(path, sorted((str(video.relative_to(videos)), number) for video, number in entries))
        write_rows(class_names_file(path), [(name,) for name in classes])
        print(f"{len(entries)} videos of {len(classes)} classes are in '{path}', the class names next to it.")
        print(''.join(f'{note}\n' for note in notes), end='')


def classes_videos_in_folders(parts: Sequence[Path], names: str | None) -> tuple[str, ...]:
    """The classes that have a folder in any part, or those of the file ``names``."""
    if names is not None:
        return read_class_names(names)
    folders = sorted({name for videos in parts for name in folders_in(videos)})
    alike = [name for name, count in Counter(name.casefold() for name in folders).items() if count > 1]
    if alike:
        raise UserError(
            f'The folders of {examples(alike)} classes differ between upper and lower case only; give each class one '
            'name, the same in all parts.'
        )
    return tuple(folders)


def videos_in_folders(videos: Path, classes: Sequence[str]) -> VideoList:
    """The videos below each class's folder, however deep."""
    everything = list(files_below(videos))
    inside = {path for path in everything if path.suffix.lower() in VIDEO_ENDINGS and path.parent != videos}
    names = folders_in(videos)
    numbers = dict(zip(names, numbers_by_name(names, classes, videos), strict=True))
    entries = [(path, numbers[path.relative_to(videos).parts[0]]) for path in inside]
    left = [path.name for path in everything if path not in inside]
    absent = sorted({*range(len(classes))} - {number for _, number in entries})
    notes = []
    if left:
        notes.append(f"{examples(left)} files in '{videos}' are not videos in a class folder: left out.")
    if absent:
        notes.append(f"{examples([classes[number] for number in absent])} of the classes have no video in '{videos}'.")
    return VideoList(entries, notes)


def read_kinetics(path: str) -> list[tuple[str, str]]:
    """File names without ending, as downloaders write them (``{id}_{start:06d}_{end:06d}``), and their classes."""
    rows = list(csv.DictReader(io.StringIO(read_text(existing_path(path), 'Kinetics list'), newline='')))
    if not rows or any(column not in rows[0] for column in KINETICS_COLUMNS):
        columns = ', '.join(KINETICS_COLUMNS)
        raise UserError(f"The file '{path}' is not a Kinetics list: it needs the columns {columns}.")
    named = []
    for line, row in enumerate(rows, start=2):
        try:
            start, end = (int(float(row[column])) for column in ('time_start', 'time_end'))
            if not row['label'] or not row['youtube_id']:
                raise ValueError
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"Row {line} of the Kinetics list '{path}' needs a label, a youtube_id, and times in seconds, but has "
                f'{", ".join(f"{column}={row[column]!r}" for column in KINETICS_COLUMNS)}; correct or remove it.'
            ) from error
        named.append((f'{row["youtube_id"]}_{start:06d}_{end:06d}', row['label']))
    return named


def read_ssv2(path: str, labels_path: str) -> tuple[list[tuple[str, int]], tuple[str, ...]]:
    """File names without ending with their class numbers, and the class names."""
    labels, rows = read_json(labels_path), read_json(path)
    if not isinstance(labels, dict) or not all(str(number).isdigit() for number in labels.values()):
        raise UserError(
            f"The file '{labels_path}' is not Something-Something's labels, a dict from names to numbers; give the "
            'part first and then the labels: something-something-v2-train.json something-something-v2-labels.json.'
        )
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and {'id', 'template'} <= row.keys() for row in rows
    ):
        raise UserError(
            f"The file '{path}' is not a labelled part of Something-Something, a list of entries with id and template "
            '(the test part has no templates); give something-something-v2-train.json or -validation.json.'
        )
    numbers = {name: int(number) for name, number in labels.items()}
    listed = []
    for row in rows:
        name = str(row['template']).replace('[', '').replace(']', '')
        if name not in numbers:
            raise UserError(f"The label '{name}' of video {row['id']} is not in '{labels_path}'.")
        listed.append((str(row['id']), numbers[name]))
    return listed, tuple(sorted(numbers, key=numbers.__getitem__))


def find_videos(listed: list[tuple[str, int]], videos: Path) -> VideoList:
    """Find the files with these names anywhere below ``videos``."""
    paths = list(files_below(videos, VIDEO_ENDINGS))
    files = {path.stem: path for path in reversed(paths)}
    absent = [name for name, _ in listed if name not in files]
    twice = [name for name, count in Counter(path.stem for path in paths).items() if count > 1]
    notes = []
    if absent:
        notes.append(f"{len(absent)} listed videos are not in '{videos}', such as {first_few(absent)}: left out.")
    if twice:
        notes.append(f"{examples(twice)} videos occur more than once in '{videos}': the first of each is used.")
    return VideoList([(files[name], label) for name, label in listed if name in files], notes)


def read_classes(path: str | None) -> tuple[str, ...] | None:
    return None if path is None else read_class_names(path)


def read_json(path: str) -> Any:
    try:
        return json.loads(read_text(existing_path(path), 'file'))
    except (ValueError, RecursionError) as error:
        raise UserError(f"The file '{path}' is not valid JSON: {error}.") from error


def existing_path(path: str) -> Path:
    if not Path(path).exists():
        raise UserError(f"'{path}' does not exist; correct the path.")
    return Path(path)


def write_rows(path: Path, rows: Sequence[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        unfinished.write_text(''.join(' '.join(map(str, row)) + '\n' for row in rows), encoding='utf-8')
