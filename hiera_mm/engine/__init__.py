"""Optimiser construction, schedules and hooks that register in mmengine's root registries."""

from hiera_mm.engine.collecting import CollectInWorkDirHook
from hiera_mm.engine.compiling import CompileHook
from hiera_mm.engine.half_precision import AmpOptimWrapper
from hiera_mm.engine.interruption import StopOnSignalHook
from hiera_mm.engine.invalid_loss import StopOnInvalidLossHook
from hiera_mm.engine.layer_decay import DepthLayerDecayConstructor
from hiera_mm.engine.load_from import FitCheckpointHook
from hiera_mm.engine.memory import ReleaseMemoryHook
from hiera_mm.engine.parameter_groups import GroupedOptimWrapperConstructor
from hiera_mm.engine.progress_bar import ProgressBarHook
from hiera_mm.engine.random_states import NumberedSampler, RandomStateHook, SelfSeededDataset
from hiera_mm.engine.reciprocal_square_root import ReciprocalSquareRootLR
from hiera_mm.engine.resuming import ResumeHook
from hiera_mm.engine.run_plan import RunPlanHook
from hiera_mm.engine.saving import CheckpointHook, save_whole_files
from hiera_mm.engine.settings_hook import SettingsHook
from hiera_mm.engine.sharding import FullyShardedRunner
from hiera_mm.engine.warm_up import WarmUpLR

__all__ = [
    'AmpOptimWrapper',
    'CheckpointHook',
    'CollectInWorkDirHook',
    'CompileHook',
    'DepthLayerDecayConstructor',
    'FitCheckpointHook',
    'FullyShardedRunner',
    'GroupedOptimWrapperConstructor',
    'NumberedSampler',
    'ProgressBarHook',
    'RandomStateHook',
    'ReciprocalSquareRootLR',
    'ReleaseMemoryHook',
    'ResumeHook',
    'RunPlanHook',
    'SelfSeededDataset',
    'SettingsHook',
    'StopOnInvalidLossHook',
    'StopOnSignalHook',
    'WarmUpLR',
    'save_whole_files',
]
