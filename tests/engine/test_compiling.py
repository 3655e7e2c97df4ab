"""What --compile makes of a model, and what it says; that losses stay the same is tests/tools/test_compiling.py's."""

from types import SimpleNamespace
from unittest.mock import patch

from hiera_mm.engine.compiling import CompileHook, can_replay, compile_parts

import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS
from torch._dynamo.backends.common import aot_autograd

from benchmarks.launches import narrowed, simulated_gpu
from tests.helpers import read

ARCH = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))


class Whole(nn.Module):
    """A part of varying shapes behind one of static ones."""

    def __init__(self):
        super().__init__()
        self.backbone, self.roi_head = nn.Linear(3, 4), nn.Linear(4, 5)

    def forward(self, x):
        return self.roi_head(self.backbone(x))


@pytest.fixture
def graphs():
    """The graphs that parts are compiled to for a GPU. A break in one is an error."""
    torch.compiler.reset()
    found, plain = [], torch.compile

    def compile_so(function, dynamic, mode):
        assert mode == 'reduce-overhead' and not dynamic
        backend = aot_autograd(fw_compiler=lambda graph, _: found.append(graph) or graph.forward)
        return plain(function, dynamic=False, backend=backend, fullgraph=True)

    with patch.object(torch, 'compile', compile_so):
        yield found
    torch.compiler.reset()


def built(config):
    config.update(data_preprocessor=None)
    config.backbone.update(arch=ARCH, init_cfg=None)
    return MODELS.build(config).train()


def detector():
    config = narrowed(read('mask_rcnn_hiera_b.py').model)
    config.backbone.global_blocks = (2,)
    model = built(config)
    return model, lambda: model.rpn_head(model.extract_feat(torch.empty(2, 3, 256, 256)))


def classifier():
    config = read('in1k_hiera_b.py').model
    config.cls_head.in_channels = 128
    model = built(config)
    return model, lambda: model.cls_head(model.backbone(torch.empty(2, 3, 224, 224)))


def autoencoder():
    config = read('mae_hiera_b.py').model
    config.decoder_depth = 1
    model = built(config)
    return model, lambda: model(torch.empty(2, 1, 3, 224, 224), mode='loss')


@pytest.mark.parametrize(
    'build, parts', [(detector, 'backbone neck rpn_head'), (classifier, 'backbone cls_head'), (autoencoder, 'the loss')]
)
def test_a_gpu_gets_one_graph_a_part_with_nothing_of_the_processors(graphs, build, parts):
    """torch makes no CUDA graph of one that holds tensors of the processor's; stochastic depth held some."""
    with simulated_gpu():
        model, run = build()
        assert can_replay(model)
        compiled = compile_parts(model, replays=True)
        with torch.no_grad(), torch.autocast('cuda', torch.bfloat16):
            run()
    assert ' '.join(compiled) == parts and len(graphs) == (1 if parts == 'the loss' else len(compiled))
    held = [node.meta.get('val') for graph in graphs for node in graph.graph.nodes]
    assert {one.device.type for one in held if isinstance(one, torch.Tensor)} == {'cuda'}


def test_a_call_of_the_model_begins_a_step_where_graphs_are_replayed():
    with patch.object(nn.Module, 'compile'), patch('torch.compiler.cudagraph_mark_step_begin') as begins:
        for replays in (False, True):
            model = Whole()
            assert compile_parts(model, replays) == ['backbone']
            model.eval()(torch.ones(1, 3))
            model.train()(torch.ones(1, 3))
            assert begins.call_count == 2 * replays


def test_a_processor_replays_nothing():
    assert not can_replay(Whole())


class Run:
    """What the hook needs of a runner."""

    def __init__(self, accumulated=1):
        self.model, self.lines = Whole(), []
        self.optim_wrapper = SimpleNamespace(_accumulative_counts=accumulated)
        self.logger = SimpleNamespace(info=self.lines.append)

    def train(self, sizes):
        hook = CompileHook()
        hook.before_run(self)
        for number, size in enumerate(sizes):
            hook.before_train_iter(self, number)
            self.model(torch.ones(size, 3))
            hook.after_train_iter(self, number)
        return '\n'.join(self.lines)


@pytest.fixture
def without_code():
    torch.compiler.reset()
    plain = torch.compile
    with patch.object(torch, 'compile', lambda function, **_: plain(function, dynamic=False, backend='eager')):
        yield
    torch.compiler.reset()


def test_one_shape_is_compiled_once(without_code):
    said = Run().train([4, 4, 4])
    assert 'Compiled backbone to 1 graphs' in said and 'anew' not in said and 'CUDA' not in said


def test_another_shape_is_said_once(without_code):
    said = Run().train([4, 4, 5, 6, 5])
    assert said.count('anew, which makes 2 graphs by now') == 1 and 'train on inputs of one size' in said


def test_graphs_are_replayed_unless_gradients_are_added_up(without_code):
    with patch('hiera_mm.engine.compiling.can_replay', lambda model: True):
        once, several = Run().train([4, 4]), Run(accumulated=3).train([4, 4])
    assert 'They are replayed as CUDA graphs.' in once
    assert 'added up over 3 iterations' in several and 'They are replayed' not in several


def test_graphs_that_torch_can_not_replay_are_counted(without_code):
    skipped = patch.dict(torch._dynamo.utils.counters['inductor'], cudagraph_skips=2)
    with patch('hiera_mm.engine.compiling.can_replay', lambda model: True), skipped:
        assert 'replayed as CUDA graphs, but 2 can not be.' in Run().train([4, 4])
