"""What several test modules use."""

import copy
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what other imports need)
from hiera_mm.settings import read_config
from hiera_mm.tasks import task_of

import av
import cv2
import hiera
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from mmengine.visualization import Visualizer
from torchvision import transforms

from tests.programs import Program

ROOT = Path(__file__).parents[1]
HAS_BFLOAT16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Whether the processor has instructions for it; without them a test of a whole model in bfloat16 takes minutes."""
SHARED_DATA = ROOT.parent / 'shared' / 'data'
TINY = str(ROOT / 'tests' / 'data' / 'tiny_mask_rcnn.py')
ACTIONS_CONFIG = ROOT / 'configs' / 'ava_hiera_t_shapes.py'
FOLDER = ROOT / 'configs'
CONFIGS = sorted(path.name for path in FOLDER.glob('*.py'))
SMALL_DETECTOR = f"""
_base_ = '{FOLDER}/NAME.py'
classes = ('circle', 'bar', 'triangle')
image_size = (128, 128)
model = dict(
    data_preprocessor=dict(pad_size_divisor=128),
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), global_blocks=(), init_cfg=None
    ),
    neck=dict(in_channels=[16, 32, 64, 128]),
    test_cfg=dict(rpn=dict(max_per_img=60), rcnn=dict(score_thr=0.0)),
)
"""
"""A config of a small model, of the shipped config ``NAME``."""
SIZES = ('t', 's', 'b', 'bp', 'l', 'h')
OFFICIAL_PREPARATION = transforms.Compose(
    [
        transforms.Resize(256, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)
"""As in the official README."""


class MadeUpFilm:
    """A reader of ``count`` frames of noise."""

    path = 'made up'

    def __init__(self, count, height=64, width=64, rate=30):
        self.rate, self.times, self.duration = rate, np.arange(count) / rate, count / rate
        self.shape, self.random = (height, width, 3), np.random.default_rng(0)

    def __len__(self):
        return len(self.times)

    def frames(self, indices, shrink=None):
        pictures = [self.random.integers(0, 256, self.shape, dtype=np.uint8) for _ in indices]
        return [shrink(picture) for picture in pictures] if shrink else pictures


def forget_earlier_runs():
    """mmengine keeps loggers by the second they were made in; a fresh program has none that write to a closed file."""
    managers = [MMLogger, MessageHub, Visualizer]
    for manager in managers:
        manager._instance_dict.clear()
        # Those of mmdet, mmseg and mmaction are kept by their own classes.
        managers += manager.__subclasses__()


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


class Payload:
    def __reduce__(self):
        return os.system, ('touch payload_ran',)


def perturbed(model, seed=0):
    """Weights far from their start, so that every term of the computation shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def gradcheck(function, inputs):
    """torch's, which on a GPU lets two backward passes differ by the order of their sums."""
    return torch.autograd.gradcheck(function, inputs, nondet_tol=0.0 if inputs[0].device.type == 'cpu' else 1e-12)


def assert_same_maps(maps, expected, tolerance=1e-4):
    assert len(maps) == len(expected) == 4
    for got, want in zip(maps, expected, strict=True):
        assert got.shape == want.shape
        assert (got - want).abs().max() <= tolerance * want.abs().max()


def losses_of(folder):
    (log,) = folder.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return [entry['loss'] for entry in entries if 'loss' in entry]


def assert_explained(result, *parts):
    code, printed = result
    assert code == 1, printed
    assert 'Traceback' not in printed
    sentence = printed[printed.index('Error: ') :]
    assert len(sentence.strip().splitlines()) == 1, sentence
    for part in parts:
        assert part in sentence


def run(command):
    environment = dict(os.environ, PORT=str(free_port()), OMP_NUM_THREADS='1', PYTHON=sys.executable)
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def extract_as_ffmpeg(video, folder, rate):
    """Frames by ffmpeg's own filter for ``-r``, without loss, named as mmaction2's."""
    folder.mkdir(parents=True)
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        source, fps, sink = graph.add_buffer(template=stream), graph.add('fps', str(rate)), graph.add('buffersink')
        source.link_to(fps)
        fps.link_to(sink)
        graph.configure()
        count = 0

        def drain():
            nonlocal count
            while True:
                try:
                    frame = graph.pull()
                except (av.error.BlockingIOError, av.error.EOFError):
                    return
                count += 1
                cv2.imwrite(str(folder / f'img_{count:05d}.png'), frame.to_ndarray(format='bgr24'))

        for frame in container.decode(stream):
            graph.push(frame)
            drain()
        graph.push(None)
        drain()
    return count


