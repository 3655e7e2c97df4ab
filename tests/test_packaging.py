"""What pip installs with the package agrees with the tested set."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement

from tests.helpers import ROOT

SETTINGS = tomllib.loads((ROOT / 'pyproject.toml').read_text())
PROJECT = SETTINGS['project']
NAMED = [Requirement(line) for line in (*PROJECT['dependencies'], *PROJECT['optional-dependencies']['openmmlab'])]
TESTED = {
    requirement.name: str(requirement.specifier).removeprefix('==')
    for line in (ROOT / 'requirements.txt').read_text().splitlines()
    if line.strip() and not line.startswith('#')
    for requirement in [Requirement(line)]
}


@pytest.mark.parametrize('requirement', NAMED, ids=str)
def test_the_tested_version_is_one_that_pip_may_install(requirement):
    assert requirement.specifier.contains(TESTED[requirement.name])


def test_the_extra_brings_all_of_the_tested_set():
    # pytest is for the tests.
    assert {requirement.name for requirement in NAMED} == TESTED.keys() - {'pytest'}


@pytest.mark.parametrize('name', ['opencv-python', 'opencv-python-headless', 'opencv-contrib-python'])
def test_the_distributions_that_share_a_folder_have_one_version(name):
    (requirement,) = [requirement for requirement in NAMED if requirement.name == name]
    assert str(requirement.specifier) == f'=={TESTED[name]}' == f'=={TESTED["opencv-python"]}'


def test_typed_and_every_package_is_in_the_wheel():
    listed = set(SETTINGS['tool']['setuptools']['packages']) - {'hiera_mm.configs'}
    folders = {'.'.join(path.parent.relative_to(ROOT).parts) for path in (ROOT / 'hiera_mm').rglob('__init__.py')}
    assert listed == folders and (ROOT / 'hiera_mm' / 'py.typed').is_file()
    assert PROJECT['scripts'] == {'hiera-mm': 'hiera_mm.commands:main'}


# Imported only where a user asks for what needs them, or in a test for their presence.
OF_EXTRAS = {
    *('monai', 'nibabel', 'mmseg', 'peft', 'timm', 'sklearn', 'gradio', 'supervision', 'huggingface_hub'),
    *('onnx', 'onnxscript', 'onnxruntime', 'openvino', 'nncf', 'starlette', 'trackers', 'pillow_heif'),
    *('tifffile', 'sam2'),
    # No extra can install it: docs/install.md.
    'panopticapi',
    # Of torch, where that is built for GPUs.
    'triton',
}


def test_whatever_the_package_imports_is_declared():
    """By the name of the distribution that brings it."""
    imported = set()
    for path in (ROOT / 'hiera_mm').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split('.')[0])
    owners = packages_distributions()
    declared = {requirement.name.lower().replace('_', '-') for requirement in NAMED}
    for name in imported - set(sys.stdlib_module_names) - {'hiera_mm'} - OF_EXTRAS:
        brought_by = {owner.lower().replace('_', '-') for owner in owners[name]}
        assert brought_by & declared, f'{name} comes with {brought_by}, of which pyproject.toml names nothing'
