"""Imports run downwards only and in no circle, only tasks ask what a model is, and tests lie where the code does."""

import ast

import pytest

from tests.helpers import ROOT

PACKAGE = ROOT / 'hiera_mm'
LAYERS = (
    {
        'program',
        'version',
        'errors',
        'architectures',
        'atomic_write',
        'compat',
        'ops',
        'config',
        'explain',
        'complexity',
        'replaced',
        'shipped',
    },
    {'readers', 'weights', 'synthetic', 'settings', 'setting_faults', 'setting_values', 'last_words', 'first_config'},
    {'models', 'datasets'},
    {'evaluation'},
    {'engine', 'checks'},
    {'registration'},
    {'inference', 'rehearsal'},
    {'tasks'},
    {'commands', '__main__'},
)
"""From the ground up; a module imports from its own layer and those below."""

LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
FILES = sorted(path for path in PACKAGE.rglob('*.py') if path != PACKAGE / '__init__.py')

KEYS_OF_TASKS = {
    *('decode_head', 'auxiliary_head', 'cls_head', 'roi_head', 'rpn_head', 'bbox_head', 'mask_head', 'panoptic_head'),
    *('neck', 'decoder', 'input_size'),
}
"""Keys of a model's config by which its task can be told."""

KINDS_OF_TASKS = {
    *('BaseDetector', 'BaseRecognizer', 'BaseSegmentor', 'MaskedAutoencoder', 'VolumeEncoderDecoder', 'ClipRecognizer'),
    *('Detector', 'Segmenter', 'Classifier', 'ActionDetector', 'VolumeSegmenter', 'Reconstructor', 'AVAMetric'),
}
"""Classes of models and predictors, and of what only one task has."""


def modules_imported_by(path):
    """Full names of what a module imports, for type hints as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def rooms_imported_by(path):
    names = (name.split('.') for name in modules_imported_by(path) if name.startswith('hiera_mm.'))
    return {parts[1] for parts in names if parts[1] not in ('CONFIGS', '__version__')}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def name_of(path):
    return '.'.join(['hiera_mm', *path.relative_to(PACKAGE).with_suffix('').parts]).removesuffix('.__init__')


def test_every_room_has_its_layer():
    assert {room_of(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path):
    assert not {room for room in rooms_imported_by(path) if LEVEL[room] > LEVEL[room_of(path)]}


def test_no_modules_import_each_other_in_a_circle():
    names = {name_of(path): path for path in FILES}

    def module_of(imported):
        """The module that an imported name lies in, or is."""
        return imported if imported in names else imported.rpartition('.')[0]

    imports = {
        name: {found for imported in modules_imported_by(path) if (found := module_of(imported)) in names} - {name}
        for name, path in names.items()
    }
    while leaves := {name for name, needed in imports.items() if not needed & imports.keys()}:
        imports = {name: needed for name, needed in imports.items() if name not in leaves}
    assert not imports


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_tasks_ask_what_a_model_is(path):
    """Neither its class nor the keys of its config; what is built of a config (models, the weights' formats, operators)
    knows itself."""
    if room_of(path) in ('tasks', 'models', 'weights', 'ops'):
        return
    looked_at = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ('isinstance', 'issubclass'):
            named = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
            looked_at |= named & KINDS_OF_TASKS
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith('model'):
            looked_at |= {node.attr} & KEYS_OF_TASKS
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            if ast.unparse(node.comparators[0]).endswith('model') and isinstance(node.left, ast.Constant):
                looked_at |= {node.left.value} & KEYS_OF_TASKS
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == 'get':
            first = node.args[0] if node.args else None
            looked_at |= {first.value} & KEYS_OF_TASKS if isinstance(first, ast.Constant) else set()
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            looked_at |= {node.slice.value} & KEYS_OF_TASKS
    assert not looked_at


def test_weights_know_no_model_and_repairs_know_nobody():
    for path in (PACKAGE / 'weights').glob('*.py'):
        assert 'models' not in rooms_imported_by(path), path
    for path in (PACKAGE / 'compat.py', *(PACKAGE / 'ops').glob('*.py')):
        assert not rooms_imported_by(path) - {'errors', 'ops', 'replaced'}


def test_tests_mirror_the_package():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != '__pycache__'}
    folders = {path.name for path in (ROOT / 'tests').iterdir() if path.is_dir() and path.name != '__pycache__'}
    assert folders - rooms == {'benchmarks', 'configs', 'data', 'tools'}
    # The commands are tested in tools/, as their users run them.
    assert rooms - folders == {'commands'}
