"""Many files opened by several processes, and what is said of the faulty ones."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from hiera_mm.checks.fault import DataPart, Fault, Severity

from rich.progress import track

MAX_SHOWN = 20
"""Faulty files that are named; the rest are counted."""

Item = TypeVar('Item')
Found = TypeVar('Found')


def opened_at_once(
    open_one: Callable[[Item], Found], items: Sequence[Item], at_once: int, words: str | None
) -> list[Found]:
    """What opening each item gives.

    Args:
        open_one: Of a module, so that other processes find it.
        items: In order.
        at_once: Items that a process takes at a time; fewer are opened here.
        words: Beside a progress bar; None for none.
    """
    if len(items) < at_once:
        return [open_one(item) for item in items]
    with ProcessPoolExecutor(mp_context=get_context('fork')) as pool:
        found = pool.map(open_one, items, chunksize=at_once)
        return list(track(found, words, len(items)) if words else found)


def first_faults(part: DataPart, sentences: Sequence[str], rest: str) -> Iterator[Fault]:
    """The first sentences, and how many more files it is said of in ``rest``."""
    for sentence in sentences[:MAX_SHOWN]:
        yield Fault(Severity.BLOCKS, f'{part.key}: {sentence}')
    if len(sentences) > MAX_SHOWN:
        yield Fault(Severity.BLOCKS, f'{part.key}: {len(sentences) - MAX_SHOWN} more {rest}.')
