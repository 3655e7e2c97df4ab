"""Models that register in mmengine's root registry."""

from hiera_mm.models.hiera import Hiera
from hiera_mm.models.norms import ChannelLayerNorm

__all__ = ['ChannelLayerNorm', 'Hiera']
