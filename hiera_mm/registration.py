"""Importing this module registers everything, after the repairs that it needs."""

from hiera_mm.errors import require_packages

require_packages('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'safetensors')

from hiera_mm import compat, ops  # noqa: E402  (they import those packages)

ops.install()
compat.repair()

from hiera_mm import config, datasets, engine, evaluation, models, settings  # noqa: E402,F401  (they need what was repaired)

engine.save_whole_files()
config.apply_when_read(settings.read_config)
models.keep_boxes_in_float32()
