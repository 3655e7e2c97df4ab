"""Work in other threads, a few items ahead of or behind the main one."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

Item = TypeVar('Item')


class _End(NamedTuple):
    """The end of the items, and why if it is not the natural one."""

    error: BaseException | None


def ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """The items, made in another thread before they are asked for, at most ``count`` of them. What is raised there is
    raised here."""
    waiting: queue.Queue = queue.Queue(count)
    stopped = threading.Event()

    def make() -> None:
        error = None
        try:
            for item in items:
                if not _put(waiting, item, stopped):
                    return
        except BaseException as raised:
            error = raised
        _put(waiting, _End(error), stopped)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join()


@contextmanager
def behind(consume: Callable[[Iterator[Any]], None]) -> Iterator[Callable[[Any], None]]:
    """A function that hands items on to ``consume``, which iterates over them in another thread and has consumed all at
    the end. What is raised there is raised here by the next item or at the end; what is raised here is raised there as
    the next item is asked for, so that no file is left half-written.
    """
    waiting: queue.Queue = queue.Queue(1)
    stopped = threading.Event()
    errors: list[BaseException] = []

    def items() -> Iterator[Any]:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def run() -> None:
        try:
            consume(items())
        except BaseException as raised:
            errors.append(raised)
        finally:
            stopped.set()

    def hand_on(item: Any) -> None:
        if not _put(waiting, item, stopped) and errors:
            raise errors[0]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield hand_on
    except BaseException as raised:
        _put(waiting, _End(raised), stopped)
        thread.join()
        raise
    _put(waiting, _End(None), stopped)
    thread.join()
    if errors:
        raise errors[0]


def _put(waiting: queue.Queue, item: Any, stopped: threading.Event) -> bool:
    """Put an item, unless the other side has stopped."""
    while not stopped.is_set():
        try:
            waiting.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
