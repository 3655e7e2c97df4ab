"""Optimizers beside the recipes' own."""

import pytest
import torch

from tests.helpers import assert_same_weights
from tests.tools import test_exact_resume as tasks

ADAFACTOR = "optim_wrapper = dict(optimizer=dict(_delete_=True, type='TorchAdafactor', lr=1e-2, weight_decay=0.05))\n"


@pytest.mark.parametrize('amp', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_adafactor_trains_and_resumes_with_a_small_state(run_command, tmp_path, amp):
    tasks.write_configs(tmp_path, tasks.images, 0, 0)
    config = tmp_path / 'straight.py'
    config.write_text(config.read_text() + ADAFACTOR)
    more = ['--amp'] if amp else []
    code, printed = run_command('train', config, '--work-dir', tmp_path / 'one', *more)
    assert code == 0, printed
    first = tmp_path / 'one' / 'epoch_1.pth'
    code, printed = run_command('train', config, '--work-dir', tmp_path / 'on', '--resume', first, *more)
    assert code == 0, printed
    assert_same_weights(tmp_path / 'one' / 'epoch_2.pth', tmp_path / 'on' / 'epoch_2.pth')
    saved = torch.load(first)
    states = [
        value for state in saved['optimizer']['state'].values() for value in state.values() if torch.is_tensor(value)
    ]
    count = sum(value.numel() for value in states)
    assert 0 < count < 0.5 * sum(value.numel() for value in saved['state_dict'].values())
