"""Places where today's torch and OpenMMLab disagree, each mended only where its fault is present."""

import functools
import importlib
import importlib.util
import logging
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import mmcv
import mmengine.config.utils
import mmengine.logging
from mmengine.utils import digit_version


def repair() -> None:
    """Make every repair that this environment needs; running it again changes nothing."""
    silence_debug_prints()
    if importlib.util.find_spec('mmaction') is not None:
        accept_newer_mmcv_in_mmaction()
        stand_in_for_missing_drn()
        find_mmaction_configs()
        switch_off_multimodal_mmaction()


def silence_debug_prints() -> None:
    """``mmengine.logging.print_log`` without a logger prints even debug messages; drop those.

    It is how every import of mmdet comes to print that OneDL is absent, which no user needs
    (seen in https://github.com/VBTI-development/onedl-mmdetection/issues/12).
    """
    printing = mmengine.logging.print_log
    if getattr(printing, 'drops_debug', False):
        return

    @functools.wraps(printing)
    def print_log(msg, logger=None, level=logging.INFO):
        if logger is not None or level > logging.DEBUG:
            printing(msg, logger, level)

    print_log.drops_debug = True
    mmengine.logging.print_log = print_log


def accept_newer_mmcv_in_mmaction() -> None:
    """mmaction 1.2.0 refuses mmcv 2.2 and later, with which it works
    (https://github.com/open-mmlab/mmcv/issues/3096): import it under a version it accepts.
    """
    if 'mmaction' in sys.modules or digit_version(mmcv.__version__) < digit_version('2.2.0'):
        return
    true_version = mmcv.__version__
    mmcv.__version__ = '2.1.0'
    try:
        importlib.import_module('mmaction')
    finally:
        mmcv.__version__ = true_version


def stand_in_for_missing_drn() -> None:
    """The wheel of mmaction2 1.2.0 imports a folder that it lacks, ``models/localizers/drn``
    (https://github.com/open-mmlab/mmaction2/issues/2714): put a placeholder for the one class there.
    """
    package = 'mmaction.models.localizers.drn'
    folder = Path(importlib.util.find_spec('mmaction').origin).parent / 'models' / 'localizers' / 'drn'
    if package in sys.modules or folder.is_dir():
        return

    class DRN:
        """Placeholder of mmaction2's dense regression network."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError('The installed mmaction2 was published without DRN; pip install otxmmaction2 has it.')

    for name in (package, f'{package}.drn'):
        sys.modules[name] = ModuleType(name, DRN.__doc__)
        sys.modules[name].DRN = DRN


def find_mmaction_configs() -> None:
    """mmengine looks for ``mmaction::`` configs in a distribution called mmaction2, but the same code also
    comes as otxmmaction2, for want of https://github.com/open-mmlab/mmaction2/issues/2714: look for the module
    instead where that distribution is absent.
    """
    if _version_of('mmaction2') is None:
        mmengine.config.utils.MODULE2PACKAGE['mmaction'] = 'mmaction'


def switch_off_multimodal_mmaction() -> None:
    """mmaction's multimodal models import names that transformers 5 removed, and ``mmaction.models`` with
    them: register mmaction's own placeholders. Not reported there; the same break in another project is
    https://github.com/xinyu1205/recognize-anything/issues/219.
    """
    transformers = _version_of('transformers')
    if transformers and digit_version(transformers) >= digit_version('5.0.0'):
        importlib.import_module('mmaction.utils.dependency').WITH_MULTIMODAL = False


def _version_of(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
