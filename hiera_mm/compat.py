"""Repairs incompatibilities between current torch and OpenMMLab releases, each only where the fault is present."""

import functools
import importlib
import importlib.metadata
import importlib.util
import logging
import pickle
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from hiera_mm import CONFIGS
from hiera_mm.replaced import replaced

import mmcv
import mmengine.config.utils
import mmengine.hub.hub
import mmengine.logging
import mmengine.runner.checkpoint
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

# torch before 2.7 only reports that it is compiling, which includes exporting.
is_exporting = getattr(torch.compiler, 'is_exporting', torch.compiler.is_compiling)

CALL_NUMPY_BY_FORMER_NAMES = (
    'mmaction.evaluation.functional.ava_evaluation.metrics',
    'mmaction.datasets.transforms.pose_transforms',
    'mmaction.utils.misc',
)


def repair() -> None:
    """Make every repair that this environment needs; running it again changes nothing."""
    import_data_sets_quietly()
    find_own_configs()
    find_mmseg_configs()
    let_mmengine_read_its_checkpoints()
    if importlib.util.find_spec('mmaction') is not None:
        bring_importlib_metadata_for_mmaction()
        accept_newer_mmcv_in_mmaction()
        stand_in_for_missing_drn()
        find_mmaction_configs()
        switch_off_multimodal_mmaction()
        let_mmaction_name_numpy_constants()


def import_data_sets_quietly() -> None:
    """``mmengine.logging.print_log`` without a logger also prints debug messages, so importing mmdet's and mmseg's data
    sets prints that OneDL is missing (https://github.com/VBTI-development/onedl-mmdetection/issues/12): drop debug
    messages during the import.
    """
    printing = mmengine.logging.print_log

    def print_log(msg: object, logger: object = None, level: int = logging.INFO) -> None:
        if logger is not None or level > logging.DEBUG:
            printing(msg, logger, level)

    with replaced(mmengine.logging, 'print_log', print_log):
        for package in ('mmdet', 'mmseg'):
            if importlib.util.find_spec(package) is not None:
                importlib.import_module(f'{package}.datasets')


def let_mmengine_read_its_checkpoints() -> None:
    """mmengine 0.10.7 can neither test nor resume from its own checkpoints, since torch 2.6 and later load only weights
    by default (https://github.com/open-mmlab/mmengine/issues/1655): register its classes with torch, as later releases
    do.
    """
    if not hasattr(mmengine.runner.checkpoint, 'get_torch_safe_globals'):
        torch.serialization.add_safe_globals(training_state_classes())


def training_state_classes() -> list:
    """The harmless classes that mmengine writes into its checkpoints beside the weights, for torch's safe loading."""
    multiarray = (np._core if hasattr(np, '_core') else np.core).multiarray
    # Only plain numbers, of any size, as in metrics; object arrays could run code.
    scalars = {type(np.dtype(kind)) for kind in '?' + np.typecodes['AllInteger'] + np.typecodes['AllFloat']}
    arrays = [np.ndarray, np.dtype, multiarray._reconstruct, multiarray.scalar, *scalars]
    # The log history unpickles its methods with getattr, which must not reach anything else.
    return [*arrays, HistoryBuffer, (_method_of_history, 'builtins.getattr')]


def _method_of_history(owner: object, name: str) -> object:
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f"it asks for the attribute '{name}' of {owner!r}")
    return getattr(HistoryBuffer, name)


def bring_importlib_metadata_for_mmaction() -> None:
    """mmaction 1.2.0 imports the package ``importlib_metadata``, which it does not require, for what Python itself has
    had since 3.8 (not reported): put Python's own there where the package is absent.
    """
    if importlib.util.find_spec('importlib_metadata') is None:
        sys.modules['importlib_metadata'] = importlib.metadata


def accept_newer_mmcv_in_mmaction() -> None:
    """mmaction 1.2.0 refuses mmcv 2.2 and later although it works with them
    (https://github.com/open-mmlab/mmcv/issues/3096): import it while mmcv reports an accepted version.
    """
    if 'mmaction' in sys.modules or digit_version(mmcv.__version__) < digit_version('2.2.0'):
        return
    with replaced(mmcv, '__version__', '2.1.0'):
        importlib.import_module('mmaction')


