"""The inputs of a prediction: images, videos, volumes, folders of them, patterns, cameras and streams."""

import glob
import mimetypes
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.images import ENDINGS as IMAGE_ENDINGS
from hiera_mm.readers.text import files_below
from hiera_mm.readers.videos import VIDEO_ENDINGS
from hiera_mm.readers.volumes import ENDINGS as VOLUME_ENDINGS


class Kind(Enum):
    """A kind of input; the value is its plural in messages."""

    IMAGE = 'images'
    VIDEO = 'videos'
    FRAMES = 'folders of frames'
    STREAM = 'cameras and streams'
    VOLUME = 'volumes'


ENDINGS: dict[Kind, Sequence[str]] = {
    Kind.IMAGE: IMAGE_ENDINGS,
    Kind.VIDEO: VIDEO_ENDINGS,
    Kind.FRAMES: IMAGE_ENDINGS,
    Kind.VOLUME: VOLUME_ENDINGS,
}


@dataclass(frozen=True)
class Input:
    """One input of a prediction.

    Attributes:
        source: Its path, or the number or address of a camera.
        kind: Its kind.
        name: Its path relative to the folder that all inputs share; unique.
        more: The further files of a volume whose channels lie in several.
    """

    source: str
    kind: Kind
    name: str
    more: tuple[str, ...] = ()

    @property
    def version(self) -> list[int] | None:
        """Time of change and size of each file; None for a stream and for a file that no longer exists."""
        files = [self.source, *self.more]
        if self.kind is Kind.STREAM or not all(map(os.path.exists, files)):
            return None
        return [number for found in map(os.stat, files) for number in (found.st_mtime_ns, found.st_size)]


def find_inputs(given: Sequence[str], kinds: Collection[Kind]) -> list[Input]:
    """Find the inputs that a user asked for, in alphabetical order within a folder or a pattern.

    A folder stands for all files inside it, at any depth. For models that take folders of frames, a folder that
    directly contains images is one input.

    Args:
        given: Files, folders, patterns such as ``'photos/*.jpg'``, numbers of cameras, and addresses of streams.
        kinds: The kinds that the model takes.

    Raises:
        UserError: if something doesn't exist or is of another kind, or if nothing is found.
    """
    found = [entry for text in given for entry in _find(text, kinds)]
    if not found:
        known = [ending for kind in Kind if kind in kinds for ending in ENDINGS.get(kind, ())[:2]]
        raise UserError(
            f'There are no {_list_kinds(kinds)} in {", ".join(map(repr, given))}; correct the path (files are known by '
            f'their endings, such as {", ".join(known)}).'
        )
    return named_inputs(unrepeated(found))


def unrepeated(found: Iterable[tuple[str, Kind]]) -> list[tuple[str, Kind]]:
    """Sources and kinds without files that are there already, however their paths are written."""
    first: dict[str, tuple[str, Kind]] = {}
    for source, kind in found:
        first.setdefault(source if kind is Kind.STREAM else os.path.abspath(source), (source, kind))
    return [*first.values()]


def unread_media(given: Sequence[str]) -> list[str]:
    """Images and videos in folders whose formats are not read, such as those of raw photographs."""
    files = [path for text in given if os.path.isdir(text) for path in files_below(Path(text))]
    unknown = [path for path in map(str, files) if _kind_by_ending(path) is None]
    return [path for path in unknown if (mimetypes.guess_type(path)[0] or '').startswith(('image/', 'video/'))]


def is_stream(text: str) -> bool:
    """Whether a string is the number of a camera or the address of a stream."""
    return bool(re.fullmatch(r'\d+|(rtsp|rtmp|udp|tcp|http|https)://.+', text)) and not os.path.exists(text)


def _find(text: str, kinds: Collection[Kind]) -> Iterable[tuple[str, Kind]]:
    if is_stream(text):
        _check_kind(text, Kind.STREAM, kinds)
        return [(text, Kind.STREAM)]
    if os.path.isdir(text):
        return _in_folder(Path(text), kinds)
    paths = [text] if os.path.isfile(text) else sorted(glob.glob(text, recursive=True))
    if not paths:
        raise UserError(f"'{text}' does not exist; correct the path, or put a pattern in quotes.")
    if len(paths) == 1 and paths[0] == text:
        kind = _kind_by_ending(text)
        _check_kind(text, kind, kinds)
        return [(text, kind)] if kind else []
    return [entry for path in paths for entry in _match_from_pattern(path, kinds)]


def _match_from_pattern(path: str, kinds: Collection[Kind]) -> list[tuple[str, Kind]]:
    if os.path.isdir(path):
        return _in_folder(Path(path), kinds)
    kind = _kind_by_ending(path)
    return [(path, kind)] if kind in kinds and kind else []


def _in_folder(folder: Path, kinds: Collection[Kind]) -> list[tuple[str, Kind]]:
    files = [(path, kind) for path in files_below(folder) if (kind := _kind_by_ending(str(path)))]
    found = [(str(path), kind) for path, kind in files if kind in kinds]
    if Kind.FRAMES in kinds:
        folders = dict.fromkeys(str(path.parent) for path, kind in files if kind is Kind.IMAGE)
        found += [(path, Kind.FRAMES) for path in folders]
    return found


def _kind_by_ending(path: str) -> Kind | None:
    if path.lower().endswith(VOLUME_ENDINGS):
        return Kind.VOLUME
    ending = os.path.splitext(path)[1].lower()
    return Kind.IMAGE if ending in IMAGE_ENDINGS else Kind.VIDEO if ending in VIDEO_ENDINGS else None


def _check_kind(text: str, kind: Kind | None, kinds: Collection[Kind]) -> None:
    if kind not in kinds:
        what = f'is one of the {kind.value}' if kind else 'is not an image, a video or a volume by its ending'
        raise UserError(f"'{text}' {what}, but this model takes {_list_kinds(kinds)}.")


def _list_kinds(kinds: Collection[Kind]) -> str:
    *others, last = [kind.value for kind in Kind if kind in kinds]
    return f'{", ".join(others)} and {last}' if others else last


def named_inputs(found: Sequence[tuple[str, Kind]]) -> list[Input]:
    """Name each input, given by source and kind, by its path relative to the folder that all of them share.

    Raises:
        UserError: if two have the same name.
    """
    files = [os.path.abspath(source) for source, kind in found if kind is not Kind.STREAM]
    shared = os.path.commonpath([os.path.dirname(path) for path in files]) if files else ''
    inputs = [
        Input(source, kind, _stream_name(source))
        if kind is Kind.STREAM
        else Input(source, kind, os.path.relpath(os.path.abspath(source), shared))
        for source, kind in found
    ]
    names = [entry.name for entry in inputs]
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise UserError(f'{examples(repeated)} would be written to the same place; predict them one after the other.')
    return inputs


def _stream_name(source: str) -> str:
    return f'camera_{source}' if source.isdigit() else re.sub(r'\W+', '_', source)
