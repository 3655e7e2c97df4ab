"""Exported files as models: what :mod:`hiera_mm.inference.export` wrote predicts as the model it was made from."""

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hiera_mm.errors import UserError, first_line, require_extra

import numpy as np
import torch
import torch.nn as nn
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

KEY = 'hiera_mm'
"""Of the description in a file's metadata."""

PIXELS_TOGETHER = 2**20
"""Of masks that are put into a picture at once."""

SHAPES_KEPT = 4
"""For which OpenVINO keeps a compiled model."""

Session = Callable[..., list[np.ndarray]]
"""From inputs by name to outputs in order."""


class Format(NamedTuple):
    """A kind of file: the packages it takes to write and to run it."""

    name: str
    packages: tuple[str, ...]
    runtime: str


ENDINGS = {
    '.onnx': Format('ONNX', ('onnx', 'onnxscript'), 'onnxruntime'),
    '.xml': Format('OpenVINO', ('onnx', 'onnxscript', 'openvino'), 'openvino'),
    '.pt2': Format('torch.export', (), 'torch'),
}


class Exported(NamedTuple):
    """A file's description (``task``, ``classes``, ``config``, ``size``), and what runs it."""

    described: dict[str, Any]
    session: Session


def is_exported(source: str) -> bool:
    return Path(source).suffix in ENDINGS and Path(source).is_file()


def open_exported(source: str) -> Exported:
    """Read a file.

    Raises:
        UserError: if it is damaged or of another program, or the package that runs it is missing.
    """
    kind = ENDINGS[Path(source).suffix]
    require_extra(kind.runtime, 'export')
    try:
        text, session = _READERS[kind.runtime](source)
        return Exported(json.loads(text), session)
    except Exception as error:  # whatever a runtime says of a file that it can't read
        raise UserError(
            f"'{source}' is no {kind.name} file that 'hiera-mm export' wrote ({type(error).__name__}: "
            f'{first_line(str(error))}); export the model again.'
        ) from error


def save_openvino(model: Any, described: str, path: Path) -> None:
    """Write an OpenVINO model with its description, whole or not at all."""
    import openvino

    model.set_rt_info(described, KEY)
    with TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(model, f'{folder}/model.xml', compress_to_fp16=False)
        # The weights first: without them the other file would be no model.
        for ending in ('.bin', '.xml'):
            Path(folder, f'model{ending}').replace(path.with_suffix(ending))


class ExportedNetwork(BaseModel):
    """A file in the place of a model's network; what an input is made of and what comes out differs by task."""

    def __init__(self, exported: Exported) -> None:
        super().__init__()
        self.session, self.size = exported.session, tuple(exported.described['size'])
        self.classes = exported.described.get('classes')

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """What the file takes, one after the other, of what the model takes."""
        raise NotImplementedError


class ExportedOfPictures(ExportedNetwork):
    """Takes pictures and their sizes."""

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """All pictures as one batch."""
        pixels = np.zeros((len(inputs), 3, *self.size), np.uint8)
        for place, picture in enumerate(inputs):
            height, width = picture.shape[1:]
            if height > self.size[0] or width > self.size[1]:
                raise UserError(
                    f'A picture has {height} x {width} pixels after the test pipeline, but the exported file takes '
                    f'{self.size[0]} x {self.size[1]}; export it again with --size.'
                )
            pixels[place, :, :height, :width] = picture.flip(0).cpu().numpy()
        yield dict(pixels=pixels, sizes=np.array([sample.img_shape[:2] for sample in data_samples], np.int64))


class ExportedSegmenter(ExportedOfPictures):
    """Takes what mmsegmentation's segmentors take in testing, and gives what they give."""

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence[Any], mode: str = 'predict') -> list:
        """BGR pictures ``(3, h, w)`` of 0 to 255, each with its sample, to samples with ``pred_sem_seg``."""
        (batch,) = self.arrays(inputs, data_samples)
        (logits,) = self.session(**batch)
        for sample, (height, width), logit in zip(data_samples, batch['sizes'], logits, strict=True):
            inside = torch.from_numpy(logit[None, :, :height, :width])
            resized = nn.functional.interpolate(inside, tuple(sample.ori_shape[:2]), mode='bilinear')
            sample.pred_sem_seg = PixelData(data=resized.argmax(1))
        return list(data_samples)


