"""Items made ahead of the main thread, or used behind it."""

import subprocess
import sys
import threading

from hiera_mm.atomic_write import atomic_write
from hiera_mm.inference.threads import ahead, behind

import pytest


def numbers(made, last=6, fault=None):
    for number in range(last):
        if number == fault:
            raise ValueError('number 3 is missing')
        made.append((number, threading.current_thread()))
        yield number


@pytest.mark.parametrize('count', [1, 2, 9])
def test_items_come_in_order_from_another_thread(count):
    made = []
    assert list(ahead(numbers(made), count)) == [0, 1, 2, 3, 4, 5]
    assert threading.main_thread() not in {thread for _, thread in made}


def test_no_more_are_made_ahead_than_asked_for():
    made, waited = [], threading.Event()
    items = ahead(numbers(made, last=100), 2)
    next(items)
    # Two that wait, and one that waits for a place.
    for _ in range(100):
        if len(made) < 4:
            waited.wait(0.1)
    waited.wait(0.3)
    assert len(made) == 4
    items.close()
    assert not any(thread.is_alive() for _, thread in made) and len(made) < 10


def test_a_fault_of_making_is_raised_at_its_place():
    found = []
    with pytest.raises(ValueError, match='number 3 is missing'):
        for number in ahead(numbers([], fault=3), 2):
            found.append(number)
    assert found == [0, 1, 2]


def test_all_items_have_been_used_at_the_end():
    used, threads = [], set()

    def use(items):
        for item in items:
            used.append(item)
            threads.add(threading.current_thread())

    with behind(use) as hand_on:
        for number in range(20):
            hand_on(number)
    assert used == list(range(20)) and threading.main_thread() not in threads


@pytest.mark.parametrize('at_the_end', [False, True])
def test_a_fault_of_using_is_raised_where_items_are_made(at_the_end):
    def use(items):
        for number in items:
            if number == 3:
                raise OSError('the disk is full')

    made = []
    with pytest.raises(OSError, match='the disk is full'), behind(use) as hand_on:
        for number in range(4 if at_the_end else 1000):
            hand_on(number)
            made.append(number)
    assert len(made) < 10


def test_a_fault_of_making_leaves_no_half_written_file(tmp_path):
    def use(items):
        with atomic_write(tmp_path / 'all.txt') as unfinished, unfinished.open('w') as file:
            for item in items:
                file.write(f'{item}\n')

    with pytest.raises(KeyboardInterrupt), behind(use) as hand_on:
        for number in range(5):
            hand_on(number)
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


INTERRUPTED = """
import random, signal
from hiera_mm.inference.threads import ahead, behind

def interrupt(*_):
    raise KeyboardInterrupt

def consume(items):
    for _ in items:
        pass

signal.signal(signal.SIGALRM, interrupt)
random.seed(0)
for _ in range(150):
    seconds = random.uniform(1e-4, 3e-3)
    try:
        with behind(consume) as hand_on:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            while True:
                hand_on(0)
    except KeyboardInterrupt:
        pass
for _ in range(30):
    items = ahead(iter(int, 1), 1)
    next(items)
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-4, 3e-3))
        for _ in items:
            pass
    except KeyboardInterrupt:
        pass
    items.close()
print('done')
"""


def test_an_interruption_at_any_time_ends_both_threads():
    done = subprocess.run([sys.executable, '-c', INTERRUPTED], capture_output=True, text=True, timeout=100)
    assert done.stdout == 'done\n', done.stderr
