"""Where the operators' tests run."""

import pytest
import torch


@pytest.fixture(autouse=True, params=['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu'])
def device(request):
    """What a test makes lies there: on the processor, and in a second run on a GPU where there is one."""
    with torch.device(request.param):
        yield request.param
