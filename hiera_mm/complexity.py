"""Parameters and multiply-accumulates of models, attention included, without computing anything."""

from collections.abc import Callable, Sequence
from typing import Any

from hiera_mm.errors import UserError

import torch
import torch.nn as nn
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

REGIONS = dict(bbox_head=1000, mask_head=100)
"""Regions of interest that the heads see for one image at test time, as in ViTDet's counts."""


def count_macs(module: nn.Module, *inputs: Tensor | Sequence[Tensor]) -> tuple[int, Any]:
    """Multiply-accumulates of one forward pass, and what the pass gives; tensors may be on ``meta``.

    Counts convolutions, linear layers and scaled dot-product attention, which mmengine's and fvcore's
    counters miss. The papers of the field call these FLOPs.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    # torch's counter stumbles over views of parameters that could be trained.
    module.eval().requires_grad_(False)
    try:
        return _macs_of(module, *inputs)
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _macs_of(function: Callable[..., Any], *inputs: Tensor | Sequence[Tensor]) -> tuple[int, Any]:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = function(*inputs)
    return counter.get_total_flops() // 2, output


def model_complexity(
    model: ConfigDict, shape: Sequence[int] | None = None
) -> tuple[dict[str, tuple[int, int]], Sequence[int]]:
    """Parameters and MACs of each part of any of the suite's models, and the size of the input.

    Args:
        model: Its config.
        shape: Height and width in pixels, not of volumes, whose crops have a size; by default 1024 x 1024 for
            detectors, 512 x 512 for segmentation and 224 x 224 for all others.

    Raises:
        UserError: if a masked autoencoder or a segmentor of volumes, which have one size, is asked for another.
    """
    if 'input_size' in model:
        if shape:
            raise UserError("A masked autoencoder's size is its input_size; set model.input_size instead of --shape.")
        return autoencoder_complexity(model), model.input_size[-2:]
    if 'decoder' in model:
        if shape:
            raise UserError('Volumes are computed in crops of model.test_cfg.crop_size; set that instead of --shape.')
        return volume_complexity(model), model.test_cfg.crop_size[-2:]
    if 'decode_head' in model:
        shape = shape or (512, 512)
        return segmentor_complexity(model, *shape), shape
    if 'panoptic_head' in model:
        shape = shape or (1024, 1024)
        return query_complexity(model, *shape), shape
    if 'neck' in model:
        shape = shape or (1024, 1024)
        return detector_complexity(model, *shape), shape
    shape = shape or (224, 224)
    count = action_detector_complexity if 'roi_head' in model else recogniser_complexity
    return count(model, *shape), shape


def detector_complexity(model: ConfigDict, height: int, width: int) -> dict[str, tuple[int, int]]:
    """Parameters and MACs of each part of a two-stage detector, for one image.

    Args:
        model: Config of an mmdet detector with backbone, neck, RPN and RoI heads.
        height, width: Of the image in pixels, padding included.

    Returns:
        ``{part: (parameters, MACs)}``; the box heads see 1000 regions, the mask heads 100.
    """
    with torch.device('meta'):
        detector = MODELS.build(model)
        extractors = {part: model.roi_head.get(part.replace('head', 'roi_extractor')) for part in REGIONS}
        regions = {
            part: torch.empty(
                REGIONS[part],
                detector.neck.out_channels,
                *_first(getattr(detector.roi_head, part.replace('head', 'roi_extractor'))).roi_layers[0].output_size,
            )
            for part, extractor in extractors.items()
            if extractor is not None
        }
        backbone_macs, maps = count_macs(detector.backbone, torch.empty(1, channels_of(model), height, width))
    neck_macs, pyramid = count_macs(detector.neck, maps)
    macs = dict(backbone=backbone_macs, neck=neck_macs, rpn_head=count_macs(detector.rpn_head, pyramid)[0])
    parts = dict(backbone=detector.backbone, neck=detector.neck, rpn_head=detector.rpn_head)
    for part, region in regions.items():
        parts[part] = getattr(detector.roi_head, part)
        macs[part] = sum(count_macs(head, region)[0] for head in _each(parts[part]))
    return {part: (count_parameters(module), macs[part]) for part, module in parts.items()}


def query_complexity(model: ConfigDict, height: int, width: int) -> dict[str, tuple[int, int]]:
    """Parameters and MACs of backbone and head of Mask2Former and its kind, for one image."""
    with torch.device('meta'):
        detector = MODELS.build(model).eval()
        backbone_macs, maps = count_macs(detector.backbone, torch.empty(1, channels_of(model), height, width))
    # Its places on the maps are computed from numbers, which meta tensors have none of; one size stands for all.
    head = MODELS.build(model.panoptic_head | dict(train_cfg=None, test_cfg=None)).eval()
    sample = DetDataSample(metainfo=dict(batch_input_shape=(height, width), img_shape=(height, width)))
    head_macs, _ = count_macs(head, [torch.zeros(level.shape) for level in maps], [sample])
    return dict(
        backbone=(count_parameters(detector.backbone), backbone_macs), panoptic_head=(count_parameters(head), head_macs)
    )


def segmentor_complexity(model: ConfigDict, height: int, width: int) -> dict[str, tuple[int, int]]:
    """Parameters and MACs of backbone and decoder of a segmentor, for one image; the auxiliary head is for training."""
    with torch.device('meta'):
        segmentor = MODELS.build(model).eval()
        backbone_macs, maps = count_macs(segmentor.backbone, torch.empty(1, channels_of(model), height, width))
    head_macs, _ = count_macs(segmentor.decode_head, maps)
    return dict(
        backbone=(count_parameters(segmentor.backbone), backbone_macs),
        decode_head=(count_parameters(segmentor.decode_head), head_macs),
    )


def volume_complexity(model: ConfigDict) -> dict[str, tuple[int, int]]:
    """Parameters and MACs of backbone and decoder of a segmentor of volumes, for one crop of ``test_cfg.crop_size``."""
    with torch.device('meta'):
        backbone, decoder = MODELS.build(model.backbone).eval(), MODELS.build(model.decoder).eval()
        crop = torch.empty(1, channels_of(model), *model.test_cfg.crop_size)
    backbone_macs, maps = count_macs(backbone, crop)
    decoder_macs, _ = _macs_of(decoder, crop, maps)
    return dict(backbone=(count_parameters(backbone), backbone_macs), decoder=(count_parameters(decoder), decoder_macs))


def recogniser_complexity(model: ConfigDict, height: int, width: int) -> dict[str, tuple[int, int]]:
    """Parameters and MACs of backbone and head of a recogniser, for one view of ``backbone.num_frames`` frames."""
    with torch.device('meta'):
        backbone, head = MODELS.build(model.backbone), MODELS.build(model.cls_head)
        frames = () if model.backbone.get('num_frames') is None else (model.backbone.num_frames,)
        backbone_macs, maps = count_macs(backbone, torch.empty(1, channels_of(model), *frames, height, width))
    head_macs, _ = count_macs(head, maps)
    return dict(backbone=(count_parameters(backbone), backbone_macs), cls_head=(count_parameters(head), head_macs))


def autoencoder_complexity(model: ConfigDict) -> dict[str, tuple[int, int]]:
    """Parameters and MACs of a masked autoencoder for one input of ``input_size``: of its encoder, on the mask units
    that are kept, and of its decoder, on all, with the fusion of stages.
    """
    with torch.device('meta'):
        autoencoder = MODELS.build(model).eval()
        pixels = torch.empty(1, autoencoder.channels, *autoencoder.input_size)
        keep = autoencoder.random_keep(1, 'meta')
        kept = torch.empty(1, autoencoder.kept, dtype=torch.long)
    whole, _ = _macs_of(autoencoder.reconstruct, pixels, keep)
    macs, _ = _macs_of(autoencoder.backbone.forward_kept, pixels, kept)
    parameters = count_parameters(autoencoder.backbone)
    return dict(
        encoder=(parameters, macs),
        decoder=(count_parameters(autoencoder) - parameters, whole - macs),
    )


def channels_of(model: ConfigDict) -> int:
    """Of what a model takes: three, where its backbone does not say otherwise."""
    return model.backbone.get('in_channels', 3)


def action_detector_complexity(model: ConfigDict, height: int, width: int) -> dict[str, tuple[int, int]]:
    """Parameters and MACs of backbone and head of an action detector, for one clip with one person."""
    with torch.device('meta'):
        detector = MODELS.build(model)
        clip = torch.empty(1, channels_of(model), model.backbone.num_frames, height, width)
        backbone_macs, maps = count_macs(detector.backbone, clip)
        extractor, head = detector.roi_head.bbox_roi_extractor, detector.roi_head.bbox_head
        head_macs, _ = count_macs(head, torch.empty(1, maps[-1].shape[1], 1, *[extractor.output_size] * 2))
    return dict(
        backbone=(count_parameters(detector.backbone), backbone_macs), roi_head=(count_parameters(head), head_macs)
    )


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _each(module: BaseModule) -> Sequence[BaseModule]:
    """The heads of a cascade, or the one head."""
    return list(module) if isinstance(module, nn.ModuleList) else [module]


def _first(module: BaseModule) -> BaseModule:
    return _each(module)[0]
