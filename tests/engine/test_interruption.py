"""A run that is told to end finishes its iteration, saves and ends; in processes: tests/tools/test_lost_runs.py."""

import multiprocessing
import os
import signal
import time

from hiera_mm.engine import interruption
from hiera_mm.engine.interruption import StopOnSignalHook, signals_end_the_run

import pytest
import torch
from mmengine.hooks import Hook

from tests.engine.small_runner import small_runner
from tests.helpers import forget_earlier_runs


class SendSignal(Hook):
    """To this process, in the third iteration."""

    def __init__(self, number, times=1):
        self.number, self.times = number, times

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize('times', [1, 2])
def test_a_signal_ends_the_run_after_its_iteration_and_saves_it(tmp_path, capfd, number, times):
    """Told twice at once, as by Slurm and torchrun, it still saves."""
    forget_earlier_runs()
    before = signal.getsignal(number)
    runner = small_runner(tmp_path, 9, hooks=[SendSignal(number, times), StopOnSignalHook()], interval=100)
    with signals_end_the_run(), pytest.raises(SystemExit) as ending:
        runner.train()
    assert ending.value.code == 128 + number and signal.getsignal(number) == before
    saved = torch.load(tmp_path / 'interrupted.pth')
    assert saved['meta']['iter'] == 3 and saved['meta']['position'] == 3
    printed = ''.join(capfd.readouterr())
    assert printed.count('the run ends after this iteration') == 1
    assert f'{signal.Signals(number).name} ended the run at iteration 3' in printed and '--resume' in printed


def test_an_interrupted_run_goes_on_to_the_bit_and_its_checkpoint_is_replaced(tmp_path):
    forget_earlier_runs()
    small_runner(tmp_path / 'straight', 6, interval=6).train()
    forget_earlier_runs()
    hooks = [SendSignal(signal.SIGTERM), StopOnSignalHook()]
    with signals_end_the_run(), pytest.raises(SystemExit):
        small_runner(tmp_path / 'run', 6, hooks=hooks, interval=6).train()
    forget_earlier_runs()
    small_runner(tmp_path / 'run', 6, interval=6, resume=tmp_path / 'run' / 'interrupted.pth').train()
    straight, resumed = (torch.load(tmp_path / name / 'iter_6.pth')['state_dict'] for name in ('straight', 'run'))
    assert torch.equal(straight['weight'], resumed['weight'])
    assert not (tmp_path / 'run' / 'interrupted.pth').exists()


def test_a_second_signal_later_ends_the_process_at_once(monkeypatch):
    monkeypatch.setattr(interruption, 'REPEAT_SECONDS', 0.05)

    def told_twice():
        with interruption.signals_end_the_run():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    process = multiprocessing.get_context('fork').Process(target=told_twice)
    process.start()
    process.join(30)
    assert process.exitcode == 128 + signal.SIGTERM
