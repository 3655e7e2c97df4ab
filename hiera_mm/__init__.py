"""Hiera for OpenMMLab: importing this package registers everything it adds."""

from pathlib import Path

from hiera_mm.program import a_command_starts
from hiera_mm.version import __version__  # noqa: F401

_installed_configs = Path(__file__).parent / 'configs'
CONFIGS = str(_installed_configs if _installed_configs.is_dir() else Path(__file__).parents[1] / 'configs')
"""Folder of this package's configs."""

# This package's commands do it themselves, once they know that they have to do more than print a help text.
if not a_command_starts():
    from hiera_mm import registration  # noqa: F401


def __getattr__(name: str) -> object:
    """``hiera_mm.load`` and ``hiera_mm.backbone``, imported lazily because training does not need them."""
    if name == 'load':
        from hiera_mm.tasks import load

        return load
    if name == 'backbone':
        from hiera_mm.inference.load_backbone import backbone

        return backbone
    raise AttributeError(f"module 'hiera_mm' has no attribute '{name}'")
