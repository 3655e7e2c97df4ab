"""Exports trained models to ONNX, OpenVINO, and torch's own export format."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hiera_mm.errors import UserError, require_extra
from hiera_mm.inference.formats import open_exported, writer_of
from hiera_mm.inference.formats.graph import Graph
from hiera_mm.inference.formats.int8 import Prepare, quantise
from hiera_mm.inference.images import normalised, read_image
from hiera_mm.inference.loading import exported_model
from hiera_mm.inference.publish import names_of, settings_of
from hiera_mm.inference.running import require_float32
from hiera_mm.inference.trained import Predictor
from hiera_mm.models import Hiera, cpu
from hiera_mm.version import __version__

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch.export import Dim

MAX_BATCH = 64
"""Most inputs in a batch."""

MAX_PERSONS = 1024
"""Most persons in a batch of clips."""


def export(
    predictor: Predictor, path: Path, size: tuple[int, int] | None = None, calibration: Sequence[str] | None = None
) -> str:
    """Write a whole model, from pixels of 0 to 255 to final boxes, masks or probabilities. The ending selects the
    format: ``.onnx``, ``.xml`` (OpenVINO, with a ``.bin``) or ``.pt2``.

    A batch has 1 to 64 inputs of one size. Class names, preprocessing and similar information are stored in the file
    (``hiera_mm`` in its metadata), so that :func:`hiera_mm.load` takes it as a model.

    Args:
        predictor: A predictor from :func:`hiera_mm.load`.
        path: The file to write.
        size: Height and width of the pixels; by default those of the test pipeline.
        calibration: Files like those that the model was trained on; an ``.onnx`` or ``.xml`` then computes in 8-bit
            integers, calibrated on these files.

    Returns:
        A note for the user; may be empty.

    Raises:
        UserError: for another ending, a model that can't be exported, or missing packages, and for a model in half
            precision or of other channels than red, green and blue.
    """
    task, write = predictor.trained.task, writer_of(path)
    _check_on_cpu(predictor.trained.model)
    require_float32(predictor.trained)
    if calibration is not None:
        _check_quantisable(path)
        if not task.quantisable:
            raise UserError(f'8-bit integers are not supported for {task.name}; leave --int8 out.')
    if predictor.trained.channels is not None:
        raise UserError(
            f"'{predictor.trained.source}' takes images of other channels than red, green and blue, which exported "
            'files do not; use it in PyTorch.'
        )
    graph = task.graph(predictor, size)
    described = dict(task=task.hub_name(predictor.trained), **names_of(predictor), **graph.described)
    described['config'] = settings_of(predictor.trained).pretty_text

    def prepare_by(exported: Path) -> Prepare:
        trained = exported_model(
            open_exported(str(exported), trust=True), str(exported), lambda config: task, trust=True
        )
        return partial(_arrays, task.predictor(trained, None))

    _write(write, graph, path, described, calibration, prepare_by)
    return graph.note


def export_backbone(
    backbone: Hiera, path: Path, size: tuple[int, int] | None = None, calibration: Sequence[str] | None = None
) -> None:
    """Write a backbone, from normalised pixels to its maps.

    Args:
        backbone: A backbone from :func:`hiera_mm.backbone`.
        path: The file to write, as for :func:`export`.
        size: Height and width of the pixels; by default 224 x 224.
        calibration: Images like those that the model was trained on, as for :func:`export`.

    Raises:
        UserError: for another ending, or missing packages.
    """
    write = writer_of(path)
    _check_on_cpu(backbone)
    frames = () if backbone.num_frames is None else (backbone.num_frames,)
    if calibration is not None:
        _check_quantisable(path)
        if frames or backbone.in_channels != 3:
            raise UserError('8-bit integers are for backbones of colour images; leave --int8 out.')
    pixels = torch.zeros(2, backbone.in_channels, *frames, *(size or (224, 224)))
    graph = Graph(backbone, dict(pixels=pixels), [f'map{stage}' for stage in backbone.out_indices])
    described = dict(task='features', input='normalised pixels')

    def prepare_by(exported: Path) -> Prepare:
        height, width = pixels.shape[-2:]
        return lambda file: dict(pixels=normalised(read_image(file), (height, width))[None])

    _write(write, graph, path, described, calibration, prepare_by)


def _write(
    write: Callable[..., None],
    graph: Graph,
    path: Path,
    described: dict[str, Any],
    calibration: Sequence[str] | None,
    prepare_by: Callable[[Path], Prepare],
) -> None:
    described = described | dict(hiera_mm=__version__, size=list(graph.inputs['pixels'].shape[2:]))
    # Without the faster code for CPUs, which can't be exported.
    with cpu.plain(), torch.no_grad():
        batch, persons = Dim('batch', min=1, max=MAX_BATCH), Dim('persons', min=1, max=MAX_PERSONS)
        shapes = {name: {0: persons if name == 'persons' else batch} for name in graph.inputs}
        program = torch.export.export(graph.module.eval(), (), graph.inputs, dynamic_shapes=shapes, strict=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to = partial(write, program, inputs=list(graph.inputs), outputs=graph.outputs, text=json.dumps(described))
        if calibration is None:
            write_to(path)
            return
        with TemporaryDirectory(dir=path.parent) as folder:
            exported = Path(folder, path.name)
            write_to(exported)
            quantise(exported, path, calibration, prepare_by(exported))


def _arrays(predictor: Any, file: str) -> dict[str, np.ndarray]:
    """The arrays that the exported file takes for one input, for a clip its first view."""
    batch = pseudo_collate([predictor.prepared(file)])
    arrays = next(predictor.trained.model.arrays(batch['inputs'], batch['data_samples']))
    return {name: array[:1] for name, array in arrays.items()}


def _check_on_cpu(module: torch.nn.Module) -> None:
    if (device := next(module.parameters()).device).type != 'cpu':
        raise UserError(f"A model is exported from the CPU, but this one is on '{device}'; load it with device='cpu'.")


def _check_quantisable(path: Path) -> None:
    if path.suffix not in ('.onnx', '.xml'):
        raise UserError(f"8-bit integers are for names that end in .onnx or .xml, unlike '{path}'.")
    require_extra('nncf' if path.suffix == '.xml' else 'onnxruntime', 'export')
