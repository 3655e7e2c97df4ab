"""mmdet's detectors with a small Hiera: docs/detectors.md says which work, and is made by what is tested here."""

import runpy

import pytest
import torch

from tests.families import FAMILIES, attempt
from tests.helpers import ROOT

TABLE = runpy.run_path(str(ROOT / 'docs' / 'make_family_table.py'))['read_rows']()
QUICK = (
    'atss/atss_r50_fpn_1x_coco',
    'centernet/centernet_r18_8xb16-crop512-140e_coco',
    'centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco',
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco',
    'dyhead/atss_r50_fpn_dyhead_1x_coco',
    'retinanet/retinanet_r50_fpn_1x_coco',
    'tood/tood_r50_fpn_1x_coco',
)


OTHERWISE_ON_A_GPU = {
    'reppoints/reppoints-moment_r50_fpn_1x_coco': (False, True, False),
    'queryinst/queryinst_r50_fpn_1x_coco': (True, True, True),
}


def assert_as_documented(name):
    outcome = attempt(name)
    assert [not fault for fault in outcome.values()] == documented(name), outcome


def documented(name):
    return [cell == 'yes' for cell in TABLE[name]]


@pytest.mark.parametrize('name', QUICK)
def test_a_family_does_what_the_table_says(name):
    assert_as_documented(name)


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in FAMILIES if name not in QUICK])
def test_every_other_family_does_what_the_table_says(name):
    assert_as_documented(name)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
@pytest.mark.parametrize('name', FAMILIES)
def test_a_family_does_on_a_gpu_what_the_table_says(name):
    outcome = attempt(name, 'cuda')
    assert [not fault for fault in outcome.values()] == list(OTHERWISE_ON_A_GPU.get(name, documented(name))), outcome


def test_the_table_has_all_families():
    assert list(TABLE) == list(FAMILIES)
