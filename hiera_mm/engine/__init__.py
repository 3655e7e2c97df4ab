"""Optimiser construction and hooks that register in mmengine's root registries."""

from hiera_mm.engine.invalid_loss import StopOnInvalidLossHook
from hiera_mm.engine.layer_decay import DepthLayerDecayConstructor

__all__ = ['DepthLayerDecayConstructor', 'StopOnInvalidLossHook']
