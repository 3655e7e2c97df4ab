"""Names that 0.1 had in hiera_mm.inference."""

import hiera_mm
from hiera_mm import inference
from hiera_mm.tasks.detection import Tiles

import pytest


def test_names_of_0_1_still_work():
    assert inference.load is hiera_mm.load
    assert inference.backbone is hiera_mm.backbone
    assert inference.Tiles is Tiles
    for name in inference.MOVED_NAMES:
        assert callable(getattr(inference, name))


def test_other_names_are_told_to_be_absent():
    with pytest.raises(AttributeError, match="no attribute 'Tile'"):
        _ = inference.Tile
