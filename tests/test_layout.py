"""Imports run downwards only, and tests lie where the code does."""

import ast

import pytest

from tests.helpers import ROOT

PACKAGE = ROOT / 'hiera_mm'
LAYERS = (
    {
        'called',
        'version',
        'errors',
        'architectures',
        'atomic_write',
        'compat',
        'ops',
        'config',
        'explain',
        'complexity',
    },
    {'readers', 'weights', 'synthetic', 'settings', 'setting_faults'},
    {'models', 'datasets'},
    {'engine', 'evaluation', 'checks'},
    {'registration'},
    {'inference', 'rehearsal'},
    {'commands', '__main__'},
)
"""From the ground up; a module imports from its own layer and those below."""

LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
FILES = sorted(path for path in PACKAGE.rglob('*.py') if path != PACKAGE / '__init__.py')


def rooms_imported_by(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == 'hiera_mm':
            names = [f'hiera_mm.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        yield from (name.split('.')[1] for name in names if name.startswith('hiera_mm.'))


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def test_every_room_has_its_layer():
    assert {room_of(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path):
    upwards = {
        room
        for room in rooms_imported_by(path)
        if room not in ('CONFIGS', '__version__') and LEVEL[room] > LEVEL[room_of(path)]
    }
    assert not upwards


def test_weights_know_no_model_and_repairs_know_nobody():
    for path in (PACKAGE / 'weights').glob('*.py'):
        assert 'models' not in rooms_imported_by(path), path
    for path in (PACKAGE / 'compat.py', *(PACKAGE / 'ops').glob('*.py')):
        assert not set(rooms_imported_by(path)) - {'CONFIGS', 'errors', 'ops'}


def test_tests_mirror_the_package():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != '__pycache__'}
    folders = {path.name for path in (ROOT / 'tests').iterdir() if path.is_dir() and path.name != '__pycache__'}
    assert folders - rooms == {'benchmarks', 'configs', 'data', 'tools'}
    # The commands are tested in tools/, as their users run them.
    assert rooms - folders == {'commands'}
