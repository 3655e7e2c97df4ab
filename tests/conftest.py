"""What the tests share: a small generated data set, a tiny detector, and the tools run in this process."""

import random
import runpy
import sys
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what other imports need)
from hiera_mm.synthetic.shapes import make_coco_shapes

import numpy as np
import pytest
import torch
from mmdet.visualization import DetLocalVisualizer
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import MODELS
from mmengine.visualization import Visualizer

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / 'shared' / 'data'
TINY = str(ROOT / 'tests' / 'data' / 'tiny_mask_rcnn.py')


@pytest.fixture(autouse=True)
def seeded():
    """The same random numbers whichever tests ran before."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def shapes(tmp_path_factory):
    """Folder of a generated COCO-format set with 8 training and 4 validation images."""
    folder = tmp_path_factory.mktemp('data') / 'shapes'
    make_coco_shapes(folder, train=8, val=4, seed=3)
    return folder


@pytest.fixture(scope='session')
def coco_photographs():
    """Folder of three annotated photographs that lie beside the repository, not in it."""
    folder = SHARED_DATA / 'coco_voc3'
    if not folder.is_dir():
        pytest.skip(f'the photographs are not at {folder}')
    return folder


@pytest.fixture(scope='session')
def real_videos():
    """Folder of two real videos that lie beside the repository, not in it."""
    folder = SHARED_DATA / 'video'
    if not folder.is_dir():
        pytest.skip(f'the videos are not at {folder}')
    return folder


@pytest.fixture(scope='session')
def ava_sample():
    """Folder of a few lines of AVA's own files, which lie beside the repository, not in it."""
    folder = SHARED_DATA / 'ava_sample'
    if not folder.is_dir():
        pytest.skip(f'the sample of AVA is not at {folder}')
    return folder


@pytest.fixture
def run_tool(run_program):
    """``run_tool('train.py', *arguments)`` gives the exit code and all that was printed."""

    def run(tool, *arguments):
        return run_program(
            ROOT / 'tools' / tool, arguments, lambda: runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        )

    return run


@pytest.fixture
def run_benchmark(run_program):
    """As :func:`run_tool`, of ``python -m benchmarks.NAME``."""

    def run(name, *arguments):
        module = f'benchmarks.{name}'
        # Run twice in a process, it must not be found imported.
        sys.modules.pop(module, None)
        return run_program(
            ROOT / 'benchmarks' / f'{name}.py', arguments, lambda: runpy.run_module(module, run_name='__main__')
        )

    return run


@pytest.fixture
def run_program(monkeypatch, capfd):
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


def forget_earlier_runs():
    """mmengine keeps loggers by the second they were made in; a fresh program has none that write to a closed file."""
    for manager in (MMLogger, MessageHub, Visualizer, DetLocalVisualizer):
        manager._instance_dict.clear()


def shapes_options(folder):
    """The ``--cfg-options`` that point the tiny detector's config at a generated set."""
    options = ['--cfg-options', f'val_evaluator.ann_file={folder}/annotations/instances_val.json']
    options.append(f'test_evaluator.ann_file={folder}/annotations/instances_val.json')
    return [*options, *(f'{part}_dataloader.dataset.data_root={folder}' for part in ('train', 'val', 'test'))]


def classes_that_are_blended(config):
    """The numbers of classes that mixup and cutmix make labels of in the recogniser of a config."""
    model = config.model
    model.backbone.update(arch=dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), init_cfg=None)
    model.cls_head.in_channels = 128
    recogniser = MODELS.build(model)
    return [augment.num_classes for augment in recogniser.data_preprocessor.blending.augments]
