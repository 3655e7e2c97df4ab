"""Finds, downloads and reads checkpoint files without running code in them, and writes them atomically."""

import difflib
import hashlib
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import URLError

from hiera_mm.atomic_write import atomic_write
from hiera_mm.compat import training_state_classes
from hiera_mm.errors import UserError, examples
from hiera_mm.program import command_line
from hiera_mm.shipped import shipped_configs
from hiera_mm.weights.published import WEIGHTS, published_folder, read_meta
from hiera_mm.weights.zoo import ZOO

import safetensors
import safetensors.torch
import torch
from mmengine.dist import barrier, get_dist_info

TRAINING_STATE = training_state_classes()
"""Classes that a run's checkpoint may contain beside its weights."""

MAX_NAME = 150
"""Characters of a name that are kept in the cache."""

WRITABLE_ENDINGS = ('.pth', '.pt', '.safetensors')

READ_ERRORS = (
    *(pickle.UnpicklingError, safetensors.SafetensorError, RuntimeError, EOFError, OSError),
    *(ValueError, KeyError, IndexError, AttributeError, TypeError, AssertionError, MemoryError, OverflowError),
    *(struct.error, zipfile.BadZipFile, NotImplementedError),
)
"""What torch and safetensors raise for damaged or foreign files."""


class Checkpoint(dict):
    """The content of a checkpoint file, by name."""

    def __init__(self, content: Mapping, source: str) -> None:
        super().__init__(content)
        self.source = source
        """The path, address or name that was asked for."""


def read_checkpoint(source: str | os.PathLike, map_location: object = 'cpu') -> Checkpoint:
    """Read a checkpoint in torch's or the safetensors format, without running code in it.

    Args:
        source: Path, address (``http://`` or ``https://``), name in the zoo, or a published folder, local or on the hub
            (:mod:`hiera_mm.weights.published`), which is read as the checkpoint it was made from.
        map_location: As for :func:`torch.load`.

    Raises:
        UserError: if the file is missing, truncated, not a checkpoint, holds more than data, or can't be downloaded.
    """
    source = os.fspath(source)
    if (folder := published_folder(source)) is not None:
        state = _read(folder / WEIGHTS, source, map_location)
        return Checkpoint(dict(state_dict=state, meta=read_meta(folder, source)), source)
    path = locate_checkpoint(source)
    if _address_of(source) is None:
        return _read(path, source, map_location)
    try:
        return _read_or_remove(path, source, map_location)
    except DamagedFile:
        # The cache may have held a broken download: remove it and try once more.
        return _read_or_remove(locate_checkpoint(source), source, map_location)


