"""Keeps predictions on disk, so that an interrupted run can be continued."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from hiera_mm.atomic_write import atomic_write

PROGRESS_FILE = 'unfinished.jsonl'


class Progress:
    """Entries of inputs in a file of JSON lines, written as soon as they are added.

    Args:
        folder: Output folder.
        settings: The settings that the results depend on; results with other settings are dropped.
        versions: Versions of the inputs by name, which change when an input does; None for one that is always new.

    Attributes:
        done: Names of the inputs that are finished.
    """

    def __init__(self, folder: Path, settings: dict, versions: Mapping[str, list[int] | None]) -> None:
        self.path, self.versions = folder / PROGRESS_FILE, versions
        header = dict(settings=json.loads(json.dumps(settings)))
        usable = next(self._lines(), None) == header
        finished = (line for line in self._lines() if usable and 'done' in line)
        self.done = {
            line['done']
            for line in finished
            if line['version'] is not None and line['version'] == versions.get(line['done'])
        }
        # Drop entries of inputs that were not finished, have changed, or are not among the inputs.
        with atomic_write(self.path) as unfinished, unfinished.open('w') as file:
            file.write(json.dumps(header) + '\n')
            for line in self._lines():
                if line.get('input', line.get('done')) in self.done:
                    file.write(json.dumps(line) + '\n')
        self.file = self.path.open('a')

    def add(self, name: str, entry: dict) -> None:
        """Add an entry of an input."""
        self._write(dict(input=name, **entry))

    def finish(self, name: str) -> None:
        """Mark an input as finished."""
        self._write(dict(done=name, version=self.versions[name]))
        self.done.add(name)

    def entries(self) -> Iterator[dict]:
        """Entries of all finished inputs, in the order in which they were added, with the name as ``input``."""
        yield from (line for line in self._lines() if line.get('input') in self.done)

    def close(self, remove: bool) -> None:
        self.file.close()
        if remove:
            self.path.unlink()

    def _write(self, line: dict) -> None:
        self.file.write(json.dumps(line) + '\n')
        self.file.flush()

    def _lines(self) -> Iterator[dict]:
        """The complete lines; a kill may have cut the last one."""
        if not self.path.exists():
            return
        with self.path.open() as file:
            for line in file:
                if not line.endswith('\n'):
                    return
                yield json.loads(line)
