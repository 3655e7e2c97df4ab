"""The stand-in for mmcv's compiled operators, against results recorded with compiled ones."""

import importlib.util
import sys
import types
from pathlib import Path

import hiera_mm  # noqa: F401  (installs the stand-in)
from hiera_mm import ops

import pytest
import torch
import torchvision
from torch.utils._pytree import tree_map

if getattr(sys.modules['mmcv._ext'], '__file__', None):
    pytest.skip('mmcv is compiled here, so nothing stands in for it', allow_module_level=True)

from mmcv.ops import RoIAlign, batched_nms, nms, nms_match, soft_nms

RECORDED = torch.load(Path(__file__).parents[1] / 'data' / 'mmcv_ops.pt', weights_only=True)


@pytest.fixture
def recorded(device):
    return on_device(RECORDED)


def on_device(values):
    device = torch.get_default_device()
    return tree_map(lambda value: value.to(device) if isinstance(value, torch.Tensor) else value, values)


def same_detections(got, expected):
    torch.testing.assert_close(got[0], expected[0], rtol=1e-5, atol=1e-5)
    assert got[1].tolist() == expected[1].tolist()


@pytest.mark.parametrize('case', RECORDED['nms'], ids=lambda case: str(case['arguments']))
def test_nms_keeps_the_boxes_that_compiled_mmcv_keeps(case, recorded):
    case = on_device(case)
    same_detections(nms(recorded['boxes'], recorded['scores'], **case['arguments']), case['result'])


@pytest.mark.parametrize('case', RECORDED['soft_nms'], ids=lambda case: str(case['arguments']))
def test_soft_nms_gives_the_order_and_scores_of_compiled_mmcv(case, recorded):
    case = on_device(case)
    same_detections(soft_nms(recorded['boxes'], recorded['tied_scores'], **case['arguments']), case['result'])


@pytest.mark.parametrize('case', RECORDED['batched_nms'], ids=lambda case: str(case['arguments']))
def test_batched_nms_keeps_the_boxes_that_compiled_mmcv_keeps(case, recorded):
    case = on_device(case)
    got = batched_nms(recorded['boxes'], recorded['scores'], recorded['classes'], **case['arguments'])
    same_detections(got, case['result'])


@pytest.mark.parametrize('case', RECORDED['roi_align'], ids=lambda case: str(case['arguments']))
def test_roi_align_and_its_gradient_equal_compiled_mmcv(case, recorded):
    case = on_device(case)
    feature_map = recorded['feature_map'].clone().requires_grad_()
    pooled = RoIAlign(**case['arguments'])(feature_map, recorded['rois'])
    (gradient,) = torch.autograd.grad(pooled, feature_map, case['upstream'])
    torch.testing.assert_close(pooled, case['result'], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, case['gradient'], rtol=1e-5, atol=1e-5)


def test_equal_scores_are_taken_in_the_order_of_torch_sort():
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]]).repeat(100, 1)
    scores = torch.ones(100)
    assert nms(boxes, scores, 0.5)[1].tolist() == scores.sort(descending=True).indices[:1].tolist()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_reduced_precision_is_accepted_and_kept(dtype, recorded):
    boxes, scores = recorded['boxes'].to(dtype), recorded['scores'].to(dtype)
    dets, kept = nms(boxes, scores, 0.5)
    expected = nms(boxes.float(), scores.float(), 0.5)[1]
    assert dets.dtype == dtype and kept.tolist() == expected.tolist()
    assert soft_nms(boxes, scores)[0].dtype == dtype

    feature_map = recorded['feature_map'].to(dtype).requires_grad_()
    pooled = RoIAlign((4, 3), 0.25, 0)(feature_map, recorded['rois'].to(dtype))
    pooled.sum().backward()
    exact = RoIAlign((4, 3), 0.25, 0)(feature_map.detach().float(), recorded['rois'].to(dtype).float())
    assert pooled.dtype == feature_map.grad.dtype == dtype
    torch.testing.assert_close(pooled.float(), exact, rtol=1e-2, atol=1e-2)


def test_no_boxes_give_no_detections():
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5)[1].tolist() == []
    assert soft_nms(torch.zeros(0, 4), torch.zeros(0))[1].tolist() == []
    assert RoIAlign(7, 0.25)(torch.ones(1, 2, 8, 8), torch.zeros(0, 5)).shape == (0, 2, 7, 7)


def test_maximum_pooling_is_refused_with_a_sentence(recorded):
    with pytest.raises(NotImplementedError, match=r"pool_mode='max' needs compiled mmcv"):
        RoIAlign(7, 0.25, pool_mode='max')(recorded['feature_map'], recorded['rois'])


def test_an_absent_operator_is_named_when_called():
    from mmcv.ops import RoIPool

    with pytest.raises(NotImplementedError, match='roi_pool_forward.*compile mmcv'):
        RoIPool(3, 1.0)(torch.ones(1, 3, 8, 8), torch.zeros(1, 5))


def test_mmcv_can_describe_the_environment():
    from mmcv.utils import collect_env

    assert collect_env()['MMCV Compiler'] == 'n/a'
    assert importlib.util.find_spec('mmcv._ext') is not None


def test_compiled_operators_are_left_alone(monkeypatch):
    compiled = types.ModuleType('mmcv._ext')
    monkeypatch.setitem(sys.modules, 'mmcv._ext', compiled)
    ops.install()
    assert sys.modules['mmcv._ext'] is compiled


def test_nms_match_groups_each_kept_box_with_those_that_it_suppresses(recorded):
    dets = torch.cat([recorded['boxes'], recorded['scores'][:, None]], 1)[:120]
    groups = [group.tolist() for group in nms_match(dets, 0.5)]
    assert sorted(number for group in groups for number in group) == list(range(120))
    kept = torchvision.ops.nms(dets[:, :4], dets[:, 4], 0.5).tolist()
    assert [group[0] for group in groups] == kept
    overlap = torchvision.ops.box_iou(dets[:, :4], dets[:, :4])
    for group in groups:
        assert dets[group, 4].tolist() == sorted(dets[group, 4].tolist(), reverse=True)
        assert (overlap[group[0], group] >= 0.5).all()
    assert any(len(group) > 1 for group in groups)
