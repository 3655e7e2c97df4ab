# What every segmentation config of the suite shares: mmsegmentation's run-time defaults (its hooks stand in its
# schedules), this package, checkpoints in every published format, a plan of the run in the log, and a stop at invalid
# losses.
_base_ = ['mmseg::_base_/default_runtime.py', 'mmseg::_base_/schedules/schedule_160k.py']

custom_imports = dict(imports=['hiera_mm'], allow_failed_imports=False)
default_hooks = dict(
    settings=dict(type='SettingsHook'),
    fit_checkpoint=dict(type='FitCheckpointHook'),
    plan=dict(type='RunPlanHook'),
    invalid_loss=dict(type='StopOnInvalidLossHook'),
)
# For the user's own; those above stay whatever is set here.
custom_hooks = []
