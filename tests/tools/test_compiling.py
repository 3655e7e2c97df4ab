"""--compile: every task trains with the losses of plain code, with one graph a part, and nothing is compiled twice."""

import re
from unittest.mock import patch

import pytest
import torch

from tests.tools import test_exact_resume as tasks
from tests.tools.test_half_precision import losses_of

GRAPHS = {
    tasks.detection: ('backbone, neck, rpn_head', 3),
    tasks.images: ('backbone, cls_head', 2),
    tasks.masked_images: ('the loss', 1),
    tasks.videos: ('backbone, cls_head', 2),
    tasks.actions: ('backbone', 1),
}


@pytest.fixture
def backend(request):
    """Without the compiler of C++ graphs are the same; a second compilation of one is an error."""
    torch.compiler.reset()
    plain = torch.compile

    def compile_so(function, dynamic, mode=None):
        """On a GPU as CUDA graphs, which only inductor makes."""
        return plain(
            function, dynamic=dynamic, backend=request.param, mode=mode if request.param == 'inductor' else None
        )

    with torch._dynamo.config.patch(error_on_recompile=True), patch.object(torch, 'compile', compile_so):
        yield
    torch.compiler.reset()


def of_all_tasks():
    for task in GRAPHS:
        slow = pytest.mark.slow if task is not tasks.masked_images else ()
        yield pytest.param(task, 'aot_eager', marks=slow)
        yield pytest.param(task, 'inductor', marks=pytest.mark.slow)


@pytest.mark.parametrize('task, backend', of_all_tasks(), indirect=['backend'])
def test_a_task_trains_with_the_losses_of_plain_code(run_command, tmp_path, task, backend):
    tasks.write_configs(tmp_path, task, 0, 9)
    # Compiled code draws other random numbers, and is another one without gradients and for another batch.
    certain = ['--cfg-options', 'model.backbone.drop_path_rate=0.0']
    certain += ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None', 'train_dataloader.drop_last=True']
    for name, arguments in (('plain', []), ('compiled', ['--compile'])):
        more = ['--work-dir', tmp_path / name, *arguments, *certain]
        code, printed = run_command('train', tmp_path / 'straight.py', *more)
        assert code == 0, printed
    parts, graphs = GRAPHS[task]
    assert re.search(rf'Compiled {parts} to {graphs} graphs?: the first iteration took', printed), printed
    plain, compiled = (losses_of(tmp_path / name) for name in ('plain', 'compiled'))
    assert len(plain) >= 2
    tolerance = 2e-3 if torch.cuda.is_available() else 1e-4
    torch.testing.assert_close(compiled, plain, rtol=tolerance, atol=tolerance)
