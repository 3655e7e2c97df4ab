"""Checks of a distillation's teacher."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hiera_mm.checks.fault import Fault, Severity
from hiera_mm.errors import UserError
from hiera_mm.inference.load_backbone import TRAINING_KEYS, settings_of_run
from hiera_mm.models import Hiera
from hiera_mm.weights.files import read_checkpoint

from mmengine.config import ConfigDict


def faults_of_teacher(teacher: ConfigDict) -> Iterator[Fault]:
    """A teacher that has learned nothing, and one that computes other maps than it has learned."""
    if not is_hiera(teacher):
        if not teacher.get('pretrained', True):
            yield Fault(Severity.BLOCKS, _nothing_learned('model.teacher.pretrained=True'))
        return
    source = (teacher.get('init_cfg') or {}).get('checkpoint')
    if not source:
        yield Fault(Severity.BLOCKS, _nothing_learned('teacher_weights'))
    elif Path(source).is_file():
        yield from _other_settings(teacher, source)


def is_hiera(teacher: ConfigDict) -> bool:
    """Whether a teacher is a Hiera, and not a backbone of timm."""
    return str(teacher.get('type', '')).rpartition('.')[2] == 'Hiera'


def _nothing_learned(key: str) -> str:
    return f"The teacher's weights are random, so there is nothing to learn from it; set {key}."


def _other_settings(teacher: ConfigDict, source: str) -> Iterator[Fault]:
    """Settings of a run that the teacher does not have, though its weights fit."""
    try:
        trained = settings_of_run(read_checkpoint(source))
    except UserError:
        # Told when the weights are loaded.
        return
    if trained is None or _of_its_maps(teacher) == _of_its_maps(trained):
        return
    shown = ', '.join(f'{key}={value!r}' for key, value in trained.items())
    yield Fault(
        Severity.BLOCKS,
        f"The teacher has other settings than the backbone in '{source}' was trained with, so its maps would be "
        f"others; set model = dict(teacher=dict(_delete_=True, type='Hiera', {shown}, init_cfg=dict(type='Pretrained', "
        f'checkpoint={source!r}))).',
    )


def _of_its_maps(settings: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a Hiera on which its maps depend."""
    defaults = inspect.signature(Hiera).parameters.values()
    every = {one.name: settings.get(one.name, one.default) for one in defaults if one.name not in TRAINING_KEYS}
    # A distillation sets it.
    del every['out_indices']
    return {name: tuple(value) if isinstance(value, list) else value for name, value in every.items()}
