"""Optimiser construction and hooks that register in mmengine's root registries."""

from hiera_mm.engine.invalid_loss import StopOnInvalidLossHook
from hiera_mm.engine.layer_decay import DepthLayerDecayConstructor
from hiera_mm.engine.load_from import FitCheckpointHook, read_nothing_but_data

__all__ = ['DepthLayerDecayConstructor', 'FitCheckpointHook', 'StopOnInvalidLossHook', 'read_nothing_but_data']
