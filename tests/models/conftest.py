"""What the tests of models share."""

from contextlib import nullcontext

from hiera_mm.models import cpu

import pytest


@pytest.fixture(params=['faster on a CPU', 'plain'])
def kernels(request):
    """The test runs once with everything of ``models/cpu.py`` and once with the model as it is written."""
    with cpu.plain() if request.param == 'plain' else nullcontext():
        yield
