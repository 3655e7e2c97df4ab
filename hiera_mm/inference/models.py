"""Trained models, ready to predict."""

from collections.abc import Mapping
from contextlib import AbstractContextManager

from hiera_mm.config import read_config_file
from hiera_mm.engine.own_settings import apply_own_settings, own_settings
from hiera_mm.weights.files import read_checkpoint
from hiera_mm.weights.load import whole_state

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope


def load_model(config_file: str, checkpoint_file: str, device: str) -> tuple[BaseModel, Config, Mapping]:
    """A model in evaluation mode, its config, and its checkpoint.

    Raises:
        UserError: if config or checkpoint can't be read, or the checkpoint lacks anything of the model.
    """
    config = read_config_file(config_file)
    apply_own_settings(config, *own_settings(config_file))
    if config.model.get('backbone'):
        config.model.backbone.init_cfg = None
    config.model.pop('init_cfg', None)
    checkpoint = read_checkpoint(checkpoint_file)
    with in_scope(config):
        model = MODELS.build(config.model)
    state, _ = whole_state(model, checkpoint, checkpoint_file)
    model.load_state_dict(state, strict=False)
    return model.to(device).eval(), config, checkpoint


def in_scope(config: Config) -> AbstractContextManager:
    """A context in which types without a prefix are looked for where the config's runner would."""
    return DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmengine'))
