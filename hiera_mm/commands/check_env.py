"""Check the installation, and name the command that repairs it.

Exit code 1 if anything is wrong. Uses the standard library alone, so that it runs in a broken environment.
"""

import argparse
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import NamedTuple

INSTALL = 'pip install -r requirements.txt'
REINSTALL = 'pip install --force-reinstall -r requirements.txt'
MAINTAINED = dict(mmengine='onedl-mmengine', mmcv='onedl-mmcv', mmdet='onedl-mmdetection')
UPSTREAM = dict(mmengine='mmengine', mmcv='mmcv', mmdet='mmdet')
LITE = 'mmcv-lite'  # upstream's mmcv without compiled operators
OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless')


EXTRAS = dict(
    data='tiles of large images',
    track='objects followed through videos',
    heic='photographs of phones',
    tiff='images of more channels than colours have',
    fonts='Chinese, Japanese and Korean letters in drawings',
    hub='models on the Hugging Face hub',
    seg='semantic segmentation',
    volumes='CT, MRI and other volumes',
    lora='low-rank updates',
    timm="attention pooling, and teachers of timm's",
    sam2="'hiera-mm label-masks'",
    probe="'hiera-mm probe'",
    tensorboard='curves in TensorBoard',
    serve="'hiera-mm serve'",
    export="'hiera-mm export' and its files",
)
"""What the extras of the package are for."""

ALONE = {'panopticapi-lite': ('panoptic quality', 'pip install --no-deps panopticapi-lite==0.2.0')}
"""Packages that no extra can install, as their requirements contradict others': what for, and how."""


