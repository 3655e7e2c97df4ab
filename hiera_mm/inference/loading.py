"""Loads trained models from a checkpoint, a run, a published folder or an exported file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from hiera_mm.config import config_from_text, dicts_in, must_be_registered
from hiera_mm.engine.saving import last_named
from hiera_mm.errors import UserError
from hiera_mm.inference.formats import Exported, is_exported, open_exported
from hiera_mm.inference.trained import InferenceTask, TrainedModel
from hiera_mm.models.lora import merge_lora
from hiera_mm.settings import read_config
from hiera_mm.weights.files import locate_checkpoint, read_checkpoint
from hiera_mm.weights.load import whole_state
from hiera_mm.weights.origin import origins_of
from hiera_mm.weights.published import names_in, published_folder

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

TaskOf = Callable[[Config], InferenceTask]
"""Finds the task of a config (``hiera_mm.tasks.task_of``)."""


def load_model(source: str, task_of: TaskOf, config: str | None = None, device: str | None = None) -> TrainedModel:
    """Build a trained model and load its weights.

    Args:
        source: A checkpoint of a run, or the folder of a run for its newest checkpoint; a folder from
            ``hiera-mm publish``, also as ``hf://OWNER/NAME``; a file from ``hiera-mm export``; with ``config`` any
            checkpoint, by path, URL or name of the zoo.
        task_of: Finds the task of the model's config.
        config: Name or path of the model's config. A run's checkpoint and a published folder contain it; that
            config is read without executing anything.
        device: Such as ``'cuda:0'``; by default a GPU if there is one.

    Raises:
        UserError: if config or checkpoint can't be read or don't belong together, or if the config has types that are
            not registered.
    """
    if is_exported(source):
        if config is not None:
            raise UserError(f"'{source}' is an exported model, which contains its config; leave --config out.")
        return exported_model(open_exported(source), source, task_of)
    path = checkpoint_in(source)
    checkpoint = read_checkpoint(path)
    settings = read_config(config) if config else _config_in(checkpoint, source)
    for part in dicts_in(settings.model):
        if (part.get('init_cfg') or {}).get('type') == 'Pretrained':
            part['init_cfg'] = None
    with in_scope(settings):
        model = MODELS.build(settings.model)
    state, _ = whole_state(model, checkpoint, source)
    model.load_state_dict(state, strict=False)
    if (settings.model.get('backbone') or {}).pop('lora', None):
        merge_lora(model)
    model = model.to(device or ('cuda:0' if torch.cuda.is_available() else 'cpu')).eval()
    version = _version(locate_checkpoint(path))
    meta = checkpoint.get('meta') or {}
    return TrainedModel(task_of(settings), model, settings, meta, source, version, origins_of(source, checkpoint))


def exported_model(exported: Exported, source: str, task_of: TaskOf) -> TrainedModel:
    """Load an exported file, which contains the parts of its config that inference needs."""
    settings = config_from_text(exported.described.get('config', ''), source)
    if 'model' not in settings:
        raise UserError(f"'{source}' is an exported backbone, which predicts nothing; export the whole model.")
    must_be_registered(settings, source)
    task, meta = task_of(settings), dict(dataset_meta=names_in(exported.described))
    return TrainedModel(task, task.exported_model(exported), settings, meta, source, _version(Path(source)), [])


def in_scope(config: Config) -> AbstractContextManager:
    """A context in which types without a prefix are looked up as the config's runner would."""
    return DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmengine'))


def checkpoint_in(source: str) -> str:
    """The checkpoint file of a source; for the folder of a run its newest checkpoint.

    Raises:
        UserError: for a folder without a checkpoint.
    """
    published = published_folder(source)
    if published is not None:
        # A local path, also for a model fetched from the hub.
        return str(published)
    folder = Path(source)
    if not folder.is_dir():
        return source
    name = Path(last_named(folder)).name
    if not name:
        raise UserError(
            f"The folder '{source}' has neither a published model nor a run's checkpoints (whose file last_checkpoint "
            'names the newest); name a checkpoint in it.'
        )
    return str(folder / name)


def _config_in(checkpoint: Mapping, source: str) -> Config:
    text = (checkpoint.get('meta') or {}).get('cfg')
    if not isinstance(text, str):
        raise UserError(f"'{source}' holds weights without the config of their model; name it: --config CONFIG.")
    settings = config_from_text(text, source)
    must_be_registered(settings, source)
    return settings


def _version(file: Path) -> str:
    found = file.stat()
    return f'{file.absolute()} {found.st_mtime_ns} {found.st_size}'
