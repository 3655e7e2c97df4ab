"""Optimiser construction, schedules and hooks that register in mmengine's root registries."""

from hiera_mm.engine.compile_backbone import CompileBackboneHook
from hiera_mm.engine.invalid_loss import StopOnInvalidLossHook
from hiera_mm.engine.layer_decay import DepthLayerDecayConstructor
from hiera_mm.engine.load_from import FitCheckpointHook, read_nothing_but_data
from hiera_mm.engine.reciprocal_square_root import ReciprocalSquareRootLR
from hiera_mm.engine.run_plan import RunPlanHook

__all__ = [
    'CompileBackboneHook',
    'DepthLayerDecayConstructor',
    'FitCheckpointHook',
    'ReciprocalSquareRootLR',
    'RunPlanHook',
    'StopOnInvalidLossHook',
    'read_nothing_but_data',
]
