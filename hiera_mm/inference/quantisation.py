"""OpenVINO files that compute in whole numbers of 8 bits, by NNCF."""

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hiera_mm.datasets.images import ReadImage
from hiera_mm.inference.classifier import Classifier
from hiera_mm.inference.exported import KEY, save_openvino
from hiera_mm.inference.pictures import DEVIATION, MEAN
from hiera_mm.inference.predictor import load

import numpy as np
from mmengine.dataset import pseudo_collate
from PIL import Image

MOST_FILES = 300
"""That are looked at; NNCF's own number."""


def quantise(exported: Path, path: Path, calibration: Sequence[str]) -> None:
    """Write an exported model in numbers of 8 bits.

    Args:
        exported: The ``.xml`` in float32.
        path: Of the ``.xml`` to write.
        calibration: Files that the model takes.

    Raises:
        BrokenFileError: for one that can't be read.
    """
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    model = openvino.Core().read_model(exported)
    described = model.get_rt_info(KEY).astype(str)
    prepare = _preparation(exported, json.loads(described))
    # The few largest numbers of a graph, such as those for no box at all, overflow in NNCF's means; they take no part.
    with np.errstate(over='ignore', invalid='ignore'):
        quantised = nncf.quantize(
            model,
            nncf.Dataset(list(calibration), prepare),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=min(len(calibration), MOST_FILES),
        )
        save_openvino(quantised, described, path)


def _preparation(path: Path, described: dict) -> Callable[[str], dict[str, np.ndarray]]:
    """From a file to what the exported one takes."""
    if described['task'] == 'features':
        return partial(_normalised, size=described['size'])
    return partial(_arrays, load(str(path), device='cpu'))


def _normalised(file: str, size: Sequence[int]) -> dict[str, np.ndarray]:
    picture = ReadImage()(dict(img_path=file))['imgs'][0]
    resized = Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    pixels = (np.asarray(resized, np.float32) / 255 - MEAN) / DEVIATION
    return dict(pixels=pixels.transpose(2, 0, 1)[None].astype(np.float32))


def _arrays(predictor: Any, file: str) -> dict[str, np.ndarray]:
    """What the file takes of one input: of a clip the first view."""
    with_views = isinstance(predictor, Classifier)
    batch = pseudo_collate([predictor.prepared(file)])
    arrays = next(predictor.trained.model.arrays(batch['inputs'], batch['data_samples']))
    return {name: array[:1] if with_views else array for name, array in arrays.items()}
