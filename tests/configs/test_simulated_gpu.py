"""What a GPU would refuse, found without one.

torch's fake tensors know device, type and shape, but hold no numbers: whatever is made on the wrong device, or waits
for a number of the GPU's (``.item()``, ``nonzero``), fails on them.
"""

import contextlib
from unittest.mock import patch

import pytest
import torch
import torch.nn as nn
from mmdet.models.losses import FocalLoss
from mmengine.registry import MODELS
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.launches import simulated_gpu
from tests.configs import test_ava_configs, test_configs, test_video_configs
from tests.families import dispatched_as_on_a_gpu
from tests.helpers import read

PRECISIONS = [None, torch.float16, torch.bfloat16]
DETECTORS = [
    'mask_rcnn_hiera_b.py',
    *(
        pytest.param(f'{name}.py', marks=pytest.mark.slow)
        for name in ('cascade_mask_rcnn_hiera_l', 'mask_rcnn_hiera_bp_sam2')
    ),
]


@contextlib.contextmanager
def fake_gpu(precision):
    """Tensors and models made inside are on a GPU, but hold nothing; yields the types of the products."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(simulated_gpu())
        stack.enter_context(torch.autocast('cuda', dtype=precision, enabled=precision is not None))
        yield stack.enter_context(Products()).dtypes


def build(config):
    config.model.pop('data_preprocessor', None)
    config.model.backbone.init_cfg = None
    return MODELS.build(config.model).train()


class Products(TorchDispatchMode):
    """The types in which linear layers and convolutions are computed. Attention without a GPU is two products (bmm) in
    float32."""

    def __init__(self):
        super().__init__()
        self.dtypes = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ('mm', 'addmm', 'convolution'):
            self.dtypes.setdefault(made.dtype, []).append(name)
        return made


def assert_on_gpu(outputs, products, precision):
    assert products.keys() == {precision or torch.float32} and sum(map(len, products.values())) > 20, products
    for output in outputs:
        assert output.device.type == 'cuda' and output.dtype in (torch.float32, precision or torch.float32)


@pytest.mark.parametrize('precision', PRECISIONS)
def test_the_simulated_gpu_computes_in_half_precision(precision):
    with fake_gpu(precision) as products:
        product = nn.functional.linear(torch.empty(2, 4), torch.empty(3, 4))
    assert [product.dtype] == list(products) == [precision or torch.float32]


def test_what_waits_for_the_gpu_is_found():
    with fake_gpu(None), pytest.raises(DataDependentOutputException):
        torch.ones(3).sum().item()
    with fake_gpu(None), pytest.raises(RuntimeError, match='found at least two devices, cuda:0 and cpu'):
        torch.ones(3) + torch.ones(3, device='cpu')


@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('name', DETECTORS)
def test_the_parts_of_a_detector(name, precision):
    with fake_gpu(precision) as products:
        detector = build(read(name))
        pyramid = detector.extract_feat(torch.empty(2, 3, 1024, 1000))
        regions = torch.empty(64, 256, 7, 7)
        heads = detector.roi_head.bbox_head
        found = [*pyramid, *(part for level in detector.rpn_head(pyramid) for part in level)]
        for head in heads if isinstance(heads, nn.ModuleList) else [heads]:
            found += head(regions)
        masks = detector.roi_head.mask_head
        for head in masks if isinstance(masks, nn.ModuleList) else [masks]:
            found.append(head(torch.empty(16, 256, 14, 14)))
    assert_on_gpu(found, products, precision)


@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('name', ['k400_hiera_b.py', 'ssv2_hiera_l_32f.py', 'in1k_hiera_b.py'])
def test_a_classifier(name, precision):
    config = read(name)
    with fake_gpu(precision) as products:
        model = build(config)
        frames = config.model.backbone.get('num_frames')
        shape = (2, 1, 3, frames, 224, 224) if frames else (2, 1, 3, 224, 224)
        scores = model(torch.empty(shape), stage='head')
        loss = model.cls_head.loss_cls(scores, torch.empty(scores.shape))
    assert scores.shape == (2, config.model.cls_head.num_classes)
    assert_on_gpu([scores, loss], products, precision)


@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('name, frames', [('mae_hiera_b.py', ()), ('mae_hiera_b_k400.py', (16,))])
def test_a_masked_autoencoder(name, frames, precision):
    with fake_gpu(precision) as products:
        loss = build(read(name))(torch.empty(2, 1, 3, *frames, 224, 224), mode='loss')['loss']
    assert_on_gpu([loss], products, precision)


@pytest.mark.parametrize('precision', PRECISIONS)
@pytest.mark.parametrize('name', ['distill_hiera_t_from_l.py', 'distill_hiera_t_from_l_masked.py'])
def test_a_distillation_whose_teacher_is_always_in_half_precision(name, precision):
    config = read(name)
    config.model.teacher.arch = config.model.backbone.arch
    with fake_gpu(precision) as products:
        model = build(config)
        losses = model(torch.empty(2, 1, 3, 224, 224), mode='loss')
        dtypes = {module.weight.dtype for module in model.teacher.modules() if isinstance(module, torch.nn.Linear)}
    assert dtypes == {torch.bfloat16}
    assert all(loss.device.type == 'cuda' for loss in losses.values())
    assert products.keys() == {torch.bfloat16, precision or torch.float32}


@pytest.mark.parametrize('precision', [None, pytest.param(torch.float16, marks=pytest.mark.slow), torch.bfloat16])
@pytest.mark.parametrize(
    'name', [pytest.param('unetr_hiera_b_btcv.py', marks=pytest.mark.slow), 'unetr_hiera_b_btcv_128.py']
)
def test_a_segmentor_of_volumes(name, precision):
    config = read(name)
    with fake_gpu(precision) as products:
        model = build(config)
        crop = config.model.test_cfg.crop_size
        logits = model.logits(torch.empty(2, 1, *crop))
        # MONAI's own loss looks at a number, for which a GPU has to be waited.
        loss = torch.nn.functional.cross_entropy(logits.float(), torch.zeros(2, *crop, dtype=torch.long))
    assert logits.shape == (2, 14, *crop)
    assert_on_gpu([logits, loss], products, precision)


@pytest.mark.parametrize('precision', PRECISIONS)
def test_the_parts_of_an_action_detector(precision):
    with fake_gpu(precision) as products:
        detector = build(read('ava_hiera_l.py'))
        maps = detector.backbone(torch.empty(2, 3, 16, 224, 224))
        regions, _ = detector.roi_head.bbox_roi_extractor(maps, torch.empty(5, 5))
        scores = detector.roi_head.bbox_head(regions)
    assert_on_gpu([*maps, scores], products, precision)


def test_operators_for_gpus_are_called_where_tensors_say_they_are_there():
    with dispatched_as_on_a_gpu(), patch('mmcv.ops.focal_loss.ext_module.sigmoid_focal_loss_forward') as called:
        FocalLoss()(torch.randn(4, 3), torch.tensor([0, 1, 2, 3]))
    assert called.called


@pytest.mark.parametrize('name', DETECTORS)
def test_a_detector_calls_no_operator_that_is_missing_on_a_gpu(name):
    config = read(name)
    detector = test_configs.reduced_detector(config.model)
    with dispatched_as_on_a_gpu():
        batch = detector.data_preprocessor(test_configs.sample(config.train_pipeline), training=True)
        loss, _ = detector.parse_losses(detector(**batch, mode='loss'))
        loss.backward()
        detector.eval()
        with torch.no_grad():
            assert detector.test_step(test_configs.sample(config.train_pipeline))


@pytest.mark.parametrize(
    'test, arguments',
    [
        pytest.param(
            test_ava_configs.test_it_trains_and_predicts_at_reduced_depth, ('ava_hiera_l.py',), marks=pytest.mark.slow
        ),
        (test_video_configs.test_it_runs_forward_and_backward_at_reduced_depth, ('k400_hiera_b.py',)),
    ],
)
def test_a_model_of_clips_calls_no_operator_that_is_missing_on_a_gpu(test, arguments):
    with dispatched_as_on_a_gpu():
        test(*arguments)
