"""OpenVINO files: an ``.xml`` with its weights in a ``.bin`` next to it."""

import functools
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hiera_mm.inference.formats.file_format import KEY, FileFormat, Session
from hiera_mm.inference.formats.onnx import as_onnx

import numpy as np
import torch
from torch.export import ExportedProgram

COMPILED_SHAPES = 4
"""Number of input shapes for which a compiled model is cached."""


def write(program: ExportedProgram, path: Path, inputs: list[str], outputs: list[str], text: str) -> None:
    """Write a program atomically."""
    import openvino

    with TemporaryDirectory(dir=path.parent) as folder:
        as_onnx(program, inputs, outputs).save(f'{folder}/model.onnx')
        save_model(openvino.convert_model(f'{folder}/model.onnx'), text, path)


def save_model(model: Any, described: str, path: Path) -> None:
    """Write an ``openvino.Model`` with its description, atomically."""
    import openvino

    model.set_rt_info(described, KEY)
    with TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(model, f'{folder}/model.xml', compress_to_fp16=False)
        # The weights first, since the .xml is unusable without them.
        for ending in ('.bin', '.xml'):
            Path(folder, f'model{ending}').replace(path.with_suffix(ending))


def open_file(source: str) -> tuple[str, Session]:
    """The description in a file, and a session that runs it."""
    import openvino

    core = openvino.Core()
    model = core.read_model(source)
    settings = {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': torch.get_num_threads()}

    @functools.lru_cache(maxsize=COMPILED_SHAPES)
    def compiled(pixels: tuple[int, ...]) -> Any:
        # A fixed shape is a sixth faster than a dynamic one.
        fixed = model.clone()
        known = {port.any_name: port.partial_shape for port in fixed.inputs}
        known['pixels'] = openvino.PartialShape(list(pixels))
        if 'sizes' in known:
            known['sizes'] = openvino.PartialShape([pixels[0], 2])
        fixed.reshape(known)
        return core.compile_model(fixed, 'CPU', settings)

    def run(**inputs: np.ndarray) -> list[np.ndarray]:
        return list(compiled(inputs['pixels'].shape)(inputs).values())

    return model.get_rt_info(KEY).astype(str), run


FORMAT = FileFormat('OpenVINO', ('onnx', 'onnxscript', 'openvino'), 'openvino', write, open_file)