def stand_in_for_missing_drn() -> None:
    """The wheel of mmaction2 1.2.0 imports a folder that it lacks, ``models/localizers/drn``
    (https://github.com/open-mmlab/mmaction2/issues/2714): add a placeholder for its only class.
    """
    package = 'mmaction.models.localizers.drn'
    spec = importlib.util.find_spec('mmaction')
    folder = Path(str(spec and spec.origin)).parent / 'models' / 'localizers' / 'drn'
    if package in sys.modules or folder.is_dir():
        return

    class DRN:
        """Placeholder of mmaction2's dense regression network."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError('The installed mmaction2 was published without DRN; pip install otxmmaction2 has it.')

    for name in (package, f'{package}.drn'):
        sys.modules[name] = ModuleType(name, DRN.__doc__)
        vars(sys.modules[name])['DRN'] = DRN


def find_own_configs() -> None:
    """mmengine finds only OpenMMLab packages' configs by ``'PACKAGE::CONFIG'``: let ``_base_`` and
    ``mmengine.hub.get_config`` also accept ``'hiera_mm::mask_rcnn_hiera_b.py'``.
    """
    path_of, get_config = Config._get_cfg_path, mmengine.hub.hub.get_config
    if getattr(path_of, 'knows_hiera_mm', False):
        return

    @functools.wraps(path_of)
    def _get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        package, _, name = cfg_path.partition('::')
        return (str(Path(CONFIGS, name)), None) if package == 'hiera_mm' else path_of(cfg_path, filename)

    @functools.wraps(get_config)
    def get_any_config(cfg_path: str, pretrained: bool = False) -> Config:
        package, _, name = cfg_path.partition('::')
        return Config.fromfile(Path(CONFIGS, name)) if package == 'hiera_mm' else get_config(cfg_path, pretrained)

    vars(_get_cfg_path)['knows_hiera_mm'] = True
    Config._get_cfg_path = staticmethod(_get_cfg_path)
    mmengine.hub.hub.get_config = mmengine.hub.get_config = get_any_config


def find_mmaction_configs() -> None:
    """mmengine looks for ``mmaction::`` configs in a distribution called mmaction2, but the same code also comes as
    otxmmaction2, which fixes https://github.com/open-mmlab/mmaction2/issues/2714: look for the module if the
    distribution is not installed.
    """
    if _version_of('mmaction2') is None:
        mmengine.config.utils.MODULE2PACKAGE['mmaction'] = 'mmaction'


def find_mmseg_configs() -> None:
    """mmengine looks for ``mmseg::`` configs in a distribution called mmsegmentation, but the maintained one is called
    onedl-mmsegmentation (not reported): look for the module if the former is not installed.
    """
    if _version_of('mmsegmentation') is None:
        mmengine.config.utils.MODULE2PACKAGE['mmseg'] = 'mmseg'


class NumpyWithFormerNames(ModuleType):
    """numpy with two constants that mmaction still uses by their numpy 1 names."""

    NAN, Inf = np.nan, np.inf

    def __getattr__(self, name: str) -> object:
        return getattr(np, name)


def let_mmaction_name_numpy_constants() -> None:
    """mmaction 1.2.0 uses ``np.NAN`` for actions without examples in AVA's evaluation, and ``np.Inf`` for poses, which
    numpy 2 removed (https://github.com/numpy/numpy/issues/24306; not reported to mmaction2): give these modules a numpy
    that has them.
    """
    if hasattr(np, 'NAN'):
        return
    for name in CALL_NUMPY_BY_FORMER_NAMES:
        vars(importlib.import_module(name))['np'] = NumpyWithFormerNames('numpy')


def switch_off_multimodal_mmaction() -> None:
    """mmaction's multimodal models import timm and names that transformers removed in 4.56, so that importing
    ``mmaction.models`` fails: use mmaction's own placeholders, since this package needs none of these models. Not
    reported there; https://github.com/xinyu1205/recognize-anything/issues/219 is the same fault in another project.
    """
    vars(importlib.import_module('mmaction.utils.dependency'))['WITH_MULTIMODAL'] = False


def _version_of(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
