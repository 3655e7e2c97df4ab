"""Loads a backbone with weights in one call, for code without OpenMMLab."""

from pathlib import Path

from hiera_mm.architectures import SAM2_WINDOWS
from hiera_mm.errors import UserError
from hiera_mm.inference.closed_config import config_from_text, refuse_unknown_texts
from hiera_mm.inference.loading import checkpoint_in
from hiera_mm.models import Hiera
from hiera_mm.models.lora import merge_lora
from hiera_mm.weights.files import Checkpoint, read_checkpoint
from hiera_mm.weights.formats import Weights, architecture_of, describe, to_our_names

from torch import Tensor

TRAINING_KEYS = ('type', '_scope_', 'init_cfg', 'drop_path_rate', 'with_cp', 'frozen_stages')
"""Settings of a trained backbone that don't affect its maps."""


def backbone(weights: str | Path, **settings: object) -> Hiera:
    """A :class:`~hiera_mm.models.Hiera` with weights, in evaluation mode: a ``torch.nn.Module`` from pixels to maps.

    Its settings follow from the weights: the size, images or clips, position tables, and for SAM 2 the windows; for a
    run of this suite they are those of its config.

    Args:
        weights: A name of the zoo (``hiera-mm weights list``), a path, a URL, the folder of a run for its best
            checkpoint, a folder from ``hiera-mm publish``, or ``hf://OWNER/NAME``.
        **settings: Arguments of :class:`~hiera_mm.models.Hiera`, such as ``out_indices=(3,)`` or
            ``window_sizes=(8, 4, 14, 7)``; they override those of the weights.

    Raises:
        UserError: if the weights can't be read, or the settings can't be told from them.
    """
    weights = str(weights)
    if Path(weights).is_dir():
        # The folder of a run or a published model.
        weights = checkpoint_in(weights)
    checkpoint = read_checkpoint(weights)
    implied = settings_of_run(checkpoint) or _settings_from_tensors(
        to_our_names(checkpoint, weights), weights, settings
    )
    init_cfg = dict(type='Pretrained', checkpoint=weights)
    model = Hiera(**{**implied, **settings, 'init_cfg': init_cfg})
    model.init_weights()
    if implied.get('lora'):
        merge_lora(model)
    return model.eval()


def settings_of_run(checkpoint: Checkpoint) -> dict | None:
    """The settings of the backbone that a checkpoint of this suite holds, but those of training; None for others."""
    text = (checkpoint.get('meta') or {}).get('cfg')
    if not isinstance(text, str):
        return None
    given = config_from_text(text, checkpoint.source).get('model', {}).get('backbone') or {}
    if given.get('type') != 'Hiera':
        return None
    settings = {key: value for key, value in given.items() if key not in TRAINING_KEYS}
    refuse_unknown_texts(dict(model=dict(backbone=settings)), checkpoint.source)
    return settings


def _settings_from_tensors(weights: Weights, source: str, settings: dict) -> dict:
    tensors = weights.tensors
    found = architecture_of(tensors)
    if found is None or (found.arch is None and 'arch' not in settings):
        raise UserError(
            f"'{source}' holds a {describe(tensors) or 'part of a Hiera'}; set its architecture: "
            'arch=dict(embed_dim=..., num_heads=..., depths=(...)).'
        )
    implied: dict = dict(arch=found.arch, in_channels=tensors['patch_embed.proj.weight'].shape[1])
    if 'pos_embed_temporal' in tensors:
        return implied | dict(num_frames=2 * tensors['pos_embed_temporal'].shape[1])
    implied['pos_embed_size'] = _table_side(tensors['pos_embed'])
    if 'pos_embed_window' not in tensors:
        return implied
    implied['pos_embed'] = 'absolute_win'
    if 'layer_scale' in found.settings or weights.format == 'birder':
        return implied | dict(pos_embed_antialias=True)
    if weights.format in ('hiera_mm', 'birder hieradet') and 'window_sizes' not in settings:
        raise UserError(
            f"'{source}' does not say which windows its Hiera was trained with; set window_sizes and "
            'global_blocks, or window_sizes=None.'
        )
    return implied | SAM2_WINDOWS.get(str(found.arch), {})


def _table_side(table: Tensor) -> int:
    """Side of a position table in tokens, from ``(1, N, C)`` or ``(1, C, side, side)``."""
    return table.shape[-1] if table.ndim == 4 else round(table.shape[1] ** 0.5)
