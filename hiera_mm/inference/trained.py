"""Trained models, ready to predict."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hiera_mm.checks.fault import class_of, classes_of
from hiera_mm.config import class_count, config_of_text, dicts_in
from hiera_mm.engine.saving import LAST
from hiera_mm.errors import UserError, examples
from hiera_mm.inference.exported import is_exported, model_of, open_exported
from hiera_mm.inference.registered import must_be_registered
from hiera_mm.models.lora import merge_lora
from hiera_mm.settings import read_config
from hiera_mm.weights.files import locate_checkpoint, read_checkpoint
from hiera_mm.weights.load import whole_state
from hiera_mm.weights.origin import Origin, origins_of
from hiera_mm.weights.published import names_in, published_folder

import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope


@dataclass(frozen=True)
class TrainedModel:
    """A model in evaluation mode, and what belongs to it.

    Attributes:
        model: Of mmdet or mmaction2, or a masked autoencoder.
        config: Its config.
        meta: The checkpoint's, such as ``dataset_meta`` with the classes.
        source: What it was asked for by.
        version: Of its file, which changes when that does.
        origins: The files that its training began with.
    """

    model: BaseModel
    config: Config
    meta: Mapping[str, Any]
    source: str
    version: str
    origins: list[Origin]

    @property
    def test_set(self) -> ConfigDict:
        """The config of its test set, without wrappers."""
        dataset = self.config.test_dataloader.dataset
        while 'pipeline' not in dataset:
            dataset = dataset.dataset if 'dataset' in dataset else dataset.datasets[0]
        return dataset

    @property
    def kind_of_test_set(self) -> type | None:
        return class_of(self.test_set, self.config.get('default_scope'))

    @property
    def test_pipeline(self) -> list[ConfigDict]:
        """The steps that prepare what is tested, without those that read annotations."""
        return [step for step in self.test_set.pipeline if not str(step.type).endswith('LoadAnnotations')]

    def classes(self, given: Sequence[str] | None = None) -> list[str]:
        """Names of the classes: those given, of training, or of the test set; without any, their numbers.

        Raises:
            UserError: where there are not as many as the model has classes.
        """
        count = self.class_count
        names = given or (self.meta.get('dataset_meta') or {}).get('classes') or self._classes_of_test_set()
        if names is None:
            return [str(number) for number in range(count)]
        if len(names) != count:
            raise UserError(
                f"'{self.source}' has {count} classes, but there are {examples(list(names))} names; give the names of "
                'all, in the order of training.'
            )
        return list(names)

    @property
    def class_count(self) -> int:
        return class_count(self.config.model)

    def _classes_of_test_set(self) -> list[str] | None:
        if not self.test_set.get('metainfo') and not hasattr(self.kind_of_test_set, 'METAINFO'):
            return None
        try:
            return classes_of(self.test_set, self.kind_of_test_set)
        except KeyError:
            # A set that reads the names from its files.
            return None


def load_model(source: str, config: str | None = None, device: str | None = None) -> TrainedModel:
    """A trained model.

    Args:
        source: A checkpoint of a run, or the folder of one, whose newest is taken; a folder that
            :func:`hiera_mm.inference.publish.publish` wrote, also as ``hf://OWNER/NAME``; with ``config`` any
            checkpoint, by path, address or name of the zoo.
        config: Name or path of the model's config. A run's checkpoint and a published folder hold it; of these nothing
            is executed.
        device: Such as ``'cuda:0'``; by default a GPU if there is one.

    Raises:
        UserError: if config or checkpoint can't be read, don't belong together, or the config names types that nothing
            registers.
    """
    if is_exported(source):
        return _of_file(source, config)
    path = checkpoint_in(source)
    checkpoint = read_checkpoint(path)
    settings = read_config(config) if config else _inside(checkpoint, source)
    for part in dicts_in(settings.model):
        if (part.get('init_cfg') or {}).get('type') == 'Pretrained':
            part['init_cfg'] = None
    with in_scope(settings):
        model = MODELS.build(settings.model)
    state, _ = whole_state(model, checkpoint, source)
    model.load_state_dict(state, strict=False)
    if (settings.model.get('backbone') or {}).pop('lora', None):
        merge_lora(model)
    device = device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
    meta = checkpoint.get('meta') or {}
    origins = origins_of(source, checkpoint)
    return TrainedModel(model.to(device).eval(), settings, meta, source, _version(locate_checkpoint(path)), origins)


def _of_file(source: str, config: str | None) -> TrainedModel:
    """An exported model, which holds all that inference needs of its config."""
    if config is not None:
        raise UserError(f"'{source}' is an exported model, which holds its config; leave --config out.")
    exported = open_exported(source)
    settings = config_of_text(exported.described.get('config', ''), source)
    if 'model' not in settings:
        raise UserError(f"'{source}' is an exported backbone, which predicts nothing; export the whole model.")
    must_be_registered(settings, source)
    meta = dict(dataset_meta=names_in(exported.described))
    return TrainedModel(model_of(exported), settings, meta, source, _version(Path(source)), [])


def _version(file: Path) -> str:
    found = file.stat()
    return f'{file.absolute()} {found.st_mtime_ns} {found.st_size}'


def in_scope(config: Config) -> AbstractContextManager:
    """A context in which types without a prefix are looked for where the config's runner would."""
    return DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmengine'))


def _inside(checkpoint: Mapping, source: str) -> Config:
    text = (checkpoint.get('meta') or {}).get('cfg')
    if not isinstance(text, str):
        raise UserError(f"'{source}' holds weights without the config of their model; name it: --config CONFIG.")
    settings = config_of_text(text, source)
    must_be_registered(settings, source)
    return settings


def checkpoint_in(source: str) -> str:
    """What to read: a folder of a run names its newest.

    Raises:
        UserError: for a folder that holds none.
    """
    published = published_folder(source)
    if published is not None:
        # Here, once it has been fetched from the hub.
        return str(published)
    folder = Path(source)
    if not folder.is_dir():
        return source
    if not (folder / LAST).is_file():
        raise UserError(f"The folder '{source}' holds neither a published model nor a run's checkpoints.")
    return str(folder / Path((folder / LAST).read_text().strip()).name)
