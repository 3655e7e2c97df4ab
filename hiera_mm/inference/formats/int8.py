"""Quantises OpenVINO files to 8-bit integers with NNCF, and ONNX files with ONNX Runtime's own tools."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hiera_mm.atomic_write import atomic_write
from hiera_mm.inference.formats.file_format import KEY
from hiera_mm.inference.formats.openvino import save_model

import numpy as np

MAX_CALIBRATION_FILES = 300
"""Most files used for calibration; NNCF's default."""

QUANTISED_IN_ONNX = ['MatMul', 'Gemm', 'Conv']
"""Operators that are computed in integers, where one factor is constant: not the products inside attention."""

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
    """
    (_quantise_onnx if path.suffix == '.onnx' else _quantise_openvino)(exported, path, calibration, prepare)


def _quantise_openvino(exported: Path, path: Path, calibration: Sequence[str], prepare: Prepare) -> None:
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    model = openvino.Core().read_model(exported)
    # The largest constants of a graph, such as those for missing boxes, overflow in NNCF's means, without an effect.
    with np.errstate(over='ignore', invalid='ignore'):
        quantised = nncf.quantize(
            model,
            nncf.Dataset(list(calibration), prepare),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=min(len(calibration), MAX_CALIBRATION_FILES),
        )
        save_model(quantised, model.get_rt_info(KEY).astype(str), path)


def _quantise_onnx(exported: Path, path: Path, calibration: Sequence[str], prepare: Prepare) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self, inputs: Iterator[dict[str, np.ndarray]]) -> None:
            self.inputs = inputs

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.inputs, None)

    with TemporaryDirectory(dir=path.parent) as folder:
        written = Path(folder, path.name)
        # It advises a preparation that does not know detectors.
        logging.disable(logging.WARNING)
        try:
            quantize_static(
                exported,
                written,
                Reader(map(prepare, calibration)),
                op_types_to_quantize=QUANTISED_IN_ONNX,
                per_channel=True,
                # Processors without instructions for 8-bit products add two of them in 16 bits, which could overflow.
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options=dict(MatMulConstBOnly=True),
            )
        finally:
            logging.disable(logging.NOTSET)
        model = onnx.load(written)
        described = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}[KEY]
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, {KEY: described})
        with atomic_write(path) as unfinished:
            onnx.save(model, unfinished)
