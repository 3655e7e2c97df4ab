"""What pip installs with the package agrees with the tested set."""

import tomllib

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
