"""ONNX files, run by ONNX Runtime."""

from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.inference.formats.file_format import KEY, FileFormat, Session

import torch
from torch.export import ExportedProgram

OPSET = 18
"""ONNX's version of operators, which TensorRT 8.6 and OpenVINO support."""


def write(program: ExportedProgram, path: Path, inputs: list[str], outputs: list[str], text: str) -> None:
    """Write a program atomically."""
    made = as_onnx(program, inputs, outputs)
    made.model.metadata_props[KEY] = text
    with atomic_write(path) as unfinished:
        made.save(str(unfinished))


def as_onnx(program: ExportedProgram, inputs: list[str], outputs: list[str]) -> Any:
    """Convert a program to a ``torch.onnx.ONNXProgram``."""
    from hiera_mm.inference.formats.onnx_operators import OPERATORS

    return torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        custom_translation_table=OPERATORS,
        input_names=inputs,
        output_names=outputs,
        verbose=False,
    )


def open_file(source: str) -> tuple[str, Session]:
    """The description in a file, and a session that runs it."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    running = onnxruntime.InferenceSession(source, settings)
    return running.get_modelmeta().custom_metadata_map[KEY], lambda **inputs: running.run(None, inputs)


FORMAT = FileFormat('ONNX', ('onnx', 'onnxscript'), 'onnxruntime', write, open_file)
