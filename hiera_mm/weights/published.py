"""Models as folders: weights, settings and a description, all of them data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError, first_line, require_extra
from hiera_mm.weights.origin import ORIGINS_KEY

WEIGHTS, CONFIG, DESCRIPTION = 'model.safetensors', 'config.py', 'hiera_mm.json'
HUB_PREFIX = 'hf://'
"""Beginning of the addresses of folders on the Hugging Face hub, ``hf://OWNER/NAME`` or ``hf://OWNER/NAME@REVISION``."""


def published_folder(source: str) -> Path | None:
    """The folder that a path or an address of the hub names, fetched to the hub's cache if need be; None for anything
    else.

    Raises:
        UserError: if the hub does not give it.
    """
    folder = _fetched(source) if source.startswith(HUB_PREFIX) else Path(source)
    if (folder / DESCRIPTION).is_file():
        return folder
    if source.startswith(HUB_PREFIX):
        raise UserError(f"'{source}' was not written by 'hiera-mm publish': it has no {DESCRIPTION}.")
    return None


def read_meta(folder: Path, source: str) -> dict:
    """The ``meta`` that a checkpoint of the same model would have: ``cfg``, ``dataset_meta``, ``weights_from``.

    Raises:
        UserError: if the folder is not whole.
    """
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding='utf-8'))
        names = names_in(described)
        text = (folder / CONFIG).read_text(encoding='utf-8')
        return {'cfg': text, 'dataset_meta': names, ORIGINS_KEY: list(described[ORIGINS_KEY])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"The published model '{source}' is not whole ({type(error).__name__}: {error}); copy or publish it again."
        ) from error


def names_in(described: Mapping[str, Any]) -> dict:
    """``classes`` in order, or ``actions`` by number, which JSON keeps as texts."""
    if described.get('actions'):
        return dict(actions={int(number): name for number, name in described['actions'].items()})
    return dict(classes=described['classes'])


def push(folder: Path, name: str, private: bool) -> str:
    """Upload a published folder to the Hugging Face hub; gives its address there.

    Args:
        folder: That ``hiera-mm publish`` wrote.
        name: ``OWNER/NAME``.
        private: Whether others may not see it.

    Raises:
        UserError: for another folder, or if the hub refuses.
    """
    if published_folder(str(folder)) is None:
        raise UserError(f"The folder '{folder}' was not written by 'hiera-mm publish'; publish a checkpoint first.")
    require_extra('huggingface_hub', 'hub')
    import huggingface_hub

    hub = huggingface_hub.HfApi(library_name='hiera_mm')
    try:
        hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(folder_path=folder, repo_id=name, commit_message='Published by hiera_mm')
    except Exception as error:  # whatever the hub or the way there says
        raise UserError(
            f"'{folder}' can't be pushed to '{name}' ({_error_text(error)}); log in with 'hf auth login', and check "
            'that you may write there.'
        ) from error
    return f'{HUB_PREFIX}{name}'


def _fetched(source: str) -> Path:
    require_extra('huggingface_hub', 'hub')
    import huggingface_hub

    name, _, revision = source.removeprefix(HUB_PREFIX).partition('@')
    try:
        # Nothing but what is read.
        files = [WEIGHTS, CONFIG, DESCRIPTION]
        return Path(huggingface_hub.snapshot_download(name, revision=revision or None, allow_patterns=files))
    except Exception as error:
        raise UserError(
            f"'{source}' can't be fetched from the hub ({_error_text(error)}); correct the name, log in with 'hf auth "
            "login' if it is private, or copy the folder here."
        ) from error


def _error_text(error: Exception) -> str:
    return f'{type(error).__name__}: {first_line(str(error)) or "no message"}'
