"""Quantises OpenVINO files to 8-bit integers with NNCF."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

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
        exported: The ``.xml`` in float32.
        path: The ``.xml`` to write.
        calibration: Input files of the model.
        prepare: Reads one of these files.

    Raises:
        BrokenFileError: for a file that can't be read.
    """
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    model = openvino.Core().read_model(exported)
    described = model.get_rt_info(KEY).astype(str)
    # The largest constants of a graph, such as those for missing boxes, overflow in NNCF's means, without an effect.
    with np.errstate(over='ignore', invalid='ignore'):
        quantised = nncf.quantize(
            model,
            nncf.Dataset(list(calibration), prepare),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=min(len(calibration), MAX_CALIBRATION_FILES),
        )
        save_model(quantised, described, path)
