"""What the tests share: a small generated data set, and commands run in this process."""

import atexit
import fcntl
import gc
import os
import random
import runpy
import shutil
import subprocess
import sys

import hiera_mm  # noqa: F401  (first: it repairs what other imports need)
from hiera_mm.commands import main
from hiera_mm.synthetic.panoptic import make_panoptic_shapes
from hiera_mm.synthetic.shapes import make_coco_shapes

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from tests.helpers import (
    ROOT,
    SHARED_DATA,
    TINY,
    end_started,
    forget_earlier_runs,
    run_program,
    shapes_options,
)
from tests.remembered import remember_answers

remember_answers()


def pytest_collection_finish():
    """What is imported by now stays, so that collecting garbage needs not look at it again."""
    gc.collect()
    gc.freeze()
    # Not before pytest looks for garbage a last time. Extensions tell what the interpreter's end hasn't freed.
    atexit.register(gc.unfreeze)


@pytest.fixture(autouse=True)
def unaffected_by_other_tests():
    """The same random numbers and the same registries' scope (none), whichever tests ran before."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    DefaultScope._instance_dict.clear()
    yield
    end_started()


@pytest.fixture(scope='session')
def shapes(tmp_path_factory):
    """Folder of a generated COCO-format set with 8 training and 4 validation images."""
    folder = tmp_path_factory.mktemp('data') / 'shapes'
    make_coco_shapes(folder, train=8, val=4, seed=3)
    return folder


@pytest.fixture(scope='session')
def panoptic(tmp_path_factory):
    """Folder of a generated set in COCO's panoptic format with 4 training and 3 validation images."""
    folder = tmp_path_factory.mktemp('data') / 'panoptic'
    make_panoptic_shapes(folder, train=4, val=3, seed=3)
    return folder


@pytest.fixture(scope='session')
def trained(shapes, tmp_path_factory):
    """Work folder of a finished run of the tiny detector: two iterations with a checkpoint each, then a validation. All
    processes of tests share it; copy it to change something.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base) / 'trained'
    with (folder.parent / 'trained.lock').open('a+') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not lock.read():
            run_program('train', TINY, '--work-dir', folder, *shapes_options(shapes))
            lock.write('trained')
    before = _modified(folder)
    yield folder
    assert _modified(folder) == before, 'a test has changed the run that all share'


def _modified(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


def _beside(name):
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f'there is no folder {folder}')
    return folder


@pytest.fixture(scope='session')
def installed(tmp_path_factory):
    """A folder with the package from its wheel; the packages that it needs are those of this environment."""
    folder = tmp_path_factory.mktemp('installed')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', 'install', '--quiet', '--no-deps']
    # From a copy: building writes beside the sources.
    copy = tmp_path_factory.mktemp('sources')
    for name in ('hiera_mm', 'configs'):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, copy / name)
    subprocess.run([*pip, '--no-build-isolation', '--target', folder, copy], check=True)
    return folder


@pytest.fixture(scope='session')
def coco_photographs():
    """Folder of three annotated photographs that lie beside the repository, not in it."""
    return _beside('coco_voc3')


@pytest.fixture(scope='session')
def camvid():
    """Folder of street images with masks that lies beside the repository, not in it."""
    return _beside('camvid')


@pytest.fixture(scope='session')
def real_videos():
    """Folder of two real videos that lie beside the repository, not in it."""
    return _beside('video')


@pytest.fixture(scope='session')
def ava_sample():
    """Folder of a few lines of AVA's own files, which lie beside the repository, not in it."""
    return _beside('ava_sample')


@pytest.fixture
def run_command(run_here):
    """``run_command('train', *arguments)`` gives the exit code of ``hiera-mm train ...`` and all that it printed."""
    return lambda *words: run_here('hiera-mm', words, main)


@pytest.fixture
def run_benchmark(run_here):
    """As :func:`run_command`, of ``python -m benchmarks.NAME``."""

    def run(name, *arguments):
        module = f'benchmarks.{name}'
        # Run twice in a process, it must not be found imported.
        sys.modules.pop(module, None)
        return run_here(
            ROOT / 'benchmarks' / f'{name}.py', arguments, lambda: runpy.run_module(module, run_name='__main__')
        )

    return run


@pytest.fixture
def run_here(monkeypatch, capfd):
    """Run something as the program of this path, in this process."""

    def run(path, arguments, program):
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, arguments)])
        forget_earlier_runs()
        capfd.readouterr()
        code = 0
        try:
            program()
        except SystemExit as ending:
            code = ending.code or 0
        return code, ''.join(capfd.readouterr())

    return run
