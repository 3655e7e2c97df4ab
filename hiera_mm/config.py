"""Config files, read with faults as sentences."""

from collections.abc import Iterator
from pathlib import Path

from hiera_mm.errors import UserError

from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config


def read_config_file(path: str) -> Config:
    """A config, by its path or by its name in an installed package, such as ``mmdet::faster_rcnn/...py``.

    Raises:
        UserError: if the file or one it inherits from is missing or no valid config.
    """
    if '::' not in path and not Path(path).is_file():
        raise UserError(f"The config '{path}' does not exist; see configs/ for those of the suite.")
    try:
        return get_config(path) if '::' in path else Config.fromfile(path)
    except (OSError, SyntaxError, KeyError, TypeError, NameError, IndexError, AssertionError) as error:
        reason = f'{type(error).__name__}: {error}'.rstrip('.')
        raise UserError(f"The config '{path}' can't be read: {reason}.") from error


def dicts_in(part: object) -> Iterator[ConfigDict]:
    """All dicts in a part of a config, the part itself first, also in lists."""
    if isinstance(part, dict):
        yield part
    for entry in part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ():
        yield from dicts_in(entry)
