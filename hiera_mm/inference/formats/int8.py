"""Quantises OpenVINO and ONNX files to 8-bit integers with NNCF."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, first_line
from hiera_mm.inference.formats.file_format import KEY
from hiera_mm.inference.formats.openvino import save_model

import numpy as np

MAX_CALIBRATION_FILES = 300
"""Most files used for calibration; NNCF's default."""

Prepare = Callable[[str], dict[str, np.ndarray]]
"""Reads a file as the arrays that the exported model takes."""


def quantise(exported: Path, path: Path, calibration: Sequence[str], prepare: Prepare) -> None:
    """Write an exported model in 8-bit integers.

    Args:
        exported: The ``.xml`` or ``.onnx`` in float32.
        path: The file to write, in the same format.
        calibration: Input files of the model.
        prepare: Reads one of these files.

    Raises:
        BrokenFileError: for a file that can't be read.
        UserError: for a graph that NNCF can't quantise in this format.
    """
    import nncf

    nncf.set_log_level(logging.ERROR)
    read, save = _ONNX if path.suffix == '.onnx' else _OPENVINO
    model, described = read(exported)
    # The largest constants of a graph, such as those for missing boxes, overflow in NNCF's means, without an effect.
    with np.errstate(over='ignore', invalid='ignore'):
        try:
            quantised = nncf.quantize(
                model,
                nncf.Dataset(list(calibration), prepare),
                preset=nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER,
                subset_size=min(len(calibration), MAX_CALIBRATION_FILES),
            )
        except nncf.errors.InternalError as error:
            # In ONNX it does not see what is computed only where there are objects.
            raise UserError(
                f"NNCF can't quantise this model as {path.suffix} ({first_line(str(error))}); use a name ending in "
                '.xml.'
            ) from error
        save(quantised, described, path)


def _read_openvino(path: Path) -> tuple[Any, str]:
    import openvino

    model = openvino.Core().read_model(path)
    return model, model.get_rt_info(KEY).astype(str)


def _read_onnx(path: Path) -> tuple[Any, str]:
    import onnx

    model = onnx.load(path)
    return model, {entry.key: entry.value for entry in model.metadata_props}[KEY]


def _save_onnx(model: Any, described: str, path: Path) -> None:
    import onnx

    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {KEY: described})
    with atomic_write(path) as unfinished:
        onnx.save(model, unfinished)


_OPENVINO, _ONNX = (_read_openvino, save_model), (_read_onnx, _save_onnx)
