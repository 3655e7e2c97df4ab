"""Trained models as files for other programs: ONNX, OpenVINO, and torch's own export format."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, require_extra
from hiera_mm.inference.action_detector import ActionDetector
from hiera_mm.inference.classifier import Classifier
from hiera_mm.inference.detector import Detector
from hiera_mm.inference.exported import ENDINGS, KEY, save_openvino
from hiera_mm.inference.graphs import ActionDetectorGraph, ClassifierGraph, DetectorGraph, SegmenterGraph
from hiera_mm.inference.predictor import Predictor
from hiera_mm.inference.publish import names_of, settings_of, task_of
from hiera_mm.inference.quantisation import quantise
from hiera_mm.inference.segmenter import Segmenter
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.inference.volume_segmenter import VolumeSegmenter
from hiera_mm.models import Hiera, cpu
from hiera_mm.readers.write_video import write_video
from hiera_mm.version import __version__

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

MOST_TOGETHER = 64
"""Inputs of a batch, at most."""

FILMED = (478, 638, 3)
"""Of pictures that show what a pipeline makes of them: sides that none asks for."""

MOST_PERSONS = 1024
"""In a batch of clips, at most."""

OPSET = 18
"""Of ONNX; TensorRT 8.6 and OpenVINO know all of it."""


def export(
    predictor: Predictor | Hiera,
    path: Path,
    size: tuple[int, int] | None = None,
    calibration: Sequence[str] | None = None,
) -> str:
    """Write a whole model, from pixels of 0 to 255 to final boxes, masks or probabilities, as its ending says:
    ``.onnx``, ``.xml`` (OpenVINO, with a ``.bin``) or ``.pt2``; of a backbone, from normalised pixels to its maps.

    The batch may have 1 to 64 inputs, of one size. What a user has to know, such as the names of the classes, and the
    steps that prepare an input, lies in the file (``hiera_mm`` in its metadata), so that
    :func:`hiera_mm.inference.load` takes it as a model.

    Args:
        predictor: Of :func:`hiera_mm.inference.load`, or a backbone.
        path: Of the file.
        size: Height and width of the pixels; by default those of the test pipeline.
        calibration: Files such as the model was trained on; then an ``.xml`` computes in whole numbers of 8 bits, whose
            ranges are those that come up in these files.

    Returns:
        What is worth knowing, in words.

    Raises:
        UserError: for another ending or a kind of model that can't be exported, or without the packages that it needs.
    """
    if path.suffix not in ENDINGS:
        raise UserError(f"'{path}' must end in one of {', '.join(ENDINGS)}, which say what to write.")
    for package in ENDINGS[path.suffix].packages:
        require_extra(package, 'export')
    module = predictor if isinstance(predictor, Hiera) else predictor.trained.model
    if (device := next(module.parameters()).device).type != 'cpu':
        raise UserError(f"A model is exported from the CPU, but this one is on '{device}'; load it with device='cpu'.")
    if calibration is not None:
        _must_be_quantisable(predictor, path)
    if isinstance(predictor, Hiera):
        graph: torch.nn.Module = predictor
        pixels = torch.zeros(2, *_channels_of(predictor), *(size or (224, 224)))
        inputs, outputs, note = dict(pixels=pixels), [f'map{stage}' for stage in predictor.out_indices], ''
        described: dict[str, Any] = dict(task='features', input='normalised pixels')
    else:
        graph, inputs, outputs, note = _whole(predictor, size)
        described = dict(task=task_of(predictor), **names_of(predictor))
        described['config'] = settings_of(predictor.trained).pretty_text
        if 'masks' in outputs:
            described['mask_thr'] = predictor.trained.model.test_cfg.rcnn.mask_thr_binary
    described |= dict(hiera_mm=__version__, size=list(inputs['pixels'].shape[2:]))
    # The model's own code for processors is for running it here.
    with cpu.plain(), torch.no_grad():
        batch, persons = Dim('batch', min=1, max=MOST_TOGETHER), Dim('persons', min=1, max=MOST_PERSONS)
        shapes = {name: {0: persons if name == 'persons' else batch} for name in inputs}
        program = torch.export.export(graph.eval(), (), inputs, dynamic_shapes=shapes, strict=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        write = partial(
            _WRITERS[path.suffix], program, inputs=list(inputs), outputs=outputs, text=json.dumps(described)
        )
        if calibration is None:
            write(path)
            return note
        with TemporaryDirectory(dir=path.parent) as folder:
            write(Path(folder, path.name))
            quantise(Path(folder, path.name), path, calibration)
    return note


def _must_be_quantisable(predictor: Predictor | Hiera, path: Path) -> None:
    require_extra('nncf', 'export')
    if path.suffix != '.xml':
        raise UserError(f"Numbers of 8 bits are for OpenVINO's files; let '{path}' end in .xml.")
    if isinstance(predictor, ActionDetector) or isinstance(predictor, Hiera) and _channels_of(predictor) != (3,):
        raise UserError(
            'Numbers of 8 bits are for detectors, classifiers and backbones of colour pictures; leave --int8 out.'
        )


def _channels_of(backbone: Hiera) -> tuple[int, ...]:
    return (backbone.in_channels,) if backbone.num_frames is None else (backbone.in_channels, backbone.num_frames)


def _whole(predictor: Predictor, size: tuple[int, int] | None) -> tuple[torch.nn.Module, dict, list[str], str]:
    if isinstance(predictor, Detector):
        return _of_detector(predictor, size)
    if isinstance(predictor, Segmenter):
        return _of_segmenter(predictor, size)
    if isinstance(predictor, ActionDetector):
        return _of_action_detector(predictor, size)
    if isinstance(predictor, VolumeSegmenter):
        raise UserError(
            f"'{predictor.trained.source}' segments volumes, which can't be exported yet; use the model by "
            'hiera_mm.load.'
        )
    pixels = _prepared_by(predictor)
    if size is None and tuple(pixels.shape[-2:]) == FILMED[:2]:
        raise UserError(
            f"The test pipeline of '{predictor.trained.source}' leaves inputs at their size; say it: --size HEIGHT "
            'WIDTH.'
        )
    pixels = torch.zeros(*pixels.shape[:-2], *(size or pixels.shape[-2:]), dtype=torch.uint8)
    inputs = dict(pixels=pixels.expand(2, *pixels.shape[1:]).clone())
    return ClassifierGraph(predictor.trained.model, pixels.ndim), inputs, ['probabilities'], ''


def _of_detector(detector: Detector, size: tuple[int, int] | None) -> tuple[torch.nn.Module, dict, list[str], str]:
    model = detector.trained.model
    divisor, note = model.data_preprocessor.pad_size_divisor, ''
    if size is None:
        longest = max(_resized_to(detector.trained))
        size = (-(-longest // divisor) * divisor,) * 2
        if divisor < longest:
            note = _note_of_padding(size, divisor, ', unless you train with pad_size_divisor as large')
    try:
        graph = DetectorGraph(model)
    except NotImplementedError as error:
        raise UserError(
            f"A {error} can't be exported yet; two-stage detectors such as Faster, Mask and Cascade R-CNN can."
        ) from error
    sizes = torch.tensor([list(size)] * 2)
    inputs = dict(pixels=torch.zeros(2, 3, *size, dtype=torch.uint8), sizes=sizes)
    masks = ['masks'] if model.roi_head.with_mask else []
    return graph, inputs, ['boxes', 'scores', 'labels', *masks], note


def _of_segmenter(segmenter: Segmenter, size: tuple[int, int] | None) -> tuple[torch.nn.Module, dict, list[str], str]:
    trained = segmenter.trained
    if len(segmenter.names) != trained.model.out_channels:
        raise UserError(f"'{trained.source}' tells two classes by one number, which can't be exported.")
    divisor = (trained.model.data_preprocessor.test_cfg or {}).get('size_divisor') or 1
    if size is None:
        sides = _resized_to(trained)
        if len(set(sides)) > 1:
            raise UserError(
                f"Pictures may have any shape up to {max(sides)} pixels a side when '{trained.source}' is tested; say "
                'to which all are padded: --size HEIGHT WIDTH.'
            )
        size = (-(-sides[0] // divisor) * divisor,) * 2
    note = _note_of_padding(size, divisor) if divisor < max(size) else ''
    inputs = dict(pixels=torch.zeros(2, 3, *size, dtype=torch.uint8), sizes=torch.tensor([list(size)] * 2))
    return SegmenterGraph(trained.model), inputs, ['logits'], note


def _note_of_padding(size: tuple[int, int], divisor: int, hint: str = '') -> str:
    return (
        f'The file pads every picture to {size[0]} x {size[1]} pixels, PyTorch to multiples of {divisor}: what they '
        f'find may differ a little{hint}.'
    )


def _of_action_detector(
    detector: ActionDetector, size: tuple[int, int] | None
) -> tuple[torch.nn.Module, dict, list[str], str]:
    trained, note = detector.trained, ''
    if size is None:
        crops = [step.crop_size for step in trained.test_set.pipeline if step.type == 'CenterCrop']
        if not crops:
            raise UserError(
                f"The test pipeline of '{trained.source}' does not crop; say the size: --size HEIGHT WIDTH."
            )
        size = (crops[-1],) * 2 if isinstance(crops[-1], int) else tuple(crops[-1])
        note = (
            f'The file takes what testing sees, {size[0]} x {size[1]} pixels; for whole frames of your videos name the '
            'size that they have after resizing with --size.'
        )
    frames = trained.model.backbone.num_frames
    try:
        graph = ActionDetectorGraph(trained.model)
    except NotImplementedError as error:
        raise UserError(f"Action detectors with a {error} of this kind can't be exported yet.") from error
    persons = torch.tensor([[0.0, 0, 0, 32, 32], [0, 0, 0, 64, 64], [1, 0, 0, 32, 32]])
    inputs = dict(pixels=torch.zeros(2, 3, frames, *size, dtype=torch.uint8), persons=persons)
    return graph, inputs, ['scores'], note


def _resized_to(trained: TrainedModel) -> tuple[int, int]:
    resizes = [step for step in trained.test_pipeline if step.type == 'Resize' and 'scale' in step]
    if not resizes:
        raise UserError(
            f"The test pipeline of '{trained.source}' does not say to which size pictures are resized; "
            'say it: --size HEIGHT WIDTH.'
        )
    return tuple(resizes[-1].scale)


def _prepared_by(classifier: Classifier) -> Tensor:
    """What the test pipeline makes of an input: ``(views, 3, ...)``, of unsigned bytes."""
    picture = np.zeros(FILMED, np.uint8)
    if classifier.of_pictures:
        return classifier.prepared(picture)['inputs'][:1]
    with TemporaryDirectory() as folder:
        film = Path(folder, 'film.mp4')
        write_video(film, [picture] * 90, 30)
        return classifier.prepared(film)['inputs'][:1]


def _write_onnx(program: ExportedProgram, path: Path, inputs: list[str], outputs: list[str], text: str) -> None:
    made = _as_onnx(program, inputs, outputs)
    made.model.metadata_props[KEY] = text
    with atomic_write(path) as unfinished:
        made.save(str(unfinished))


def _write_openvino(program: ExportedProgram, path: Path, inputs: list[str], outputs: list[str], text: str) -> None:
    import openvino

    with TemporaryDirectory(dir=path.parent) as folder:
        _as_onnx(program, inputs, outputs).save(f'{folder}/model.onnx')
        save_openvino(openvino.convert_model(f'{folder}/model.onnx'), text, path)


def _write_pt2(program: ExportedProgram, path: Path, inputs: list[str], outputs: list[str], text: str) -> None:
    with atomic_write(path) as unfinished, unfinished.open('wb') as file:
        torch.export.save(program, file, extra_files={KEY: text})


def _as_onnx(program: ExportedProgram, inputs: list[str], outputs: list[str]) -> Any:
    from hiera_mm.inference.onnx_operators import OPERATORS

    return torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        custom_translation_table=OPERATORS,
        input_names=inputs,
        output_names=outputs,
        verbose=False,
    )


_WRITERS: dict[str, Callable] = {'.onnx': _write_onnx, '.xml': _write_openvino, '.pt2': _write_pt2}
