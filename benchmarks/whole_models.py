"""Whole models of configs, with made-up labels to train on."""

from hiera_mm.config import in_scope
from hiera_mm.engine.compiling import compile_parts
from hiera_mm.errors import UserError

from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS
from torch import Tensor

OBJECTS = 7
"""In each image, about as many as COCO has."""


class WholeModel:
    """A detector or a recogniser as its config builds it, with its own optimiser.

    Args:
        config: Of one of the two.
        shape: Of the batch: ``(B, 3, H, W)``, or ``(B, 3, T, H, W)`` for clips.

    Raises:
        UserError: for any other model.
    """

    def __init__(self, config: Config, shape: tuple[int, ...]) -> None:
        self.config = config
        if config.model.get('backbone'):
            config.model.backbone.init_cfg = None
        with in_scope(config):
            self.model = MODELS.build(config.model)
        self.samples, self.is_detector = _labels(config, shape)

    def predict(self, pixels: Tensor) -> object:
        return self.model(self._as_it_takes(pixels), self.samples, mode='predict')

    def loss(self, pixels: Tensor) -> Tensor:
        losses = self.model(self._as_it_takes(pixels), self.samples, mode='loss')
        return self.model.parse_losses(losses)[0]

    def optimizer(self) -> OptimWrapper:
        with in_scope(self.config):
            return build_optim_wrapper(self.model, dict(self.config.optim_wrapper, type='OptimWrapper'))

    def to(self, device: str) -> None:
        self.model.to(device)
        self.samples = [sample.to(device) for sample in self.samples]

    def compile(self, replays: bool) -> None:
        """Compile its parts of static shapes, and replay them as CUDA graphs if wanted."""
        compile_parts(self.model, replays)

    def _as_it_takes(self, pixels: Tensor) -> Tensor:
        return pixels if self.is_detector else pixels[:, None]


def _labels(config: Config, shape: tuple[int, ...]) -> tuple[list, bool]:
    model, batch = config.model, shape[0]
    if 'cls_head' in model:
        from mmaction.structures import ActionDataSample

        return [ActionDataSample().set_gt_label(0) for _ in range(batch)], False
    if 'roi_head' in model and len(shape) == 4:
        picture = (3, *shape[2:])
        head = model.roi_head.bbox_head
        classes = (head[0] if isinstance(head, list) else head).num_classes
        made_up = demo_mm_inputs(batch, [picture] * batch, [OBJECTS] * batch, num_classes=classes, with_mask=True)
        samples = made_up['data_samples']
        for sample in samples:
            sample.set_metainfo(dict(pad_shape=shape[2:], batch_input_shape=shape[2:]))
        return samples, True
    raise UserError(
        f'Whole models that can be timed are two-stage detectors on images and recognisers, and '
        f"'{config.filename}' is neither; put :backbone behind it to time its backbone."
    )
