"""Exported files: one module per format, which writes and opens it.

Information about the model, such as its classes and preprocessing, is stored in the file as JSON.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import UserError, first_line, require_extra
from hiera_mm.inference.formats import onnx, openvino, pt2
from hiera_mm.inference.formats.file_format import FileFormat, Session

FORMATS: dict[str, FileFormat] = {'.onnx': onnx.FORMAT, '.xml': openvino.FORMAT, '.pt2': pt2.FORMAT}
"""The formats by file name ending."""


class Exported(NamedTuple):
    """The description in a file (``task``, ``classes``, ``config``, ``size``), and a function that runs it."""

    described: dict[str, Any]
    session: Session


def open_exported(source: str, trust: bool = False) -> Exported:
    """Open an exported file.

    Args:
        source: Its path.
        trust: Whether code in it may run.

    Raises:
        UserError: if it is damaged or written by another program, if the package that runs it is missing, and for a
            format that can contain code unless it is trusted.
    """
    file_format = FORMATS[Path(source).suffix]
    if file_format.runs_code and not trust:
        raise UserError(
            f"'{source}' is a file of {file_format.name}, in which code can be hidden that runs when it is opened; if "
            'you wrote the file or trust its author, add --trust (in Python: trust=True), or export the model to '
            '.onnx or .xml, which hold data only.'
        )
    require_extra(file_format.runtime, 'export')
    try:
        text, session = file_format.open(source)
        return Exported(json.loads(text), session)
    except Exception as error:  # runtimes raise anything for a file that they can't read
        raise UserError(
            f"'{source}' is not a {file_format.name} file from 'hiera-mm export' ({type(error).__name__}: "
            f'{first_line(str(error))}); export the model again.'
        ) from error


def writer_of(path: Path) -> Callable[..., None]:
    """The function that writes a file with this ending.

    Raises:
        UserError: for another ending, or missing packages.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"'{path}' must end in one of {', '.join(FORMATS)}, which selects the format.")
    for package in FORMATS[path.suffix].packages:
        require_extra(package, 'export')
    return FORMATS[path.suffix].write