class ExportedDetector(ExportedOfPictures):
    """Takes what mmdet's detectors take in testing, and gives what they give."""

    def __init__(self, exported: Exported) -> None:
        super().__init__(exported)
        self.mask_thr = exported.described.get('mask_thr')
        self.with_mask = self.mask_thr is not None

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence[Any], mode: str = 'predict') -> list:
        """BGR pictures ``(3, h, w)`` of 0 to 255, each with its sample, to samples with ``pred_instances``."""
        (batch,) = self.arrays(inputs, data_samples)
        found = zip(*self.session(**batch), strict=True)
        for sample, outputs in zip(data_samples, found, strict=True):
            sample.pred_instances = self._instances(sample, *map(torch.from_numpy, outputs))
        return list(data_samples)

    def _instances(
        self, sample: Any, boxes: Tensor, scores: Tensor, labels: Tensor, masks: Tensor | None = None
    ) -> InstanceData:
        real = scores > 0
        scale = torch.tensor(sample.scale_factor).repeat(2)
        boxes = boxes[real] / scale
        found = InstanceData(bboxes=boxes, scores=scores[real], labels=labels[real])
        if masks is not None:
            found.masks = self._pasted(masks[real], boxes, sample.ori_shape[:2])
        return found

    def _pasted(self, masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Of the whole picture ``(N, H, W)``: of large pictures one at a time, as mmdet does on a CPU."""
        whole = torch.zeros(len(masks), *size, dtype=torch.bool)
        together = max(1, PIXELS_TOGETHER // (size[0] * size[1]))
        for start in range(0, len(masks), together):
            some = slice(start, start + together)
            part, region = _do_paste_mask(masks[some, None], boxes[some], *size, skip_empty=True)
            whole[(some, *region)] = part >= self.mask_thr
        return whole


class ExportedClassifier(ExportedNetwork):
    """Takes what mmaction2's recognisers take in testing, and gives what they give: means over all views."""

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """The views of each input as a batch."""
        for views in inputs:
            yield dict(pixels=views.cpu().numpy())

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence[Any], mode: str = 'predict') -> list:
        """Views ``(V, 3, ...)`` of 0 to 255 of each input, to samples with ``pred_score`` and ``pred_label``."""
        for sample, batch in zip(data_samples, self.arrays(inputs, data_samples), strict=True):
            (scores,) = self.session(**batch)
            score = torch.from_numpy(scores).mean(0)
            sample.set_pred_score(score).set_pred_label(score.argmax(-1, keepdim=True))
        return list(data_samples)


class ExportedActionDetector(ExportedNetwork):
    """Takes what action detectors take in testing, and gives what they give."""

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """Each clip with its persons, of whom there may be none."""
        for sample, clip in zip(data_samples, inputs, strict=True):
            if tuple(clip.shape[1:]) != self.size:
                raise UserError(
                    f'A clip has {_sides(clip.shape[1:])} after the test pipeline, but the exported file takes '
                    f'{_sides(self.size)}; export it again with --size.'
                )
            boxes = sample.proposals.bboxes.cpu().numpy().astype(np.float32)
            persons = np.concatenate([np.zeros_like(boxes[:, :1]), boxes], 1)
            yield dict(pixels=clip[None].cpu().numpy(), persons=persons)

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence[Any], mode: str = 'predict') -> list:
        """Clips ``(3, T, H, W)`` of 0 to 255, each with its sample, to samples with ``pred_instances``."""
        for sample, batch in zip(data_samples, self.arrays(inputs, data_samples), strict=True):
            scores = self.session(**batch)[0] if len(batch['persons']) else np.empty((0, 0), np.float32)
            shown = torch.as_tensor(sample.boxes_in_frame)
            sample.pred_instances = InstanceData(bboxes=shown, scores=torch.from_numpy(scores))
        return list(data_samples)


def _sides(shape: Sequence[int]) -> str:
    return ' x '.join(map(str, shape))


def model_of(exported: Exported) -> BaseModel:
    """The model of a file's task."""
    if exported.described['task'] in ('image-segmentation', 'object-detection'):
        return ExportedDetector(exported)
    if exported.described['task'] == 'semantic-segmentation':
        return ExportedSegmenter(exported)
    if exported.described['task'] == 'action-detection':
        return ExportedActionDetector(exported)
    return ExportedClassifier(exported)


@MODELS.register_module()
def ExportedModel(file: str) -> BaseModel:
    """For the ``model`` of a config, whose runner then tests the file."""
    return model_of(open_exported(file))


def _with_onnxruntime(source: str) -> tuple[str, Session]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    running = onnxruntime.InferenceSession(source, settings)
    return running.get_modelmeta().custom_metadata_map[KEY], lambda **inputs: running.run(None, inputs)


def _with_openvino(source: str) -> tuple[str, Session]:
    import openvino

    core = openvino.Core()
    model = core.read_model(source)
    settings = {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': torch.get_num_threads()}

    @functools.lru_cache(maxsize=SHAPES_KEPT)
    def compiled(pixels: tuple[int, ...]) -> Any:
        # For one shape it is a sixth faster than for any.
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


def _with_torch(source: str) -> tuple[str, Session]:
    import hiera_mm.inference.graphs  # noqa: F401  (files of detectors hold its operator)

    files = {KEY: ''}
    running = torch.export.load(source, extra_files=files).module()

    @torch.no_grad()
    def run(**inputs: np.ndarray) -> list[np.ndarray]:
        outputs = running(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return files[KEY], run


_READERS = dict(onnxruntime=_with_onnxruntime, openvino=_with_openvino, torch=_with_torch)
