"""configs/metafile.yml and the table in docs/configs.md agree with the configs that they are made of."""

import runpy

from hiera_mm.shipped import described_configs, shipped_configs

import pytest
import yaml

from tests.helpers import ROOT

MAKER = runpy.run_path(str(ROOT / 'docs' / 'make_metafile.py'))
MODELS = {model['Name']: model for model in described_configs()}
SOME = ('mask_rcnn_hiera_b', 'k400_hiera_l', 'ava_hiera_h', 'mae_hiera_b', 'in1k_hiera_t', 'ssv2_hiera_l_32f')


def test_each_config_is_described():
    assert list(MODELS) == list(shipped_configs())
    assert all((ROOT / model['Config']).is_file() for model in MODELS.values())
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert all((ROOT / path).is_file() for path in index['Import'])


@pytest.mark.parametrize('name', SOME)
def test_the_description_is_what_the_config_says(name):
    assert MAKER['model_of'](name, shipped_configs()[name]) == MODELS[name]


@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(set(MODELS) - set(SOME)))
def test_the_description_of_every_other_config_is_what_it_says(name):
    assert MAKER['model_of'](name, shipped_configs()[name]) == MODELS[name]


def test_figures_are_marked_as_the_papers_and_read_right():
    assert MODELS['mask_rcnn_hiera_b']['Results'] == [
        dict(Source='reported in the paper, table 10', Metrics={'box AP': 52.2, 'mask AP': 46.3})
    ]
    assert MODELS['mae_hiera_b']['Results'][0]['Metrics'] == {'top-1 after fine-tuning': 84.5}
    assert 'Results' not in MODELS['cascade_mask_rcnn_hiera_b']


def test_the_table_in_the_docs_is_made_of_it():
    page = (ROOT / 'docs' / 'configs.md').read_text()
    assert MAKER['with_table'](page, list(MODELS.values())) == page
