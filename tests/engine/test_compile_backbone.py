"""The hook behind --compile; tests/tools/test_train_and_test.py runs it."""

from types import SimpleNamespace

from hiera_mm.engine import CompileBackboneHook
from hiera_mm.errors import UserError
from hiera_mm.inference.models import in_scope

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from tests.helpers import ROOT


def test_a_masked_autoencoder_is_refused():
    config = Config.fromfile(ROOT / 'tests' / 'data' / 'tiny_mae.py')
    with in_scope(config):
        model = MODELS.build(config.model)
    with pytest.raises(UserError, match='a masked autoencoder'):
        CompileBackboneHook().before_run(SimpleNamespace(model=model))
