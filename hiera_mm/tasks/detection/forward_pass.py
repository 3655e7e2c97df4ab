"""Parameters, operations and loss of a forward pass of a detector."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hiera_mm.complexity import Parts, channels_of, count_macs, count_parameters
from hiera_mm.replaced import replaced

import torch
import torch.nn as nn
from mmcv.ops import point_sample
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import Tensor
from torch._subclasses import fake_tensor

USUAL_SIZE = (1024, 1024)
"""Height and width for which detectors are counted."""

OBJECTS = 20
"""Objects of an image whose masks are learned by queries; COCO has 7 objects, or 11 segments with stuff, on average."""


def detector_complexity(model: ConfigDict, height: int, width: int) -> Parts:
    """Parameters and MACs of each part of a two-stage detector, for one image.

    Args:
        model: The config of an mmdet detector with backbone, neck, RPN and RoI heads.
        height, width: The size of the image in pixels, padding included.

    Returns:
        ``{part: (parameters, MACs)}``; the box heads see as many regions and the mask heads as many objects as the
        config keeps in testing (``max_per_img``), 1000 and 100 in ViTDet's counts.
    """
    with torch.device('meta'):
        detector = MODELS.build(model)
        regions = {}
        counts = dict(bbox_head=model.test_cfg.rpn.max_per_img, mask_head=model.test_cfg.rcnn.max_per_img)
        for part, count in counts.items():
            extractor: Any = as_list(getattr(detector.roi_head, part.replace('head', 'roi_extractor'), None))[:1]
            if model.roi_head.get(part.replace('head', 'roi_extractor')) is not None:
                size = extractor[0].roi_layers[0].output_size
                regions[part] = torch.empty(count, detector.neck.out_channels, *size)
        backbone_macs, maps = count_macs(detector.backbone, torch.empty(1, channels_of(model), height, width))
    neck_macs, pyramid = count_macs(detector.neck, maps)
    macs = dict(backbone=backbone_macs, neck=neck_macs, rpn_head=count_macs(detector.rpn_head, pyramid)[0])
    parts = dict(backbone=detector.backbone, neck=detector.neck, rpn_head=detector.rpn_head)
    for part, region in regions.items():
        parts[part] = getattr(detector.roi_head, part)
        macs[part] = sum(count_macs(head, region)[0] for head in as_list(parts[part]))
    return {part: (count_parameters(module), macs[part]) for part, module in parts.items()}


def query_complexity(model: ConfigDict, height: int, width: int) -> Parts:
    """Parameters and MACs of backbone and head of a query-based model such as Mask2Former, for one image."""
    with torch.device('meta'):
        detector = MODELS.build(model).eval()
        backbone_macs, maps = count_macs(detector.backbone, torch.empty(1, channels_of(model), height, width))
    # The head computes positions from values, which meta tensors don't have.
    head = MODELS.build(model.panoptic_head | dict(train_cfg=None, test_cfg=None)).eval()
    sample = DetDataSample(metainfo=dict(batch_input_shape=(height, width), img_shape=(height, width)))
    head_macs, _ = count_macs(head, [torch.zeros(level.shape) for level in maps], [sample])
    return dict(
        backbone=(count_parameters(detector.backbone), backbone_macs), panoptic_head=(count_parameters(head), head_macs)
    )


def training_loss(model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
    """A scalar that depends on all outputs of a two-stage detector, or of a query-based model.

    Their losses, which depend on the data, are left out: heads get as many regions as are sampled, and as many masks
    of queries are compared as images are assumed to have objects (``OBJECTS``).
    """
    pixels = torch.empty(batch, channels_of(config), *shape)
    outputs = (
        _outputs_of_queries(model, config.train_cfg, pixels)
        if 'panoptic_head' in config
        else _outputs(model, config.train_cfg, pixels)
    )
    return torch.stack([output.float().mean() for output in outputs]).sum()


def _outputs_of_queries(model: Any, settings: ConfigDict, pixels: Tensor) -> list[Tensor]:
    maps, size = model.extract_feat(pixels), tuple(pixels.shape[-2:])
    samples = [DetDataSample(metainfo=dict(batch_input_shape=size, img_shape=size)) for _ in range(len(pixels))]
    with known_sizes():
        classes, masks = model.panoptic_head(maps, samples)
    points = torch.empty(min(OBJECTS, masks[0].shape[1]) * len(pixels), settings.num_points, 2)
    compared = [point_sample(one.flatten(0, 1)[: len(points), None].clone(), points) for one in masks]
    return [*classes, *compared]


@contextmanager
def known_sizes() -> Iterator[None]:
    """Let mmdet's decoder of pixels read the sizes of maps, which it keeps in tensors, also of torch's fake ones."""
    shape = replaced(torch, '_shape_as_tensor', lambda tensor: torch.tensor(list(tensor.shape)))
    with shape, replaced(fake_tensor, 'CONSTANT_NUMEL_LIMIT', 64):
        yield


def _outputs(model: Any, settings: ConfigDict, pixels: Tensor) -> list[Tensor]:
    pyramid = model.extract_feat(pixels)
    outputs = [part for level in model.rpn_head(pyramid) for part in level]
    stages = settings.rcnn if isinstance(settings.rcnn, list) else [settings.rcnn]
    for part, share in (('bbox', 1.0), ('mask', stages[0].sampler.pos_fraction)):
        heads = getattr(model.roi_head, f'{part}_head', None)
        extractors = getattr(model.roi_head, f'{part}_roi_extractor', None)
        for number, head in enumerate(as_list(heads)):
            regions = int(share * stages[number].sampler.num * len(pixels))
            found = head(_pooled(as_list(extractors)[number], pyramid, regions))
            outputs += found if isinstance(found, tuple) else [found]
    return [output for output in outputs if output is not None]


def _pooled(extractor: Any, pyramid: Sequence[Tensor], regions: int) -> Tensor:
    """Features of equally many regions from each map; the real extractor chooses the map by size."""
    layers = extractor.roi_layers
    counts = [regions // len(layers)] * (len(layers) - 1)
    counts.append(regions - sum(counts))
    parts = [
        layer(stage_map.float(), torch.zeros(count, 5)).to(stage_map.dtype)
        for layer, stage_map, count in zip(layers, pyramid, counts, strict=False)
    ]
    return torch.cat(parts)


def as_list(modules: nn.Module | None) -> list[nn.Module]:
    """The heads or extractors of a cascade, or a list of the only one, or an empty list."""
    if modules is None:
        return []
    return list(modules) if isinstance(modules, nn.ModuleList) else [modules]
