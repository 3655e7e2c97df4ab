"""Exported files: one module a format, which both writes and opens it.

What a user has to know of a model, such as its classes and the steps that prepare an input, lies in the file as JSON.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import UserError, first_line, require_extra
from hiera_mm.inference.formats import onnx, openvino, pt2
from hiera_mm.inference.formats.file_format import FileFormat, Session

FORMATS: dict[str, FileFormat] = {'.onnx': onnx.FORMAT, '.xml': openvino.FORMAT, '.pt2': pt2.FORMAT}
"""The formats by the ending of the file's name."""


class Exported(NamedTuple):
    """A file's description (``task``, ``classes``, ``config``, ``size``), and a function that runs it."""

    described: dict[str, Any]
    session: Session


def is_exported(source: str) -> bool:
    """Whether a file's name ends as an exported file's does."""
    return Path(source).suffix in FORMATS and Path(source).is_file()


def open_exported(source: str) -> Exported:
    """Open an exported file.

    Raises:
        UserError: if it is damaged or written by another program, or the package that runs it is missing.
    """
    kind = FORMATS[Path(source).suffix]
    require_extra(kind.runtime, 'export')
    try:
        text, session = kind.open(source)
        return Exported(json.loads(text), session)
    except Exception as error:  # whatever a runtime says about a file that it can't read
        raise UserError(
            f"'{source}' is no {kind.name} file that 'hiera-mm export' wrote ({type(error).__name__}: "
            f'{first_line(str(error))}); export the model again.'
        ) from error


def writer_of(path: Path) -> Callable[..., None]:
    """The function that writes a file with this ending.

    Raises:
        UserError: for another ending, or without the packages that writing takes.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"'{path}' must end in one of {', '.join(FORMATS)}, which say what to write.")
    for package in FORMATS[path.suffix].packages:
        require_extra(package, 'export')
    return FORMATS[path.suffix].write
