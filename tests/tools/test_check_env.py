"""hiera-mm check-env: every fault is found and named with the command that repairs it."""

import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

from hiera_mm.commands import check_env

import pytest

from tests.helpers import ROOT

SOUND = {
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'mmaction2': '1.2.0',
    'torch': '2.15.0',
    'torchvision': '0.29.2',
    'opencv-python': '4.12.0.88',
    'opencv-python-headless': '4.12.0.88',
    'pycocotools': '2.0.11',
    'safetensors': '0.8.0',
    'psutil': '7.2.2',
    'av': '18.1.0',
}


@pytest.fixture
def faults_with(monkeypatch):
    """Faults ``{part: sentence}`` that the tool finds where these distributions are installed."""

    def look(checks, imports=None, **installed):
        tool = runpy.run_path(str(ROOT / 'hiera_mm' / 'commands' / 'check_env.py'))
        found = {name.replace('_', '-'): v for name, v in installed.items()}
        found = SOUND | found

        def version(distribution):
            if found.get(distribution) is None:
                raise PackageNotFoundError(distribution)
            return found[distribution]

        scope = tool['version_of'].__globals__
        monkeypatch.setitem(scope, 'version', version)
        if imports is not None:
            monkeypatch.setitem(scope, 'import_name', imports)
        return {row.part: row.fault for check in checks for row in tool[check]() if row.fault}

    return look


@pytest.mark.slow  # tests/run.sh begins with it
def test_the_installed_environment_is_sound():
    done = subprocess.run([sys.executable, '-m', 'hiera_mm', 'check-env'], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert 'OpenMMLab line' in done.stdout and 'FAULT' not in done.stdout


def test_the_described_sound_environment_has_no_fault(faults_with):
    imports = SimpleNamespace(__version__='4.12.0')
    assert (
        faults_with(['check_openmmlab', 'check_opencv', 'check_small_libraries', 'check_video'], lambda _: imports)
        == {}
    )


def test_two_lines_of_openmmlab_are_told_apart(faults_with):
    faults = faults_with(['check_openmmlab'], mmcv='2.1.0')
    assert 'pip uninstall -y mmcv onedl-mmcv' in faults['OpenMMLab line']


@pytest.mark.parametrize('mmcv', ['mmcv', 'mmcv_lite'])
def test_the_upstream_line_alone_is_no_fault(faults_with, mmcv):
    none = dict(onedl_mmengine=None, onedl_mmcv=None, onedl_mmdetection=None)
    assert faults_with(['check_openmmlab'], **none, mmengine='0.10.7', **{mmcv: '2.1.0'}, mmdet='3.3.0') == {}


@pytest.mark.parametrize('distribution, part', [('onedl_mmcv', 'mmcv'), ('mmaction2', 'mmaction')])
def test_what_is_missing_is_named_with_its_command(faults_with, distribution, part):
    faults = faults_with(['check_openmmlab'], **{distribution: None})
    assert faults == {part: f'{part} is not installed: pip install -r requirements.txt'}


@pytest.mark.parametrize('torch, said', [('2.5.1', '2.6 or newer'), ('2.13.0+cpu', "does not fit PyPI's torchvision")])
def test_an_unfit_torch_is_named(faults_with, torch, said):
    gpu = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    assert said in faults_with(['check_torch'], lambda _: gpu, torch=torch)['torch']


def test_colliding_opencv_distributions_are_named(faults_with):
    faults = faults_with(
        ['check_opencv'], lambda _: SimpleNamespace(__version__='5.0'), opencv_contrib_python='5.0.0.93'
    )
    assert 'pip uninstall -y opencv-python opencv-python-headless opencv-contrib-python' in faults['OpenCV']


def test_a_missing_libgl_is_named_with_both_remedies(faults_with):
    def imports(module):
        raise ImportError('libGL.so.1: cannot open shared object file')

    fault = faults_with(['check_opencv'], imports)['cv2']
    assert 'apt-get install -y libgl1' in fault and 'opencv-python-headless==4.12.0.88' in fault


def test_a_package_that_does_not_import_is_a_fault(faults_with):
    def imports(module):
        raise ImportError(f'no {module} here')

    faults = faults_with(['check_suite'], imports)
    assert 'no hiera_mm here; run: pip install --no-deps -e .' in faults['hiera_mm']
    assert set(faults) == {'hiera_mm', 'mmdet.models', 'mmaction.models'}


def test_without_a_video_decoder_there_is_a_fault(faults_with):
    assert faults_with(['check_video'], av=None) == {'video decoder av': 'av is not installed: pip install av'}


def test_where_nothing_is_installed_the_tool_says_so():
    done = subprocess.run(
        [sys.executable, '-S', '-m', 'hiera_mm', 'check-env'], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1 and not done.stderr, done.stderr
    assert 'torch is not installed: pip install -r requirements.txt' in done.stdout


def test_extras_are_listed_with_what_installs_them(run_command, monkeypatch):
    declared = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
    assert set(check_env.EXTRAS) == set(declared) - {'openmmlab'}
    for extra, needed in declared.items():
        assert check_env.required_by(extra) == [re.split(r'[^\w.-]', one)[0] for one in needed]
    plain = check_env.version_of
    monkeypatch.setattr(check_env, 'version_of', lambda name: None if name == 'nibabel' else plain(name))
    _, printed = run_command('check-env')
    lines = {line.split()[0]: line for line in printed.partition('extras:')[2].splitlines() if line.startswith('  ')}
    assert "not installed: pip install 'hiera_mm[volumes]'" in lines['volumes']
    assert 'not installed' not in lines['hub'] and list(lines) == [*check_env.EXTRAS, *check_env.ALONE]


def test_an_extra_is_not_called_installed_where_nothing_is_known_of_it(run_command, monkeypatch):
    """As in a clone that is only on the path, or by the metadata of an older version."""
    monkeypatch.setattr(check_env, 'requires', lambda name: ["monai>=1.6; extra == 'volumes'"])
    _, printed = run_command('check-env')
    lines = {line.split()[0]: line for line in printed.partition('extras:')[2].splitlines() if line.startswith('  ')}
    assert 'unknown' in lines['lora'] and 'unknown' not in lines['volumes']
