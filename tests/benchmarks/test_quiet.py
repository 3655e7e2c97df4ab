"""Nothing is measured on a machine that others use."""

import subprocess
import sys

from hiera_mm.errors import UserError

import pytest

from benchmarks import quiet


@pytest.fixture
def others(monkeypatch):
    """How many processors others use at each look, the last for good."""
    looks = []

    def look():
        return (looks.pop(0) if len(looks) > 1 else looks[0]), ['train (7)']

    monkeypatch.setattr(quiet, 'used_by_others', look)
    return looks


def test_it_waits_until_others_have_ended(others):
    others += [1.2, 0.5, 0.1]
    quiet.wait_until_quiet(minutes=1)
    assert others == [0.1]


def test_it_refuses_a_busy_machine_and_names_what_uses_it(others):
    others += [1.4]
    with pytest.raises(UserError, match=r'Other processes use 1.4 of the .*train \(7\)'):
        quiet.wait_until_quiet(minutes=0)


def test_what_a_process_uses_is_seen(monkeypatch):
    monkeypatch.setattr(quiet, 'SECONDS', 1)
    busy = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
    try:
        used, names = quiet.used_by_others()
    finally:
        busy.kill()
        busy.wait()
    assert used > 0.3 and any(f'({busy.pid})' in name for name in names)
