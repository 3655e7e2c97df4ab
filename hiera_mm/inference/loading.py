"""Loads trained models from a checkpoint, a run, a published folder or an exported file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hiera_mm.config import in_scope
from hiera_mm.engine.saving import BEST, checkpoint_folders, last_named
from hiera_mm.errors import UserError, examples, first_line
from hiera_mm.inference.closed_config import (
    TEST_PARTS,
    config_from_text,
    drop_weights,
    refuse_modules,
    refuse_unknown_texts,
    test_set_of,
)
from hiera_mm.inference.formats import FORMATS, Exported, open_exported
from hiera_mm.inference.trained import InferenceTask, TrainedModel
from hiera_mm.models.half_precision import halve
from hiera_mm.models.lora import merge_lora
from hiera_mm.settings import read_config
from hiera_mm.weights.files import locate_checkpoint, read_checkpoint
from hiera_mm.weights.load import whole_state
from hiera_mm.weights.origin import origins_of
from hiera_mm.weights.published import names_in, published_folder

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS

TaskOf = Callable[[Config], InferenceTask]
"""Finds the task of a config (``hiera_mm.tasks.task_of``)."""


def load_model(
    source: str,
    task_of: TaskOf,
    config: str | None = None,
    device: str | None = None,
    trust: bool = False,
    half: bool = False,
) -> TrainedModel:
    """Build a trained model and load its weights.

    Args:
        source: A checkpoint of a run, or the folder of a run for its best checkpoint; a folder from
            ``hiera-mm publish``, also as ``hf://OWNER/NAME``; a file from ``hiera-mm export``; with ``config`` any
            checkpoint, by path, URL or name of the zoo.
        task_of: Finds the task of the model's config.
        config: Name or path of the model's config. A run's checkpoint and a published folder contain it; that
            config is read without executing anything.
        device: Such as ``'cuda:0'``; by default a GPU if there is one.
        trust: Whether the file is trusted: then a ``.pt2`` is opened, and a config inside may name anything.
        half: Whether to compute in half precision: bfloat16, on GPUs without it float16.

    Raises:
        UserError: if config or checkpoint can't be read or don't belong together, or if the device is missing; unless
            ``trust``, if the config inside has texts that are not known to be harmless, and for a ``.pt2``.
    """
    if is_exported(source):
        if config is not None:
            raise UserError(f"'{source}' is an exported model, which contains its config; leave --config out.")
        if half:
            raise UserError(
                f"'{source}' is an exported model, whose precision was set when it was written; leave half precision "
                'out.'
            )
        return exported_model(open_exported(source, trust), source, task_of, trust)
    path = checkpoint_in(source)
    checkpoint = read_checkpoint(path)
    settings = read_config(config) if config else _config_in(checkpoint, source, trust)
    drop_weights(settings.model)
    model = _built(settings, source)
    state, _ = whole_state(model, checkpoint, source)
    model.load_state_dict(state, strict=False)
    if (settings.model.get('backbone') or {}).pop('lora', None):
        merge_lora(model)
    model = model.to(_device(device)).eval()
    if half:
        halve(model)
    version = _version(locate_checkpoint(path)) + (' in half precision' if half else '')
    meta = checkpoint.get('meta') or {}
    trusted, origins = trust or config is not None, origins_of(source, checkpoint)
    return TrainedModel(task_of(settings), model, settings, meta, source, version, origins, trusted, half)


def is_exported(source: str) -> bool:
    """Whether a file has the ending of an exported file."""
    return Path(source).suffix in FORMATS and Path(source).is_file()


def exported_model(exported: Exported, source: str, task_of: TaskOf, trust: bool = False) -> TrainedModel:
    """Load an exported file, which contains the parts of its config that inference needs."""
    settings = config_from_text(exported.described.get('config', ''), source)
    drop_weights(settings.get('model') or {})
    if 'model' not in settings:
        raise UserError(f"'{source}' is an exported backbone, which predicts nothing; export the whole model.")
    if not trust:
        check_loaded_config(settings, source)
    task, meta = task_of(settings), dict(dataset_meta=names_in(exported.described))
    return TrainedModel(task, task.exported_model(exported), settings, meta, source, _version(Path(source)), [], trust)


def checkpoint_in(source: str, newest: bool = False) -> str:
    """The checkpoint file of a source; for the folder of a run its best checkpoint by validation, or its newest one if
    it has no best one or if that is asked for.

    Raises:
        UserError: for a folder without a checkpoint, or with several best ones.
    """
    published = published_folder(source)
    if published is not None:
        # A local path, also for a model fetched from the hub.
        return str(published)
    folder = Path(source)
    if not folder.is_dir():
        return source
    folders = checkpoint_folders(folder)
    best = [] if newest else [path for place in folders for path in sorted(place.glob(f'{BEST}*.pth'))]
    if len(best) > 1:
        names = examples([path.name for path in best])
        raise UserError(
            f"The folder '{source}' holds several best checkpoints, {names}, by several metrics or of several runs; "
            'name the one to use.'
        )
    if best:
        return str(best[0])
    name = Path(last_named(folder)).name
    if not name:
        raise UserError(
            f"The folder '{source}' has neither a published model nor a run's checkpoints (whose file last_checkpoint "
            'names the newest); name a checkpoint in it.'
        )
    return str(folders[-1] / name)


def _built(settings: Config, source: str) -> BaseModel:
    try:
        with in_scope(settings):
            return MODELS.build(settings.model)
    except KeyError as error:
        if 'registry' not in str(error):
            raise
        raise UserError(
            f"The config inside '{source}' names a type that no installed package registers "
            f'({first_line(str(error.args[0]))}); if it is your own, name your config, whose custom_imports are run: '
            '--config CONFIG.'
        ) from error


def _device(wanted: str | None) -> torch.device:
    if wanted is None:
        return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
    try:
        # Drivers say only now what is missing.
        return torch.zeros(0, device=wanted).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"The device '{wanted}' can't be used ({first_line(str(error))}); leave it out for the default, a GPU if "
            'there is one.'
        ) from error


def _config_in(checkpoint: Mapping, source: str, trust: bool) -> Config:
    text = (checkpoint.get('meta') or {}).get('cfg')
    if not isinstance(text, str):
        raise UserError(f"'{source}' holds weights without the config of their model; name it: --config CONFIG.")
    settings = config_from_text(text, source)
    drop_weights(settings.get('model') or {})
    if not trust:
        check_loaded_config(settings, source)
    return settings


def check_loaded_config(config: Config, source: str) -> None:
    """Refuse a config whose model, or what prepares its inputs, could open, fetch or run anything."""
    parts = {key: config.get(key) for key in ('default_scope', 'model', 'test_pipeline')}
    if config.get('test_dataloader'):
        test_set = test_set_of(config)
        classes = (test_set.get('metainfo') or {}).get('classes')
        parts['test_dataloader.dataset'] = dict(pipeline=test_set.get('pipeline'), classes=classes)
        refuse_modules(str(test_set.get('type')), source)
    refuse_unknown_texts(parts, source)


def config_for_testing(trained: TrainedModel) -> Config:
    """The config to test a model with: of one that is not trusted the parts that are built for it, which are checked.

    Raises:
        UserError: as :func:`load_model`.
    """
    if trained.trusted:
        return trained.config
    parts = {key: trained.config[key] for key in TEST_PARTS if key in trained.config}
    refuse_unknown_texts(parts, trained.source, with_data=True)
    scope = trained.config.get('default_scope')
    return Config(parts | dict(default_scope=scope, default_hooks={}, launcher='none'))


def _version(file: Path) -> str:
    found = file.stat()
    return f'{file.absolute()} {found.st_mtime_ns} {found.st_size}'
