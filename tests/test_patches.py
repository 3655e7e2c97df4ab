"""Whatever the package changes in others' is in the table of docs/patches.md."""

import ast

import hiera_mm  # noqa: F401  (first: it repairs what other imports need)

import pytest
from mmengine.registry import HOOKS

from tests.helpers import ROOT

TABLE = (ROOT / 'docs' / 'patches.md').read_text()
FILES = sorted((ROOT / 'hiera_mm').rglob('*.py'))
OTHERS = ('mmengine', 'mmcv', 'mmdet', 'mmaction', 'mmseg', 'torch', 'numpy', 'monai', 'mmpretrain')


def imported_from_others(tree):
    """Names by which a module knows others' modules and classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, 'module', None) or ''
            for alias in node.names:
                full = f'{module}.{alias.name}'.lstrip('.')
                if full.split('.')[0] in OTHERS:
                    yield alias.asname or alias.name.split('.')[0]


def changes_in(path):
    """Names that a module registers by force, and attributes of others that it sets."""
    tree = ast.parse(path.read_text())
    others = set(imported_from_others(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = {word.arg: word.value for word in node.keywords}
            if 'force' in words and 'name' in words:
                yield words['name'].value
            called = ast.unparse(node.func)
            if called == 'replaced' and ast.unparse(node.args[0]).split('.')[0] in others:
                yield node.args[1].value
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            root = target
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(target, ast.Attribute) and isinstance(root, ast.Name) and root.id in others:
                yield target.attr


# Only while a command of this suite runs, or while it reads a config.
DURING_COMMANDS = {'_file2dict', '_substitute_predefined_vars', 'get_max_cuda_memory', 'load'}


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_changed_in_others_is_listed(path):
    changed = set(changes_in(path)) - DURING_COMMANDS
    unlisted = {name for name in changed if f'`{name}`' not in TABLE}
    assert not unlisted
    if changed:
        assert str(path.relative_to(ROOT / 'hiera_mm')) in TABLE


def test_the_table_names_what_is_there():
    places = {word for word in TABLE.replace('`', ' ').split() if word.endswith('.py')} - {'tests/test_patches.py'}
    for place in places:
        assert (ROOT / 'hiera_mm' / place.strip(',')).is_file(), place


def test_mock_objects_are_for_tests():
    for path in FILES:
        assert 'unittest' not in path.read_text(), path


def test_what_stands_under_others_names_is_derived_from_theirs():
    from mmdet.registry import DATASETS, METRICS, MODELS, TRANSFORMS

    for registry, name in (
        *((HOOKS, 'CheckpointHook'), (DATASETS, 'CocoDataset'), (METRICS, 'CocoMetric'), (MODELS, 'FCNMaskHead')),
        *((TRANSFORMS, 'LoadImageFromFile'), (MODELS, 'SingleRoIExtractor'), (TRANSFORMS, 'LoadAnnotations')),
    ):
        ours = registry.get(name)
        assert ours.__module__.startswith('hiera_mm')
        assert any(base.__name__ == name and not base.__module__.startswith('hiera_mm') for base in ours.__mro__[1:])
