"""Published models: folders with weights, a config and a description, which hold only data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError, first_line, require_extra
from hiera_mm.weights.origin import ORIGINS_KEY

WEIGHTS, CONFIG, DESCRIPTION = 'model.safetensors', 'config.py', 'hiera_mm.json'
HUB_PREFIX = 'hf://'
"""Prefix of addresses on the Hugging Face hub, ``hf://OWNER/NAME`` or ``hf://OWNER/NAME@REVISION``."""


def published_folder(source: str) -> Path | None:
    """The published folder that a path or hub address names, downloaded to the hub's cache if necessary; None for
    anything else.

    Raises:
        UserError: if it can't be downloaded.
    """
    folder = _fetch(source) if source.startswith(HUB_PREFIX) else Path(source)
    if (folder / DESCRIPTION).is_file():
        return folder
    if source.startswith(HUB_PREFIX):
        raise UserError(f"'{source}' was not written by 'hiera-mm publish': it has no {DESCRIPTION}.")
    return None


def read_meta(folder: Path, source: str) -> dict:
    """The ``meta`` that a checkpoint of the same model would have: ``cfg``, ``dataset_meta``, ``weights_from``.

    Raises:
        UserError: if the folder is incomplete.
    """
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding='utf-8'))
        names = names_in(described)
        text = (folder / CONFIG).read_text(encoding='utf-8')
        return {'cfg': text, 'dataset_meta': names, ORIGINS_KEY: list(described[ORIGINS_KEY])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"The published model '{source}' is incomplete ({type(error).__name__}: {error}); copy or publish it again."
        ) from error


def names_in(described: Mapping[str, Any]) -> dict:
    """``classes`` in order, or ``actions`` by number; JSON stores the numbers as strings."""
    if described.get('actions'):
        return dict(actions={int(number): name for number, name in described['actions'].items()})
    return dict(classes=described['classes'])


def push(folder: Path, name: str, private: bool) -> str:
    """Upload a published folder to the Hugging Face hub; returns its address there.

    Args:
        folder: A folder written by ``hiera-mm publish``.
        name: ``OWNER/NAME``.
        private: Whether to hide it from others.

    Raises:
        UserError: for any other folder, or if the upload fails.
    """
    if published_folder(str(folder)) is None:
        raise UserError(f"The folder '{folder}' was not written by 'hiera-mm publish'; publish a checkpoint first.")
    require_extra('huggingface_hub', 'hub')
    import huggingface_hub

    hub = huggingface_hub.HfApi(library_name='hiera_mm')
    try:
        hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(folder_path=folder, repo_id=name, commit_message='Published by hiera_mm')
    except Exception as error:  # The hub's library and the network raise many kinds of errors.
        raise UserError(
            f"'{folder}' can't be pushed to '{name}' ({_error_text(error)}); log in with 'hf auth login', and check "
            'that you may write there.'
        ) from error
    return f'{HUB_PREFIX}{name}'


def _fetch(source: str) -> Path:
    require_extra('huggingface_hub', 'hub')
    import huggingface_hub

    name, _, revision = source.removeprefix(HUB_PREFIX).partition('@')
    try:
        files = [WEIGHTS, CONFIG, DESCRIPTION]
        return Path(huggingface_hub.snapshot_download(name, revision=revision or None, allow_patterns=files))
    except Exception as error:
        raise UserError(
            f"'{source}' can't be downloaded from the hub ({_error_text(error)}); correct the name, log in with 'hf "
            "auth login' if it is private, or copy the folder here."
        ) from error


def _error_text(error: Exception) -> str:
    return f'{type(error).__name__}: {first_line(str(error)) or "no message"}'
