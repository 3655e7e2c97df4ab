"""A panoptic set is told from masks of classes, and init says that it writes no config for it yet."""

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import find_sets, layout_of

import pytest


def test_it_is_refused_in_a_sentence(panoptic, tmp_path):
    assert layout_of(panoptic) == 'coco'
    with pytest.raises(UserError, match='panoptic annotations alone .*panoptic_train.json.*docs/panoptic.md'):
        find_sets(panoptic, 'coco', tmp_path / 'out')