def locate_checkpoint(source: str) -> Path:
    """The file for a path, an address, a name in the zoo or a published folder, downloaded to a cache if necessary.

    Raises:
        UserError: if the file does not exist or can't be downloaded.
    """
    address = _address_of(source)
    if address is not None:
        return _download_once(address)
    if (folder := published_folder(source)) is not None:
        return folder / WEIGHTS
    path = Path(source).expanduser()
    if path.is_dir():
        inside = [entry.name for entry in sorted(path.iterdir()) if entry.suffix in (*WRITABLE_ENDINGS, '.bin')]
        held = (
            f'it holds {examples(inside)}' if inside else f'it holds no file that ends in {", ".join(WRITABLE_ENDINGS)}'
        )
        raise UserError(f"The checkpoint '{source}' is a folder; name the file in it ({held}).")
    if source.endswith('.py') or not path.is_file() and source in shipped_configs():
        raise UserError(
            f"'{source}' is a config, which holds no weights; train it ('{command_line('train')} {source}') and name "
            f'its folder, work_dirs/{path.stem}, or name a checkpoint and this config (--config {source}).'
        )
    if not path.is_file():
        near = difflib.get_close_matches(source, ZOO, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ''
        raise UserError(
            f"The checkpoint '{source}' does not exist; correct the path, or use a name that "
            f"'{command_line('weights')} list' shows{hint}."
        )
    return path


def read_torch_file(file: str | os.PathLike | BinaryIO, map_location: Any = 'cpu') -> Any:
    """Read a file in torch's format that holds only data; ``pickle.UnpicklingError`` for anything else."""
    with _safe_globals(TRAINING_STATE):
        return torch.load(file, map_location=map_location, weights_only=True)


@contextmanager
def explained_read_errors(name: str, size: int) -> Iterator[None]:
    """Turn errors from reading the file ``name`` of ``size`` bytes into a ``UserError``."""
    try:
        yield
    except PermissionError as error:
        raise UserError(f'You may not read the checkpoint {name}; change its permissions.') from error
    except READ_ERRORS as error:
        # Quote only what the file asked for: the rest of torch's message advises loading it anyway.
        asked_for = re.search(r'GLOBAL (\S+)|(it asks for .*)', str(error))
        if isinstance(error, pickle.UnpicklingError) and asked_for:
            raise UserError(
                f'The checkpoint {name} was refused: it holds more than weights and could run code when loaded: '
                f'{asked_for[1] or asked_for[2]}; get the file from its publisher, or if it is your own, save only its '
                "weights where it was made: torch.save(model.state_dict(), 'weights.pth')."
            ) from error
        raise DamagedFile(
            f'The checkpoint {name} ({size} bytes) is damaged, truncated or not a PyTorch or safetensors '
            'checkpoint; copy or download it again.'
        ) from error


def write_checkpoint(content: Mapping, path: str | os.PathLike) -> None:
    """Write a checkpoint so that ``path`` either holds all of it or is not touched.

    A ``.safetensors`` file takes only tensors; ``.pth`` and ``.pt`` are torch's format.

    Raises:
        UserError: for another ending, or if the file can't be written.
    """
    path = Path(path)
    if path.suffix not in WRITABLE_ENDINGS:
        raise UserError(f"A checkpoint's name must end in {', '.join(WRITABLE_ENDINGS)}, unlike '{path}'.")
    try:
        with atomic_write(path) as unfinished:
            if path.suffix == '.safetensors':
                # safetensors would make the file readable only to its owner.
                unfinished.touch()
                usual_mode = unfinished.stat().st_mode
                safetensors.torch.save_file({key: value.contiguous() for key, value in content.items()}, unfinished)
                unfinished.chmod(usual_mode)
            else:
                torch.save(dict(content), unfinished)
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(f"The checkpoint '{path}' can't be written ({error}); choose another place.") from error


class DamagedFile(UserError):
    """A file that is not a checkpoint, or only part of one."""


def _read_or_remove(path: Path, source: str, map_location: object) -> Checkpoint:
    try:
        return _read(path, source, map_location)
    except DamagedFile:
        path.unlink(missing_ok=True)
        raise


def _read(path: Path, source: str, map_location: object) -> Checkpoint:
    with explained_read_errors(f"'{path}'", path.stat().st_size), path.open('rb') as file:
        _refuse_zip_bomb(file, path.stat().st_size)
        # Pass an open file, since torch would judge a path by its ending.
        content = safetensors.torch.load_file(path) if _is_safetensors(file) else read_torch_file(file, map_location)
    if isinstance(content, Mapping) and not all(isinstance(key, str) for key in content):
        raise UserError(f"The file '{path}' holds tensors under numbers instead of names; it is not a checkpoint.")
    if not isinstance(content, Mapping):
        raise UserError(f"The file '{path}' holds a {type(content).__name__}, not a checkpoint with named weights.")
    return Checkpoint(content, source)


def _refuse_zip_bomb(file: BinaryIO, size: int) -> None:
    """Refuse a file that unpacks to more than its own size: torch stores tensors uncompressed."""
    if zipfile.is_zipfile(file):
        unpacked = sum(entry.file_size for entry in zipfile.ZipFile(file).infolist())
        if unpacked > size:
            raise ValueError(f'it would unpack to {unpacked} bytes')
    file.seek(0)


def _is_safetensors(file: BinaryIO) -> bool:
    """Whether a file starts like safetensors: eight bytes of length, then a JSON object."""
    start = file.read(9)
    file.seek(0)
    return start[8:] == b'{'


@contextmanager
def _safe_globals(classes: list) -> Iterator[None]:
    """torch's ``safe_globals``, which on exit would also remove classes that were registered before."""
    before = torch.serialization.get_safe_globals()
    try:
        with torch.serialization.safe_globals(classes):
            yield
    finally:
        torch.serialization.add_safe_globals(before)


def _address_of(source: str) -> str | None:
    if source in ZOO and not Path(source).is_file():
        return ZOO[source].address
    return source if source.startswith(('http://', 'https://')) else None


def _download_once(address: str) -> Path:
    path = Path(torch.hub.get_dir(), 'checkpoints', _file_name(address))
    # One process on each machine downloads the file for the others.
    first = int(os.environ.get('LOCAL_RANK', 0)) == 0 or get_dist_info()[1] == 1
    try:
        if first and not path.exists():
            _download(address, path)
    finally:
        barrier()
    if not path.exists():
        _download(address, path)
    return path


def _download(address: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # This writes to a temporary file and renames it, so an interruption leaves nothing behind.
        torch.hub.download_url_to_file(address, str(path))
    except (URLError, OSError) as error:
        raise UserError(
            f"The checkpoint {address} can't be downloaded ({error}); download it elsewhere and put it at "
            f"'{path}', or start with random weights: --cfg-options model.backbone.init_cfg=None, or load_from=None."
        ) from error


def _file_name(address: str) -> str:
    """The name of a file in the cache, another one for each address: its last part, on Hugging Face with the model's
    name, and a hash of the whole address. The zoo's files differ by their names and need no hash."""
    hub = re.match(r'https://huggingface\.co/([^/]+)/([^/]+)/resolve/[^/]+/([^?#]+)', address)
    name = '--'.join(hub.groups()).replace('/', '--') if hub else re.split('[?#]', address)[0].rsplit('/', 1)[-1]
    if address in {entry.address for entry in ZOO.values()}:
        return name
    stem, ending = os.path.splitext(name)
    return f'{stem[:MAX_NAME]}-{hashlib.sha256(address.encode()).hexdigest()[:8]}{ending}'