def save_random_weights(config, path, seed=0):
    """A checkpoint of untrained weights, as training would write it."""
    forget_earlier_runs()
    config = read_config(str(config))
    init_default_scope(config.default_scope)
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    model.init_weights()
    meta = dict(cfg=config.pretty_text, dataset_meta=dict())
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def tiny_config():
    """The tiny detector's config."""
    return copy.deepcopy(_read_once(TINY))


def read(name):
    """One of the suite's configs, and its default scope set."""
    config = copy.deepcopy(_read_once(name))
    init_default_scope(config.default_scope)
    return config


@functools.cache
def _read_once(name):
    return Config.fromfile(FOLDER / name)


def official_classifier(**arguments):
    """A small one of the official package, for five classes."""
    return hiera.Hiera(embed_dim=16, num_heads=1, stages=(1, 2, 3, 2), num_classes=5, **arguments)


def options(shapes, *more):
    return [*shapes_options(shapes), *more]


def weights(path):
    return torch.load(path, weights_only=False, map_location='cpu')['state_dict']


def assert_same_weights(one, other, tolerance=0.0):
    """By the share of its norm that a weight may differ: on a GPU sums are made in any order."""
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    different = [
        key for key in one if not (one[key] - other[key]).float().norm() <= tolerance * one[key].float().norm()
    ]
    assert not different


NO_VALIDATION = ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']

STARTED = []
"""Programs of a test, which its end kills if it failed to wait for theirs."""


def start(command, stdout=subprocess.PIPE, **environment):
    """A program in a process group of its own, both its outputs in one."""
    process = subprocess.Popen(
        list(map(str, command)),
        **dict(stdout=stdout, stderr=subprocess.STDOUT, text=True, start_new_session=True),
        env=dict(os.environ, **environment),
    )
    STARTED.append(process)
    return process


def end_started():
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def start_two(script, arguments, inside=(), **environment):
    """``tools/dist_train.sh`` or ``dist_test.sh``, by another program."""
    command = [*inside, 'bash', ROOT / 'tools' / f'dist_{script}.sh', *arguments, '--verbose']
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    # On the processor, as each process would want a GPU of its own.
    usual = dict(PYTHON=sys.executable, PYTHONPATH=path, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    return start(command, **(usual | environment))


def start_program(*words, folder=ROOT, stdout=None, **environment):
    """``hiera-mm WORDS`` in a process and a process group of its own, both its outputs in one."""
    program = Program(words, folder, os.environ | environment, stdout)
    STARTED.append(program)
    return program


def run_program(*words, folder=ROOT):
    """What ``hiera-mm WORDS``, which has to succeed, prints in a process of its own."""
    program = start_program(*words, folder=folder)
    printed, _ = program.communicate()
    assert program.returncode == 0, printed
    return printed


def read_until(process, text, seconds=120):
    """What is printed until a line holds the text."""
    lines, end = [], time.monotonic() + seconds
    for line in process.stdout:
        lines.append(line)
        if text in line or time.monotonic() > end:
            break
    assert text in lines[-1], ''.join(lines)
    return ''.join(lines)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=60):
    """Until a program that was started answers there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f'nothing answers at port {port}')


def groups_by_name(model, optimizer):
    """The optimizer's group of each parameter that it trains, by the parameter's name."""
    group_of = {parameter: group for group in optimizer.param_groups for parameter in group['params']}
    return {name: group_of[parameter] for name, parameter in model.named_parameters() if parameter in group_of}


def model_complexity(model, shape=None):
    """Parameters and operations of a model's parts, and the size of its input."""
    scope = DefaultScope.get_current_instance()
    config = Config(dict(model=model, default_scope=scope.scope_name if scope else None))
    return task_of(config).complexity(model, shape)
