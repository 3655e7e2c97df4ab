"""hiera-mm serve: opens its page, ends cleanly, and what it refuses. The page itself: tests/inference/test_page.py."""

import importlib.util
import os
import signal
import socket

import httpx
import pytest

from tests.helpers import (
    ACTIONS_CONFIG,
    TINY,
    assert_explained,
    free_port,
    read_until,
    save_random_weights,
    start_program,
)


@pytest.fixture
def detector(tmp_path):
    return save_random_weights(TINY, tmp_path / 'shapes.pth')


@pytest.mark.parametrize('number', [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_the_page_opens_and_leaves_nothing_behind(detector, tmp_path, number):
    port, folder = free_port(), tmp_path / 'temporary'
    folder.mkdir()
    server = start_program('serve', detector, '--device', 'cpu', '--port', port, TMPDIR=str(folder))
    read_until(server, f'The page is at http://127.0.0.1:{port}; Ctrl-C stops it.')
    assert httpx.get(f'http://127.0.0.1:{port}').status_code == 200
    assert [*folder.glob('hiera_mm_page_*')]
    os.kill(server.pid, number)
    rest = server.communicate(timeout=60)[0]
    assert server.returncode == 0 and 'Traceback' not in rest, rest
    assert not [*folder.glob('hiera_mm_page_*')]


def test_a_port_in_use_is_told(run_command, detector):
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        port = other.getsockname()[1]
        result = run_command('serve', detector, '--device', 'cpu', '--port', port)
    assert_explained(result, f'127.0.0.1:{port}', 'choose another --port')


def test_who_finds_the_persons_has_to_be_known(run_command, detector, tmp_path):
    actor = save_random_weights(ACTIONS_CONFIG, tmp_path / 'actions.pth')
    names = tmp_path / 'actions.pbtxt'
    names.write_text('item {\n  name: "jump"\n  id: 1\n}\n')
    result = run_command('serve', actor, '--device', 'cpu', '--classes', names)
    assert_explained(result, 'actions.pth', '--det-checkpoint')
    result = run_command('serve', detector, '--device', 'cpu', '--det-checkpoint', detector)
    assert_explained(result, '--det-checkpoint has no effect', 'shapes.pth')


def test_the_package_that_it_takes_is_named(monkeypatch, run_command, detector):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *more: None if name == 'gradio' else find(name, *more)
    )
    assert_explained(run_command('serve', detector, '--device', 'cpu'), 'gradio', "pip install 'hiera_mm[serve]'")
