"""Work in other threads, a few items ahead of or behind the main one.

Only ``SimpleQueue`` is used between threads: an interruption (Ctrl-C) inside Python's other queues and events can leave
their locks held, so that the other thread would wait for ever.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

Item = TypeVar('Item')

POLLING_SECONDS = 0.1


class _End(NamedTuple):
    """The end of the items, and why if it is not the natural one."""

    error: BaseException | None


class _Passage:
    """Items on their way from one thread to another, at most ``count`` of them.

    Attributes:
        closed: Whether the other side takes no more items.
    """

    def __init__(self, count: int) -> None:
        self.items, self.places = SimpleQueue[Any](), SimpleQueue[None]()
        self.closed = False
        for _ in range(count):
            self.places.put(None)

    def put(self, item: Any) -> bool:
        """Put an item as soon as there is a place; False if the passage is closed."""
        while not self.closed:
            try:
                self.places.get(timeout=POLLING_SECONDS)
            except Empty:
                continue
            self.items.put(item)
            return True
        return False

    def end(self, error: BaseException | None = None) -> None:
        """Put the end, which needs no place."""
        self.items.put(_End(error))

    def __iter__(self) -> Iterator[Any]:
        while not isinstance(item := self.items.get(), _End):
            self.places.put(None)
            yield item
        if item.error is not None:
            raise item.error


def ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """The items, made in another thread before they are asked for, at most ``count`` of them. What is raised there is
    raised here."""
    passage = _Passage(count)

    def make() -> None:
        try:
            for item in items:
                if not passage.put(item):
                    return
            passage.end()
        except BaseException as raised:
            passage.end(raised)

    thread = threading.Thread(target=make, daemon=True)
    try:
        thread.start()
        yield from passage
    finally:
        passage.closed = True
        _join(thread)


@contextmanager
def behind(consume: Callable[[Iterator[Any]], None]) -> Iterator[Callable[[Any], None]]:
    """A function that hands items on to ``consume``, which iterates over them in another thread and has consumed all at
    the end. What is raised there is raised here by the next item or at the end; what is raised here is raised there as
    the next item is asked for, so that no file is left half-written.
    """
    passage, errors = _Passage(1), list[BaseException]()

    def run() -> None:
        try:
            consume(iter(passage))
        except BaseException as raised:
            errors.append(raised)
        finally:
            passage.closed = True

    def hand_on(item: Any) -> None:
        if not passage.put(item) and errors:
            raise errors[0]

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
        yield hand_on
    except BaseException as raised:
        passage.end(raised)
        _join(thread)
        raise
    passage.end()
    _join(thread)
    if errors:
        raise errors[0]


def _join(thread: threading.Thread) -> None:
    if thread.ident is not None:
        thread.join()
