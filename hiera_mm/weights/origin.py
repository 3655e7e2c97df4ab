"""Where weights come from, and under which licence: published files bequeath theirs to what is trained from them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

from hiera_mm.weights.zoo import ZOO

from torch import nn


class Origin(TypedDict):
    """A file that training began with."""

    source: str
    """Path, address or name of the zoo."""
    licence: str | None
    """None if nobody has said it."""


ORIGINS_KEY = 'weights_from'
"""The attribute of a module, and the key in the ``meta`` of a checkpoint, that keep the origins."""


def origins_of(source: str, checkpoint: Mapping) -> list[Origin]:
    """A published file is its own origin; one that was trained has those that it names, and else is one of unknown
    licence."""
    published = _published(source)
    if published is not None:
        return [published]
    meta = checkpoint.get('meta')
    recorded = meta.get(ORIGINS_KEY) if isinstance(meta, Mapping) else None
    if recorded is None:
        return [Origin(source=source, licence=None)]
    return list(recorded)


def record_origins(module: nn.Module, origins: list[Origin]) -> None:
    """Remember where all weights of a module come from."""
    for part in module.modules():
        part.__dict__.pop(ORIGINS_KEY, None)
    module.__dict__[ORIGINS_KEY] = origins


def recorded_origins(module: nn.Module) -> list[Origin]:
    """Of all weights of a module, each once; none for one that began with random weights."""
    return list({origin['source']: origin for origin in _all_recorded(module)}.values())


def _all_recorded(module: nn.Module) -> Iterator[Origin]:
    for part in module.modules():
        yield from part.__dict__.get(ORIGINS_KEY, ())


def _published(source: str) -> Origin | None:
    for entry in ZOO.values():
        if source in (entry.name, entry.address) or Path(source).name == _file_of(entry.address):
            return Origin(source=entry.name, licence=entry.licence)
    return None


def _file_of(address: str) -> str | None:
    """The file's name, where it tells which model it is: on Hugging Face all are called alike."""
    name = address.rsplit('/', 1)[-1]
    return None if name.startswith('model.') else name
