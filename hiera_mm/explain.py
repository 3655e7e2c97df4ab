"""Explains errors to users: known ones in a sentence with a remedy, others by their message and where they arose."""

import errno
import re
import textwrap
import traceback
from collections.abc import Iterator
from types import FrameType

from hiera_mm.errors import UserError, first_line, user_message

import torch.nn as nn
from mmcv.transforms import BaseTransform
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from torch.distributed import DistError
from torch.optim import Optimizer
from torch.utils.data import Dataset, Sampler

CONFIGURABLE = (nn.Module, BaseTransform, BaseMetric, Hook, _ParamScheduler, OptimWrapper, Optimizer, Dataset, Sampler)
"""Classes that a config names by ``type``, so that users can change them there."""

MAX_MESSAGE_LENGTH = 400
"""How many characters of another package's message are shown."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
"""The operating system's errors for full disks, and for paths that may not be written to."""

QUOTES = '"' + "'"

BUILD_FUNCTION = 'build_from_cfg'
"""mmengine's function that builds an object from a dict with ``type``."""


def describe(error: BaseException) -> str:
    """A sentence or two for any error."""
    sentence = explain(error)
    if sentence is not None:
        return sentence
    name, text = _name_and_text(error)
    return f'{_where(error)}{name}: {textwrap.shorten(text, MAX_MESSAGE_LENGTH)}'


def explain(error: BaseException) -> str | None:
    """The sentence that tells a user what to do about an error; None for an unknown error."""
    if isinstance(error, UserError):
        return user_message(error)
    text = str(error)
    # The last match, since a worker's traceback first quotes the source line with the same words.
    if undecodable := re.findall(r'failed to load image: (.*)', text):
        return (
            f"The image '{undecodable[-1]}' can't be decoded; replace the file or take it out of the annotation file."
        )
    if missing := re.search(r"No such file or directory: '(.*\.(?:jpe?g|png|bmp|webp|tiff?))'", text, re.IGNORECASE):
        return (
            f"The image '{missing[1]}' is missing; correct the path, in a data set by data_prefix or its annotation "
            'file.'
        )
    return _about_files(error) or _about_building(error, text) or _about_running(error, text)


def _about_files(error: BaseException) -> str | None:
    """Full disks, and paths that may not be written to."""
    if not isinstance(error, OSError) or error.errno not in DISK_FULL + NOT_WRITABLE:
        return None
    place = f"'{error.filename}'" if error.filename else 'A file'
    if error.errno in DISK_FULL:
        return (
            f"{place} can't be written ({error.strerror}); make room or choose another place (--work-dir, --out-dir). "
            'What was written before is intact: training goes on with --resume, a prediction with the same command.'
        )
    return f"{place} can't be opened ({error.strerror}); change its permissions or choose another place."


def _about_building(error: BaseException, text: str) -> str | None:
    """Faults of a dict with ``type``: an unknown or missing key, an unknown type, no type."""
    if isinstance(error, KeyError) and (unknown := re.search(r'(\S+) is not in the (\S+) registry', text)):
        return (
            f'The config names a type that is not registered: {unknown[1].strip(QUOTES)} is not in the {unknown[2]} '
            'registry; correct its spelling, or name the module that registers it in custom_imports.'
        )
    if isinstance(error, KeyError) and 'must contain the key "type"' in text:
        return f'A dict of the config lacks the key type, which says what to build: {first_line(text)}'
    if some := re.search(r'(\w+), (\w+),? and (\w+) should be (either )?all None or not None', text):
        return (
            f'The config sets some of {some[1]}, {some[2]} and {some[3]} and leaves others out; set all three, or '
            'each of them to None.'
        )
    if 'end should be larger than begin' in text:
        return (
            'A schedule in param_scheduler, such as the warm-up, would have no iterations, since an epoch has too few; '
            'make the schedule longer or train_dataloader.batch_size smaller, or train on more data.'
        )
    if not isinstance(error, TypeError):
        return None
    built = _frames_in(error, BUILD_FUNCTION)
    keys = built[-1].f_locals.get('args', {}) if built else {}
    if (unknown := re.search(r"(\w+)\(\) got an unexpected keyword argument '(\w+)'", text)) and unknown[2] in keys:
        return (
            f"The config key '{unknown[2]}' does not exist on {_built_name(built[-1])}; correct its spelling or remove "
            'it (_delete_=True in the dict that sets the type removes keys inherited from another type).'
        )
    if built and (missing := re.search(r'\(\) missing \d+ required [\w-]+ arguments?: (.*)', text)):
        return f'The config lacks {missing[1]} of {_built_name(built[-1])}; add it there.'
    return None


