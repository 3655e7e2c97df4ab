"""Models that register in mmengine's root registry."""

import importlib.util

from hiera_mm.models.batched import (
    BatchedCascadeRoIHead,
    BatchedRoIHead,
    BatchedRPNHead,
    CascadeRCNN,
    FasterRCNN,
    MaskRCNN,
)
from hiera_mm.models.box_precision import SingleRoIExtractor, keep_boxes_in_float32
from hiera_mm.models.centernet import CenterNetHead
from hiera_mm.models.distillation import FeatureDistillation
from hiera_mm.models.hiera import Hiera
from hiera_mm.models.mae import MaskedAutoencoder
from hiera_mm.models.mask_head import FCNMaskHead
from hiera_mm.models.multi_channel import MultiChannelDetDataPreprocessor
from hiera_mm.models.norms import ChannelLayerNorm
from hiera_mm.models.panoptic_fusion import MaskFormerFusionHead
from hiera_mm.models.timm_backbone import TimmBackbone
from hiera_mm.models.unetr_decoder import UNETRDecoder
from hiera_mm.models.volume_encoder_decoder import VolumeEncoderDecoder

__all__ = [
    'BatchedCascadeRoIHead',
    'BatchedRPNHead',
    'BatchedRoIHead',
    'CascadeRCNN',
    'CenterNetHead',
    'ChannelLayerNorm',
    'FCNMaskHead',
    'FasterRCNN',
    'FeatureDistillation',
    'Hiera',
    'MaskFormerFusionHead',
    'MaskRCNN',
    'MaskedAutoencoder',
    'MultiChannelDetDataPreprocessor',
    'SingleRoIExtractor',
    'TimmBackbone',
    'UNETRDecoder',
    'VolumeEncoderDecoder',
    'keep_boxes_in_float32',
]

if importlib.util.find_spec('mmaction') is not None:
    from hiera_mm.models.action_head import WholeFrameBBoxHeadAVA  # noqa: F401
    from hiera_mm.models.heads import AttentionPoolingHead, HieraHead  # noqa: F401
    from hiera_mm.models.recognizer import ClipRecognizer, ImageRecognizer  # noqa: F401

    __all__ += ['AttentionPoolingHead', 'ClipRecognizer', 'HieraHead', 'ImageRecognizer', 'WholeFrameBBoxHeadAVA']
