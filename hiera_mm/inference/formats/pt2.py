"""Files of ``torch.export``, run by torch."""

from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.inference.formats import operators  # noqa: F401  (files of detectors contain its operator)
from hiera_mm.inference.formats.file_format import KEY, FileFormat, Session

import numpy as np
import torch
from torch.export import ExportedProgram


def write(program: ExportedProgram, path: Path, inputs: list[str], outputs: list[str], text: str) -> None:
    """Write a program atomically; it already has the names of its inputs and the order of its outputs."""
    with atomic_write(path) as unfinished, unfinished.open('wb') as file:
        torch.export.save(program, file, extra_files={KEY: text})


def open_file(source: str) -> tuple[str, Session]:
    """The description in a file, and a session that runs it."""
    files = {KEY: ''}
    running = torch.export.load(source, extra_files=files).module()

    @torch.no_grad()
    def run(**inputs: np.ndarray) -> list[np.ndarray]:
        outputs = running(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return files[KEY], run


FORMAT = FileFormat('torch.export', (), 'torch', write, open_file, runs_code=True)
