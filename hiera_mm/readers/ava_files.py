"""AVA's files (Gu et al., CVPR 2018): annotations, action list, excluded timestamps, proposals."""

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.text import read_text

import numpy as np


class Row(NamedTuple):
    """One action of one person at one second; the box is x1, y1, x2, y2 as fractions of the frame's sides."""

    line: int
    video_id: str
    timestamp: int
    box: tuple[float, float, float, float]
    action: int
    person: int

    @property
    def key(self) -> str:
        """The frame's key in proposal files."""
        return frame_key(self.video_id, self.timestamp)


def frame_key(video_id: str, timestamp: int) -> str:
    """``'video,0902'``."""
    return f'{video_id},{timestamp:04d}'


def read_rows(path: str | Path) -> list[Row]:
    """Read annotations such as ``ava_train_v2.2.csv``: video, second, x1, y1, x2, y2, action, person.

    Raises:
        UserError: for a missing or empty file, or a malformed line.
    """
    rows = []
    for number, line in _lines(path, 'annotation file', 'ann_file'):
        values = line.split(',')
        try:
            video_id, timestamp, *box, action, person = values
            x1, y1, x2, y2 = map(float, box)
            rows.append(Row(number, video_id, int(timestamp), (x1, y1, x2, y2), int(action), int(person)))
            if len(box) != 4 or not video_id:
                raise ValueError
        except ValueError as error:
            raise UserError(
                f"Line {number} of the annotation file '{path}' is '{line}'; AVA's lines are video, second, x1, y1, "
                'x2, y2, action, person, separated by commas; second, action and person are whole numbers.'
            ) from error
    if not rows:
        raise UserError(f"The annotation file '{path}' is empty; set ann_file to one in AVA's format.")
    return rows


def read_action_list(path: str | Path) -> dict[int, str]:
    """Read the names of actions by number, from a ``.pbtxt`` file of items with ``name: "..."`` and ``id: N``.

    Raises:
        UserError: if the file is missing, or if mmaction2, which uses it in evaluation, would not read all items.
    """
    text = '\n'.join(line for _, line in _lines(path, 'action list', 'label_file', strip=False))
    names = re.findall(r'name:\s*"([^"]*)"', text)
    numbers = [int(number) for number in re.findall(r'\b(?:label_)?id:\s*(\d{1,9})\b', text)]
    # mmaction2's reader takes only lines that begin exactly like this.
    readable = (
        re.findall(r'^  name: *"', text, re.MULTILINE),
        re.findall(r'^  (?:label_)?id: \d+ *$', text, re.MULTILINE),
    )
    if not names or len({len(names), len(numbers), *map(len, readable)}) != 1:
        raise UserError(
            f"The action list '{path}' has {len(names)} names and {len(numbers)} numbers that can be read; write each "
            f'action as four lines: item {{, two blanks and name: "stand", two blanks and id: 12, }}.'
        )
    repeated = sorted({number for number in numbers if numbers.count(number) > 1})
    if repeated:
        raise UserError(
            f"The action list '{path}' gives more than one action the number {examples(repeated)}; give each its own."
        )
    return dict(zip(numbers, names, strict=True))


def read_exclusions(path: str | Path) -> set[str]:
    """Read the keys of excluded frames, from a file with lines such as ``video,0902``.

    Raises:
        UserError: for a missing file, or a malformed line.
    """
    keys = set()
    for number, line in _lines(path, 'list of excluded timestamps', 'exclude_file'):
        found = re.fullmatch(r'([^,]+),(\d{1,9})', line)
        if not found:
            raise UserError(
                f"Line {number} of the excluded timestamps '{path}' is '{line}'; each must be a video, a comma and a "
                'whole second.'
            )
        keys.add(frame_key(found[1], int(found[2])))
    return keys