def _about_running(error: BaseException, text: str) -> str | None:
    if 'max_testing_views is only compatible' in text:
        return (
            "mmaction2's Recognizer3D takes model.test_cfg.max_testing_views only with batches of one video; set "
            "batch_size=1 in val_dataloader and test_dataloader, or model.type='ClipRecognizer', which takes any batch."
        )
    if 'image size in a batch should be the same' in text:
        return (
            'mmsegmentation tests images of several sizes only one at a time; set batch_size=1 in val_dataloader and '
            'test_dataloader.'
        )
    if isinstance(error, DistError) or ('gloo' in text and re.search('by peer|Broken pipe|timed out', text, re.I)):
        return (
            'The connection to the other processes is lost, because another process of this run ended or hangs; its '
            "own message says why, or the system's log if it was killed, for example when memory ran out. Resume with "
            '--resume.'
        )
    if isinstance(error, KeyError) and (saving := _frames_in(error, '_save_best_checkpoint')):
        given = ', '.join(f"'{name}'" for name in saving[-1].f_locals.get('metrics', {}))
        return (
            f'The checkpoint hook should keep the best checkpoint by {error}, a metric that no evaluator gives; set '
            f'default_hooks.checkpoint.save_best to one of {given}.'
        )
    return None


def _built_name(build: FrameType) -> str:
    built = build.f_locals.get('obj_type')
    return built if isinstance(built, str) else getattr(built, '__name__', str(built))


def _frames_in(error: BaseException, function: str) -> list[FrameType]:
    return [frame for frame in _frames(error) if frame.f_code.co_name == function]


def _frames(error: BaseException) -> Iterator[FrameType]:
    """The stack frames, from the outermost to the one that raised."""
    return (frame for frame, _ in traceback.walk_tb(error.__traceback__))


def _name_and_text(error: BaseException) -> tuple[str, str]:
    """The error's class name and message; for a worker's error, those in the last lines of its traceback."""
    if 'Original Traceback' in str(error):
        last = [line for line in str(error).splitlines() if re.match(r'[\w.]*\w+(Error|Exception|Warning)?: ', line)]
        if last:
            name, _, text = last[-1].partition(': ')
            return name.rpartition('.')[2], text
    steps = traceback.extract_tb(error.__traceback__)
    # Most assertions have no message, so their source line is shown.
    return type(error).__name__, first_line(str(error)) or (steps[-1].line if steps else '') or 'no message'


def _where(error: BaseException) -> str:
    """Where the error arose, such as ``'In model.neck.lateral_convs.0.conv (Conv2d): '``; empty if unknown."""
    owners = [frame.f_locals.get('self') for frame in _frames(error)]
    parts = [owner for owner in owners if isinstance(owner, CONFIGURABLE)]
    if not parts:
        found = re.findall(r'File ".*?(\w+)\.py", line \d+, in (\w+)', str(error))
        return f'In {found[-1][1]}() of {found[-1][0]}.py: ' if found else ''
    part = parts[-1]
    if isinstance(part, nn.Module):
        whole = next(owner for owner in parts if isinstance(owner, nn.Module))
        path = next((name for name, module in whole.named_modules() if module is part), '')
        return f'In {f"model.{path}" if path else "the model"} ({type(part).__name__}): '
    return f'In {type(part).__name__}: '
