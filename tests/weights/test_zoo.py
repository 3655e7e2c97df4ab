"""The list of published checkpoints."""

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.weights.zoo import ZOO

import hiera
from birder.common.lib import get_pretrained_model_url
from birder.model_registry import registry
from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES


def test_it_holds_every_address_that_the_official_package_knows():
    """The package's own tables, which also name the MAE videos' addresses that its hub file lacks."""
    addresses = {published.address for published in ZOO.values()}
    known = set()
    for name in dir(hiera):
        checkpoints = getattr(getattr(hiera, name), 'checkpoints', None)
        if isinstance(checkpoints, dict):
            known |= {address for address in checkpoints.values() if address.startswith('http')}
    assert len(known) == 20 and known <= addresses
    assert len(addresses) == len(ZOO) == 40


def test_it_holds_every_sam2_checkpoint():
    files = {file for _, file in HF_MODEL_ID_TO_FILENAMES.values()}
    assert len(files) == 8
    assert files == {p.address.rsplit('/', 1)[-1] for p in ZOO.values() if 'segment_anything_2' in p.address}


def test_birders_addresses_are_those_of_its_package():
    files = {name: 'pt' for name in registry.list_pretrained_models('*hiera*')}
    files['hiera_abswin_base_mim'] = 'safetensors'
    known = {get_pretrained_model_url(name, ending)[1] for name, ending in files.items()}
    assert known == {p.address for p in ZOO.values() if 'birder' in p.address}


def test_names_architectures_and_licences_agree_with_the_addresses():
    for name, published in ZOO.items():
        assert name == published.name and published.arch in ARCHITECTURES
        free = any(publisher in published.address for publisher in ('segment_anything_2', 'timm', 'birder'))
        assert published.licence == ('Apache-2.0' if free else 'CC BY-NC 4.0')
        assert ('_16x224' in name) == ('Kinetics' in published.contents) == ('16x224' in published.address)
    assert ZOO['hiera_b_16x224.mae_k400_ft_k400'].address.endswith('/hiera/hiera_base_16x224.pth')
    assert ZOO['hiera_bp.mae_in1k'].address == 'https://dl.fbaipublicfiles.com/hiera/mae_hiera_base_plus_224.pth'
    assert ZOO['hiera_b.mae_in1k_ft_in1k'].figure == '84.5 top-1 on ImageNet-1K'
