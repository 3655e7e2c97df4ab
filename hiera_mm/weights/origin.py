"""The origin and licence of weights: a model inherits them from the published files that its training started with."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

from hiera_mm.weights.zoo import ZOO, Published

from torch import nn


class Origin(TypedDict):
    """A file that training started with."""

    source: str
    """Path, address or name in the zoo."""
    licence: str | None
    """None if unknown."""


ORIGINS_KEY = 'weights_from'
"""The attribute of a module, and the key in a checkpoint's ``meta``, that hold the origins."""


def origins_of(source: str, checkpoint: Mapping) -> list[Origin]:
    """The origins of a checkpoint: a published file is its own origin, a trained one records its origins, and any other
    file is an origin of unknown licence."""
    published = _find_published(source, checkpoint)
    if published is not None:
        return [published]
    meta = checkpoint.get('meta')
    recorded = meta.get(ORIGINS_KEY) if isinstance(meta, Mapping) else None
    if recorded is None:
        return [Origin(source=source, licence=None)]
    return list(recorded)


def record_origins(module: nn.Module, origins: list[Origin]) -> None:
    """Record where all weights of a module come from."""
    for part in module.modules():
        part.__dict__.pop(ORIGINS_KEY, None)
    module.__dict__[ORIGINS_KEY] = origins


def recorded_origins(module: nn.Module) -> list[Origin]:
    """The distinct origins of a module's weights, and of those that it learns from (``learned_from()``); empty if it
    started with random weights."""
    return list({origin['source']: origin for origin in _all_recorded(module)}.values())


def licences_of(origins: Iterable[Origin]) -> str:
    """The licences of origins, in words; empty for random weights."""
    return ', '.join(sorted({origin['licence'] or 'unknown' for origin in origins}))


def _all_recorded(module: nn.Module) -> Iterator[Origin]:
    for part in module.modules():
        yield from part.__dict__.get(ORIGINS_KEY, ())
        # Of a model that is no part of this one.
        learned_from = getattr(part, 'learned_from', None)
        if learned_from is not None:
            yield from learned_from()


def _find_published(source: str, checkpoint: Mapping) -> Origin | None:
    for entry in ZOO.values():
        renamed = Path(source).name == _distinctive_file_name(entry.address) and _looks_like(entry, checkpoint)
        if source in (entry.name, entry.address) or renamed:
            return Origin(source=entry.name, licence=entry.licence)
    return None


def _looks_like(entry: Published, checkpoint: Mapping) -> bool:
    """Whether a file's tensors have the names that a publisher uses: anyone can rename a file, and the licences
    differ."""
    mark = next((mark for part, mark in PUBLISHERS_NAMES.items() if part in entry.address), '')
    inside = [checkpoint, *(part for part in checkpoint.values() if isinstance(part, Mapping))]
    return not mark or any(mark in str(name) for part in inside for name in part)


PUBLISHERS_NAMES = {'segment_anything_2': 'image_encoder.trunk.', 'birder-project': 'body.stage'}
"""A part of the tensors' names of a publisher, by a part of its addresses."""


def _distinctive_file_name(address: str) -> str | None:
    """An address's file name; None on Hugging Face, where all models' files have the same name."""
    name = address.rsplit('/', 1)[-1]
    return None if name.startswith('model.') else name
