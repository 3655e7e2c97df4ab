"""Hiera for OpenMMLab: importing this package registers everything it adds."""

from pathlib import Path

from hiera_mm.errors import require_packages
from hiera_mm.version import __version__  # noqa: F401

require_packages('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'safetensors')

from hiera_mm import compat, ops  # noqa: E402  (they import those packages)

ops.install()
compat.repair()

from hiera_mm import datasets, engine, models  # noqa: E402,F401  (they need what was just repaired)

engine.read_nothing_but_data()

_installed_configs = Path(__file__).parent / 'configs'
CONFIGS = str(_installed_configs if _installed_configs.is_dir() else Path(__file__).parents[1] / 'configs')
"""Folder of the suite's configs, to inherit from any other folder:
``_base_ = __import__('hiera_mm').CONFIGS + '/mask_rcnn_hiera_b.py'``."""
