"""Opens many files in parallel, and reports the faulty ones."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from hiera_mm.checks.fault import DataPart, Fault, Severity

from rich.progress import track

MAX_SHOWN = 20
"""How many faulty files are named; the rest are counted."""

Item = TypeVar('Item')
Found = TypeVar('Found')


def open_in_parallel(
    open_one: Callable[[Item], Found], items: Sequence[Item], chunk_size: int, words: str | None
) -> list[Found]:
    """Open each item; the results are in the same order.

    Args:
        open_one: Function at module level, so that other processes can find it.
        items: What to open.
        chunk_size: How many items a process takes at a time; fewer are opened in this process.
        words: Caption of a progress bar; None for no bar.
    """
    if len(items) < chunk_size:
        return [open_one(item) for item in items]
    with ProcessPoolExecutor(mp_context=get_context('fork')) as pool:
        found = pool.map(open_one, items, chunksize=chunk_size)
        return list(track(found, words, len(items)) if words else found)


def first_faults(part: DataPart, sentences: Sequence[str], rest: str) -> Iterator[Fault]:
    """The first sentences as faults, then the number of the others, as in ``'7 more masks are faulty'``."""
    for sentence in sentences[:MAX_SHOWN]:
        yield Fault(Severity.BLOCKS, f'{part.key}: {sentence}')
    if len(sentences) > MAX_SHOWN:
        yield Fault(Severity.BLOCKS, f'{part.key}: {len(sentences) - MAX_SHOWN} more {rest}.')
