"""Reading checkpoints safely and putting them into the backbone."""

import os
import pickle
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from hiera_mm.compat import training_state_classes
from hiera_mm.errors import UserError

import torch
import torch.nn as nn
from mmengine.logging import print_log
from torch import Tensor

WRAPPERS = ('model_state', 'state_dict', 'model')
"""Keys under which Meta's Hiera files, OpenMMLab's and SAM 2's hold the state dict."""

NOT_THE_BACKBONE = {
    'norm.': 'classification head',
    'head.': 'classification head',
    'encoder_norm.': 'masked autoencoder',
    'multi_scale_fusion_heads.': 'masked autoencoder',
    'mask_token': 'masked autoencoder',
    'decoder_': 'masked autoencoder',
}
"""What the published checkpoints hold beside the backbone, by the beginning of the key."""


def load_backbone_weights(backbone: nn.Module, init_cfg: dict) -> None:
    """Load the checkpoint that ``init_cfg`` names and log what was used, dropped and missing.

    Takes Meta's published Hiera files and this suite's own checkpoints, of the backbone alone or inside a
    detector. Norms of the output maps (``out_norms``), which no published file holds, may be missing.

    Raises:
        UserError: if ``init_cfg`` is not ``dict(type='Pretrained', checkpoint=...)``, the file cannot be
            read, or a key or a shape does not fit.
    """
    if init_cfg.get('type') != 'Pretrained' or 'checkpoint' not in init_cfg:
        raise UserError(
            f"Hiera's init_cfg must be dict(type='Pretrained', checkpoint=PATH_OR_ADDRESS) or None, but is {init_cfg}."
        )
    source = init_cfg['checkpoint']
    state = _inside_detector(state_dict_of(read_checkpoint(source), source))
    own = backbone.state_dict()

    dropped = {key: part for key in state for start, part in NOT_THE_BACKBONE.items() if key.startswith(start)}
    unknown = sorted(set(state) - set(own) - set(dropped))
    missing = sorted(key for key in set(own) - set(state) if not key.startswith('out_norms.'))
    if unknown or missing:
        raise UserError(
            f"The checkpoint '{source}' does not fit this Hiera: it holds {_some(unknown)} unknown to the model and "
            f'lacks {_some(missing)} of it; take the checkpoint of the same arch.'
        )
    if misfit := _misfit(own, state):
        raise UserError(
            f"The checkpoint '{source}' does not fit this Hiera: {misfit}; take the checkpoint of the same arch."
        )
    used = {key: value for key, value in state.items() if key in own}
    backbone.load_state_dict(used, strict=False)
    parts = sorted(Counter(dropped.values()).items())
    left_out = ', '.join(f'{count} of the {part}' for part, count in parts) or 'none'
    print_log(
        f'Hiera: {len(used)} tensors loaded from {source}; dropped: {left_out}; '
        f'left as initialised: {len(own) - len(used)}.',
        logger='current',
    )


def check_fits(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Refuse a whole model's checkpoint that lacks or misfits any of its tensors, before it is evaluated.

    Raises:
        UserError: naming the first such tensors.
    """
    own = model.state_dict()
    missing = sorted(set(own) - set(state))
    if missing:
        raise UserError(
            f"The checkpoint '{source}' was not made with this config: it lacks {_some(missing)} of the model's "
            f'{len(own)}; name the config it was trained with.'
        )
    if misfit := _misfit(own, state):
        raise UserError(
            f"The checkpoint '{source}' was not made with this config: {misfit}; name the config it was trained with."
        )


def read_checkpoint(source: str | os.PathLike) -> Mapping:
    """Read a checkpoint from a path or an address, without executing anything it contains.

    Raises:
        UserError: if it is missing, truncated, not a checkpoint, holds anything but data, or cannot be
            downloaded.
    """
    source = os.fspath(source)
    path = _downloaded(source) if source.startswith(('http://', 'https://')) else Path(source)
    if not path.is_file():
        raise UserError(f"The checkpoint '{path}' does not exist; correct the path.")
    try:
        with _safe_globals(training_state_classes()):
            content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        # Only what the file asked for: the rest of torch's message advises to load it all the same.
        asked_for = re.search(r'GLOBAL (\S+)|(it asks for .*)', str(error))
        reason = f': {asked_for[1] or asked_for[2]}' if asked_for else ''
        raise UserError(
            f"The checkpoint '{path}' was refused: it is not a PyTorch checkpoint, or it holds more than weights "
            f'and could run code when loaded{reason}; take the file from its publisher.'
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise UserError(
            f"The checkpoint '{path}' ({path.stat().st_size} bytes) is damaged, truncated or not a PyTorch "
            f'checkpoint; copy or download it again.'
        ) from error
    if not isinstance(content, Mapping):
        raise UserError(f"The file '{path}' holds a {type(content).__name__}, not a checkpoint with named weights.")
    return content


def state_dict_of(checkpoint: Mapping, source: str) -> dict[str, Tensor]:
    """The named tensors of a checkpoint, whatever key they are wrapped in.

    Raises:
        UserError: if there are none.
    """
    for wrapper in WRAPPERS:
        if isinstance(checkpoint.get(wrapper), Mapping):
            checkpoint = checkpoint[wrapper]
            break
    state = {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}
    if not state:
        raise UserError(
            f"The file '{source}' holds no weights: none of its keys {sorted(map(str, checkpoint))[:5]} names a tensor."
        )
    return state


def _inside_detector(state: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = 'backbone.'
    inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return inside or state


def _downloaded(address: str) -> Path:
    path = Path(torch.hub.get_dir(), 'checkpoints', address.rsplit('/', 1)[-1])
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Writes to a temporary file and renames it, so that an interruption leaves nothing behind.
            torch.hub.download_url_to_file(address, str(path))
        except (URLError, OSError) as error:
            raise UserError(
                f"The checkpoint {address} can't be downloaded ({error}); download it elsewhere and put it at "
                f"'{path}', or start from random weights with --cfg-options model.backbone.init_cfg=None."
            ) from error
    return path


@contextmanager
def _safe_globals(classes: list) -> Iterator[None]:
    """As torch's, which on leaving also forgets classes that somebody had named before."""
    before = torch.serialization.get_safe_globals()
    try:
        with torch.serialization.safe_globals(classes):
            yield
    finally:
        torch.serialization.add_safe_globals(before)


def _misfit(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str | None:
    """The first key, if any, whose shape in the checkpoint is not the model's, with both shapes."""
    for key in sorted(own.keys() & state.keys()):
        if own[key].shape != state[key].shape:
            return f"'{key}' is {tuple(state[key].shape)} in the file and {tuple(own[key].shape)} in the model"
    return None


def _some(keys: list[str]) -> str:
    if not keys:
        return 'no keys'
    shown = ', '.join(f"'{key}'" for key in keys[:3]) + (', ...' if len(keys) > 3 else '')
    return f'{len(keys)} key{"s" if len(keys) > 1 else ""} ({shown})'
