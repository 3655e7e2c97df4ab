"""Finds the actions of persons in videos, in AVA's files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hiera_mm.errors import BrokenFileError, UserError, examples
from hiera_mm.readers.ava_files import read_action_list, read_rows
from hiera_mm.readers.found_sets.folder import USES, Folder, part_named_in
from hiera_mm.readers.found_sets.found import FoundPart, FoundSets, account_of, shared_inputs, with_validation
from hiera_mm.readers.images import ENDINGS as IMAGE_ENDINGS
from hiera_mm.readers.text import files_below
from hiera_mm.readers.videos import VIDEO_ENDINGS, open_video

ROW = re.compile(rb'[^,]+,\d+(,[-+.\deE]+){4},\d+,\d+\s*')
EXCLUDED = re.compile(rb'[^,]+,\d+\s*')

RATE = 30
"""Frames a second at which frames are extracted."""

CUT_OUT = 900
"""Second of the film at which AVA's cut out minutes begin."""


def has_actions(folder: Folder) -> bool:
    """Whether there are files with AVA's lines."""
    return any(_begins(path, ROW) for path in folder.with_ending('.csv'))


def find_actions(folder: Folder, out: Path) -> FoundSets:
    """Find videos, or folders of frames, with the actions of persons; annotations that are put apart to validate on are
    written to ``out``.

    Raises:
        UserError: for files that can't be read, whose part can't be told, or whose videos aren't there.
    """
    tables = _by_part(folder, [path for path in folder.with_ending('.csv') if _begins(path, ROW)], 'annotations')
    if not tables:
        raise UserError(
            f"'{folder.root}' holds no annotations in AVA's format, a .csv file of lines video, second, x1, y1, x2, "
            'y2, action, person; name the folder that does.'
        )
    videos, kind = _videos(folder)
    rows = {part: read_rows(path) for part, path in tables.items()}
    for part, path in tables.items():
        folder.use(path, part or 'all')
    split = with_validation({part: sorted({row.video_id for row in found}) for part, found in rows.items()}, folder)
    exclusions = _by_part(
        folder, [path for path in folder.with_ending('.csv') if _begins(path, EXCLUDED)], 'excluded seconds'
    )
    proposals = _by_part(folder, folder.with_ending('.pkl'), 'proposals')
    parts = {}
    for part, names in split.items():
        source = part if part in tables else next(key for key in ('train', None) if key in tables)
        table = tables[source]
        if len(names) < len({row.video_id for row in rows[source]}):
            table = _write_selection(tables[source], names, out / f'{part}.csv')
        folders = {videos[name].parent for name in names if name in videos}
        absent = [name for name in names if name not in videos]
        if len(folders) != 1:
            raise UserError(
                f"The videos of '{tables[source]}', such as {examples(names)}, "
                + (f'lie in {len(folders)} folders' if folders else f"are not in '{folder.root}'")
                + f'; put all of a part into one, as files ({", ".join(VIDEO_ENDINGS[:3])}, ...) or folders of frames.'
            )
        if absent:
            raise UserError(
                f"{examples(absent)} of the videos that '{tables[source]}' names are not in '{folder.root}'; put them "
                'there, or take their lines out.'
            )
        beside = {
            f'{name}_file': files.get(part, files.get(source))
            for name, files in (('exclude', exclusions), ('proposal', proposals))
        }
        for path in filter(None, beside.values()):
            folder.use(path, part)
        present = [videos[name] for name in names]
        for path in present:
            folder.use(path, part)
        parts[part] = FoundPart(table, folders.pop(), list(map(str, present)), beside=beside)
    actions, settings = _actions(folder, rows)
    every = [row for found in rows.values() for row in found if row.video_id in videos]
    settings['timestamp_start'] = _start(every, videos, kind)
    return FoundSets(
        f'persons with actions in {kind}',
        folder.root,
        parts,
        (),
        settings,
        account_of(parts, folder, 'video'),
        [*folder.notes, *shared_inputs(parts, 'video'), f'The actions are {", ".join(actions)}.'],
    )


def _begins(path: Path, line: re.Pattern[bytes]) -> bool:
    with path.open('rb') as file:
        return line.fullmatch(file.readline(1000)) is not None


def _by_part(folder: Folder, paths: Sequence[Path], what: str) -> dict[str | None, Path]:
    found: dict[str | None, Path] = {}
    for path in paths:
        part = part_named_in(path, folder.root)
        if part in found:
            raise UserError(
                f"'{folder.root}' has two files with {what} of the {USES.get(part or '', 'same')} part, "
                f"'{found[part].name}' and '{path.name}'; take one away."
            )
        found[part] = path
    return found


def _videos(folder: Folder) -> tuple[dict[str, Path], str]:
    """Video files by name, or folders of frames if there are none."""
    files = folder.with_ending(*VIDEO_ENDINGS)
    if files:
        twice = [name for name, count in Counter(path.stem for path in files).items() if count > 1]
        if twice:
            raise UserError(
                f"{examples(twice)} of the videos' names are in '{folder.root}' more than once; remove the others."
            )
        return {path.stem: path for path in files}, 'videos'
    frames = {path.parent for path in folder.images}
    for path in folder.images:
        folder.use(path, 'all')
    return {place.name: place for place in frames}, 'frames'


def _write_selection(table: Path, names: Sequence[str], out: Path) -> Path:
    chosen = set(names)
    lines = table.read_text(encoding='utf-8-sig').splitlines()
    kept = [line for line in lines if line.partition(',')[0] in chosen]
    out.write_text('\n'.join(kept) + '\n', encoding='utf-8')
    return out


def _actions(folder: Folder, rows: dict) -> tuple[list[str], dict]:
    """The names of the actions, and the settings that name them."""
    lists = folder.with_ending('.pbtxt')
    # AVA has a list of all and one of those that its challenge scores.
    chosen = [path for path in lists if 'activitynet' in path.name.lower()] or lists
    if len(chosen) > 1:
        raise UserError(
            f"'{folder.root}' has several lists of actions ({', '.join(path.name for path in chosen)}); keep one."
        )
    numbers = {row.action for found in rows.values() for row in found}
    if not chosen:
        return [f'{number}' for number in sorted(numbers)], dict(label_file=None, num_classes=max(numbers) + 1)
    named = read_action_list(chosen[0])
    folder.use(chosen[0], 'all')
    if unnamed := sorted(numbers - {*named}):
        folder.say(f"{examples(unnamed)} of the actions are not in '{chosen[0].name}'; they are not scored.")
    return list(named.values()), dict(label_file=chosen[0], num_classes=max({*named, *numbers}) + 1)


def _seconds(place: Path) -> float:
    """How long extracted frames last."""
    return sum(1 for _ in files_below(place, IMAGE_ENDINGS)) / RATE


def _start(rows: Sequence, videos: dict[str, Path], kind: str) -> int:
    """The second at which the videos begin: that of AVA's cut out minutes, if they are too short for the others."""
    if min(row.timestamp for row in rows) < CUT_OUT:
        return 0
    for row in rows:
        place = videos[row.video_id]
        try:
            seconds = _seconds(place) if kind == 'frames' else open_video(place).duration
        except BrokenFileError:
            continue
        return 0 if seconds >= row.timestamp else CUT_OUT
    return CUT_OUT
