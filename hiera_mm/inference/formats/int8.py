"""OpenVINO files that compute in whole numbers of 8 bits, by NNCF."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from hiera_mm.inference.formats.file_format import KEY
from hiera_mm.inference.formats.openvino import save_model

import numpy as np

MAX_CALIBRATION_FILES = 300
"""The most files that are looked at; NNCF's own number."""

Prepare = Callable[[str], dict[str, np.ndarray]]
"""From a file to the arrays that the exported model takes for it."""


def quantise(exported: Path, path: Path, calibration: Sequence[str], prepare: Prepare) -> None:
    """Write an exported model in numbers of 8 bits.

    Args:
        exported: The ``.xml`` in float32.
        path: The ``.xml`` to write.
        calibration: Files that the model takes.
        prepare: Reads one of them.

    Raises:
        BrokenFileError: for a file that can't be read.
    """
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    model = openvino.Core().read_model(exported)
    described = model.get_rt_info(KEY).astype(str)
    # The few largest numbers of a graph, such as those for no box at all, overflow in NNCF's means; they take no part.
    with np.errstate(over='ignore', invalid='ignore'):
        quantised = nncf.quantize(
            model,
            nncf.Dataset(list(calibration), prepare),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=min(len(calibration), MAX_CALIBRATION_FILES),
        )
        save_model(quantised, described, path)