def read_proposals(path: str | Path) -> dict[str, np.ndarray]:
    """Read boxes of persons by frame, ``(N, 4)`` or with scores ``(N, 5)``, from a pickle, without running code in it.

    Raises:
        UserError: if the file is missing, is not a pickle, holds anything but such arrays, or would run code.
    """
    path = Path(path)
    _must_exist(path, 'proposal file', 'proposal_file')
    try:
        with path.open('rb') as file:
            content = _ArraysOnly(file, encoding='latin1').load()
        if isinstance(content, dict):
            content = {key: boxes.value() if isinstance(boxes, _Array) else boxes for key, boxes in content.items()}
    except _CodeInside as error:
        raise UserError(
            f"The proposal file '{path}' was refused: it holds more than boxes and could run code when loaded: "
            f'{error}; make it a dict of arrays.'
        ) from error
    except Exception as error:  # A damaged pickle can raise anything.
        raise UserError(f"The proposal file '{path}' is damaged or not a pickle; copy or make it again.") from error
    shape = "AVA's proposals are a dict of arrays (N, 5), such as {'video,0902': [[x1, y1, x2, y2, score]]}"
    if not isinstance(content, dict) or not content:
        raise UserError(f"The proposal file '{path}' holds a {type(content).__name__}; {shape}.")
    for key, boxes in content.items():
        if not isinstance(key, str) or not isinstance(boxes, np.ndarray) or boxes.dtype.kind != 'f':
            raise UserError(f"The proposal file '{path}' has a {type(boxes).__name__} under {key!r}; {shape}.")
        if boxes.ndim != 2 or boxes.shape[1] not in (4, 5) or len(boxes) == 0:
            raise UserError(
                f"The proposal file '{path}' has an array of shape {boxes.shape} under '{key}'; {shape} (leave out "
                'frames without persons).'
            )
    return content


class _CodeInside(Exception):
    pass


class _Array:
    """Replaces an array while unpickling; only plain numbers are accepted."""

    def __init__(self, *frombuffer: object) -> None:
        self.state: tuple = ()
        if frombuffer and len(frombuffer) == 4:
            content, dtype, shape, order = frombuffer
            self.state = (1, shape, dtype, order == 'F', content)

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def value(self) -> np.ndarray:
        """The array, rebuilt from its bytes."""
        _, shape, dtype, is_fortran, content = self.state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes | bytearray | memoryview):
            raise _CodeInside('an array of something other than numbers')
        flat = np.frombuffer(content, dtype.value()).copy()
        return flat.reshape(tuple(int(side) for side in shape), order='F' if is_fortran else 'C')


class _Dtype:
    """Replaces a dtype while unpickling."""

    def __init__(self, name: str, *_: object) -> None:
        self.name, self.order = name, '='

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def value(self) -> np.dtype:
        if not isinstance(self.name, str) or not re.fullmatch(r'[fiu][1248]', self.name) or self.order not in '<>=|':
            raise _CodeInside(f'an array of {self.name}')
        return np.dtype(f'{self.order}{self.name}')


def _bytes(text: str, encoding: str = 'latin1') -> bytes:
    return text.encode('latin1')


class _ArraysOnly(pickle.Unpickler):
    """Builds only replacements for arrays: numpy's own objects would follow pointers from the file."""

    REPLACEMENTS = (
        (r'numpy\.ndarray', _Array),
        (r'numpy\.dtype', _Dtype),
        (r'numpy\._?core\.(multiarray\._reconstruct|numeric\._frombuffer)', _Array),
        (r'_codecs\.encode', _bytes),
    )

    def find_class(self, module: str, name: str) -> object:
        for pattern, replacement in self.REPLACEMENTS:
            if re.fullmatch(pattern, f'{module}.{name}'):
                return replacement
        raise _CodeInside(f'{module}.{name}')


def _lines(path: str | Path, what: str, option: str, strip: bool = True) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers."""
    path = Path(path)
    _must_exist(path, what, option)
    for number, line in enumerate(read_text(path, what).splitlines(), start=1):
        if line.strip():
            yield number, line.strip() if strip else line.rstrip()


def _must_exist(path: Path, what: str, option: str) -> None:
    if not path.is_file():
        raise UserError(f"The {what} '{path}' does not exist; put it there or correct {option}.")
