"""Make mmaction2's video lists from folders of classes, Kinetics' CSV, or Something-Something's JSON.

hiera-mm make-video-list folders VIDEOS LIST          # VIDEOS/class name/*.mp4
hiera-mm make-video-list kinetics CSV VIDEOS LIST     # label, youtube_id, time_start, time_end, split
hiera-mm make-video-list ssv2 JSON LABELS VIDEOS LIST # something-something-v2-{train,labels}.json
"""

import argparse
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, first_few
from hiera_mm.readers.videos import VIDEO_ENDINGS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sources = parser.add_subparsers(dest='source', required=True)
    for source, files in dict(folders=(), kinetics=('csv',), ssv2=('json', 'labels')).items():
        command = sources.add_parser(source)
        for name in (*files, 'videos', 'list'):
            command.add_argument(name)


def run(arguments: argparse.Namespace) -> None:
    videos = existing(arguments.videos)
    if arguments.source == 'folders':
        classes = sorted(folder.name for folder in videos.iterdir() if folder.is_dir())
        entries = [
            (path, classes.index(path.parent.name)) for path in videos.glob('*/*') if path.suffix in VIDEO_ENDINGS
        ]
        absent: list[str] = []
    else:
        listed, classes = (kinetics if arguments.source == 'kinetics' else ssv2)(arguments)
        entries, absent = find(listed, videos)
    if not entries:
        raise UserError(f"None of the videos was found in '{videos}' (endings: {', '.join(VIDEO_ENDINGS)}).")
    write(arguments.list, sorted((str(path.relative_to(videos)), label) for path, label in entries))
    write(f'{arguments.list}.classes', [(name,) for name in classes])
    print(f"{len(entries)} videos of {len(classes)} classes are in '{arguments.list}', class names beside it.")
    if absent:
        print(f"{len(absent)} listed videos are not in '{videos}', such as {first_few(absent)}: left out.")


def kinetics(arguments: argparse.Namespace) -> tuple[list[tuple[str, int]], list[str]]:
    """Names without ending, as the set's downloaders write them: ``{id}_{start:06d}_{end:06d}``."""
    with existing(arguments.csv).open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    needed = ('label', 'youtube_id', 'time_start', 'time_end')
    if not rows or any(column not in rows[0] for column in needed):
        raise UserError(f"The file '{arguments.csv}' is not a Kinetics list: it needs the columns {', '.join(needed)}.")
    classes = sorted({row['label'] for row in rows})
    numbers = {name: number for number, name in enumerate(classes)}
    return [
        (
            f'{row["youtube_id"]}_{int(float(row["time_start"])):06d}_{int(float(row["time_end"])):06d}',
            numbers[row['label']],
        )
        for row in rows
    ], classes


def ssv2(arguments: argparse.Namespace) -> tuple[list[tuple[str, int]], list[str]]:
    labels, rows = (read_json(path) for path in (arguments.labels, arguments.json))
    numbers = {name: int(number) for name, number in labels.items()}
    listed = []
    for row in rows:
        name = row['template'].replace('[', '').replace(']', '')
        if name not in numbers:
            raise UserError(f"The label '{name}' of video {row['id']} is not in '{arguments.labels}'.")
        listed.append((str(row['id']), numbers[name]))
    return listed, sorted(numbers, key=numbers.__getitem__)


def find(listed: list[tuple[str, int]], videos: Path) -> tuple[list[tuple[Path, int]], list[str]]:
    """The files of names, wherever below ``videos`` they lie, and the names without one."""
    files = {path.stem: path for path in walk(videos)}
    return [(files[name], label) for name, label in listed if name in files], [n for n, _ in listed if n not in files]


def walk(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.endswith(VIDEO_ENDINGS))


def read_json(path: str) -> Any:
    try:
        return json.loads(existing(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f"The file '{path}' is not valid JSON: {error}.") from error


def existing(path: str) -> Path:
    if not Path(path).exists():
        raise UserError(f"'{path}' does not exist; correct the path.")
    return Path(path)


def write(path: str, rows: list[tuple]) -> None:
    with atomic_write(path) as unfinished:
        unfinished.write_text(''.join(' '.join(map(str, row)) + '\n' for row in rows), encoding='utf-8')