class Row(NamedTuple):
    part: str
    found: str
    fault: str = ''


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the command has no options."""


def run(arguments: argparse.Namespace) -> int:
    rows = [row for check in CHECKS for row in check()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for row in rows:
        print(f'{row.part:{widths[0]}}  {row.found:{widths[1]}}  {"FAULT" if row.fault else "ok"}')
    print_extras()
    faults = [row for row in rows if row.fault]
    for row in faults:
        print(f'\n{row.part}: {row.fault}')
    return 1 if faults else 0


def print_extras() -> None:
    """Say which extras are installed, and what installs the others."""
    print('\nextras:')
    for extra, purpose in EXTRAS.items():
        needed = required_by(extra)
        state = 'installed' if needed else "unknown, as hiera_mm's own installation doesn't list it"
        if not all(map(version_of, needed)):
            state = f"not installed: pip install 'hiera_mm[{extra}]'"
        print(f'  {extra:16} {purpose:50} {state}')
    for name, (purpose, command) in ALONE.items():
        print(f'  {name:16} {purpose:50} {"installed" if version_of(name) else f"not installed: {command}"}')


def required_by(extra: str) -> list[str]:
    """The distributions that an extra of this package needs."""
    try:
        needed = requires('hiera_mm') or []
    except PackageNotFoundError:
        return []
    marks = [f"extra == '{extra}'", f'extra == "{extra}"']
    return [re.split(r'[^\w.-]', one)[0] for one in needed if any(mark in one for mark in marks)]


def check_python() -> Iterator[Row]:
    found = '.'.join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info < (3, 14)
    yield Row('Python', found, '' if fits else 'Python 3.11, 3.12 or 3.13 is needed; make the environment with one.')


def check_openmmlab() -> Iterator[Row]:
    """Which distributions own the import names mmengine, mmcv and mmdet."""
    lines = {name: [d for d in distributions_of(name) if version_of(d)] for name in MAINTAINED}
    owners = {owner for found in lines.values() for owner in found}
    mixed = owners & set(MAINTAINED.values()) and owners - set(MAINTAINED.values())
    line = 'none' if not owners else 'mixed' if mixed else 'onedl' if owners & set(MAINTAINED.values()) else 'upstream'
    fault = ''
    if mixed:
        both = ' '.join(sorted(owners))
        fault = (
            f'two lines of OpenMMLab are installed in the same folders and break each other; keep one: '
            f'pip uninstall -y {both} && {INSTALL}'
        )
    yield Row('OpenMMLab line', line, fault)
    for name, found in lines.items():
        versions = ', '.join(f'{owner} {version_of(owner)}' for owner in found) or 'missing'
        yield Row(name, versions, '' if found else f'{name} is not installed: {INSTALL}')
    owner = next((d for d in ('mmaction2', 'otxmmaction2') if version_of(d)), None)
    release = f'{owner} {version_of(owner)}' if owner else 'missing'
    yield Row('mmaction', release, '' if owner else f'mmaction is not installed: {INSTALL}')


def check_torch() -> Iterator[Row]:
    for name in ('torch', 'torchvision'):
        found = version_of(name)
        fault = '' if found else f'{name} is not installed: {INSTALL}'
        if name == 'torch' and found and numbers(found) < (2, 6):
            fault = f'torch 2.6 or newer is needed: {INSTALL}'
        if name == 'torch' and found and found.startswith('2.13.0'):
            fault = f"torch 2.13.0 does not fit PyPI's torchvision: {INSTALL}"
        yield Row(name, found or 'missing', fault)
    if version_of('torch'):
        yield attempt('GPU', lambda: import_name('torch').cuda.is_available() and gpu_name() or 'none (CPU only)')


def check_operators() -> Iterator[Row]:
    """mmcv's compiled operators, or torchvision's instead."""
    if not (version_of('torchvision') and any(map(version_of, distributions_of('mmcv')))):
        return
    yield attempt('torchvision operators', run_nms, REINSTALL)
    yield attempt('mmcv operators', describe_operators, REINSTALL)


def check_opencv() -> Iterator[Row]:
    found = {name: version_of(name) for name in OPENCV if version_of(name)}
    listed = ', '.join(f'{name} {number}' for name, number in found.items()) or 'missing'
    fault = '' if found else f'OpenCV is not installed: {INSTALL}'
    if len(set(found.values())) > 1:
        fault = (
            f'these distributions own the same folder cv2 and have different versions, so that the one '
            f'installed last breaks the others: pip uninstall -y {" ".join(found)} && {INSTALL}'
        )
    yield Row('OpenCV', listed, fault)
    if found:
        yield check_cv2()


def check_cv2() -> Row:
    try:
        return Row('cv2', import_name('cv2').__version__)
    except ImportError as error:
        if 'libGL' in str(error):
            headless = f'opencv-python-headless=={version_of("opencv-python-headless") or "4.12.0.88"}'
            remedy = (
                f'the system library libGL is missing: apt-get install -y libgl1, or without root: '
                f'pip install --no-deps --force-reinstall {headless}'
            )
        else:
            remedy = f'cv2 cannot be imported ({error}): pip install --force-reinstall --no-deps ' + ' '.join(
                f'{name}=={version_of(name)}' for name in OPENCV if version_of(name)
            )
        return Row('cv2', 'cannot be imported', remedy)


def check_small_libraries() -> Iterator[Row]:
    for name in ('pycocotools', 'safetensors', 'psutil'):
        found = version_of(name)
        yield Row(name, found or 'missing', '' if found else f'{name} is not installed: pip install {name}')


def check_video() -> Iterator[Row]:
    found = version_of('av')
    yield Row('video decoder av', found or 'missing', '' if found else 'av is not installed: pip install av')


def check_suite() -> Iterator[Row]:
    yield attempt('hiera_mm', installed_suite, 'pip install --no-deps -e .')
    yield attempt('mmdet.models', lambda: import_name('mmdet.models') and 'imports', INSTALL)
    yield attempt('mmaction.models', lambda: import_name('mmaction.models') and 'imports', INSTALL)


CHECKS: tuple[Callable[[], Iterator[Row]], ...] = (
    check_python,
    check_openmmlab,
    check_torch,
    check_operators,
    check_opencv,
    check_small_libraries,
    check_video,
    check_suite,
)


def distributions_of(module: str) -> list[str]:
    """The distributions that may provide a module of OpenMMLab."""
    return [MAINTAINED[module], UPSTREAM[module], *([LITE] if module == 'mmcv' else [])]


def version_of(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def numbers(text: str) -> tuple[int, int]:
    major, minor = text.split('.')[:2]
    return int(major), int(minor)


def import_name(module: str):
    return importlib.import_module(module)


def attempt(part: str, look: Callable[[], str], command: str = INSTALL) -> Row:
    """A row with the result of ``look``, or with the first line of its error and the command that repairs it."""
    try:
        return Row(part, look())
    except Exception as error:
        reason = str(error).strip().split('\n')[0]
        return Row(part, 'does not work', f'{type(error).__name__}: {reason}; run: {command}')


def installed_suite() -> str:
    suite = import_name('hiera_mm')
    import_name('hiera_mm.registration')  # which commands import later
    return suite.__version__


def gpu_name() -> str:
    return import_name('torch').cuda.get_device_name()


def run_nms() -> str:
    torch, torchvision = import_name('torch'), import_name('torchvision')
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    return 'work'


def describe_operators() -> str:
    if importlib.util.find_spec('mmcv._ext') is None:
        return 'torchvision in place of compiled ones'
    import_name('mmcv._ext')
    return 'compiled'
