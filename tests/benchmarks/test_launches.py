"""Launches and waits are counted right, and do not rise."""

from hiera_mm.settings import read_config

import pytest
import torch

from benchmarks.launches import Count, backbone_count, step_count
from tests.helpers import FOLDER, assert_explained


@pytest.mark.parametrize(
    'work, launches, waits',
    [
        (lambda x: x + 1, 1, 0),
        (lambda x: x.reshape(6)[1:].unsqueeze(0), 0, 0),
        (lambda x: x.t().reshape(6), 1, 0),
        (lambda x: torch.empty(3).fill_(1), 1, 0),
        (lambda x: x.nonzero(), 1, 1),
        (lambda x: float(x.sum()), 2, 1),
        (lambda x: x[x > 0], 2, 1),
        (lambda x: x[torch.tensor([0, 1])], 1, 0),
    ],
)
def test_views_are_no_launches_and_what_the_processor_must_know_is_a_wait(work, launches, waits):
    tensor, count = torch.ones(2, 3), Count()
    with count:
        work(tensor)
    assert (count.launches.total(), count.waits.total()) == (launches, waits)


@pytest.mark.parametrize('dtype, most', [(torch.float32, 235), (torch.bfloat16, 234)])
def test_windows_at_1024_need_hardly_more_launches_than_an_image_of_224(dtype, most):
    backbone = read_config(str(FOLDER / 'mask_rcnn_hiera_b.py')).model.backbone
    settings = {key: value for key, value in backbone.items() if key not in ('type', 'init_cfg')}
    assert backbone_count(settings, (1024, 1024), dtype).launches.total() <= most


@pytest.mark.parametrize('dtype, most', [(torch.float32, 227), (torch.bfloat16, 224)])
def test_a_forward_pass_of_hiera_b_needs_no_more_launches_than_it_did(dtype, most):
    count = backbone_count(dict(arch='b'), (224, 224), dtype)
    assert count.launches.total() <= most and not count.waits.total()
    names = count.operations['the rest']
    products = [names[name] for name in ('addmm', 'addmm_', '_addmm_activation')]
    assert products == [69, 3, 24] and names['attention'] == 24


def test_a_training_step_of_a_detector_needs_no_more_than_it_did():
    count = step_count(read_config(str(FOLDER / 'mask_rcnn_hiera_b.py')))
    assert count.launches.total() <= 1788 and count.waits.total() <= 8
    assert set(count.launches) == {
        *('backbone', 'neck', 'RPN head', 'RPN loss', 'proposals', 'assignment and sampling of regions'),
        *('box head', 'mask head', 'backward', 'the rest'),
    }


def test_the_command_prints_a_table(run_benchmark):
    code, printed = run_benchmark('launches', FOLDER / 'in1k_hiera_b.py')
    assert code == 0 and 'backbone, forward, 224 x 224, under autocast' in printed, printed
    assert_explained(run_benchmark('launches', 'no_such_config.py'), 'no_such_config')
