"""What a person sees of a run: a bar on a terminal with whole lines of the log above it, else the lines alone."""

import os
import pty
import re

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.helpers import TINY, options, start_program


@pytest.fixture
def command(shapes, tmp_path):
    more = options(shapes, 'train_cfg.max_iters=4', 'default_hooks.logger.interval=1', 'train_cfg.val_interval=4')
    command = ['train', TINY, '--work-dir', tmp_path / 'run', *more]
    return [*command, 'train_cfg.dynamic_intervals=None']


def on_a_terminal(command):
    """All that a program writes there, and its exit code."""
    ours, theirs = pty.openpty()
    process = start_program(*command, stdout=theirs, COLUMNS='150', TERM='xterm')
    os.close(theirs)
    written = b''
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        written += part
    return written.decode(), process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    'options, lines',
    [
        ([], [r'data +8 to train', 'iteration 4, best']),
        (['--verbose'], [rf'Iter\(train\) \[{iteration}/4\]' for iteration in range(1, 5)]),
    ],
)
def test_on_a_terminal_a_bar_tells_how_far_it_is(command, options, lines):
    written, code = on_a_terminal([*command, *options])
    assert code == 0, written
    plain = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', written).replace('\r', '\n')
    # Rich breaks lines at the terminal's width.
    joined = re.sub(r'\s*\n\s*', ' ', plain)
    assert re.search(r'Training \S+ 4/4 .*left', joined) and 'Validation' in joined, plain
    for line in lines:
        assert re.search(line, joined), plain
    # The cursor is shown again.
    assert written.rindex('\x1b[?25h') > written.rindex('\x1b[?25l')


@pytest.mark.slow
def test_a_run_that_fails_gives_the_terminal_back(command):
    written, code = on_a_terminal([*command, 'optim_wrapper.optimizer.lr=1e30'])
    framed = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', written)
    assert code == 1 and '─ Error ─' in framed and 'The loss became invalid' in framed, framed
    assert written.rindex('\x1b[?25h') > written.rindex('\x1b[?25l')


@pytest.mark.slow
def test_elsewhere_the_lines_of_the_log_stand_alone(command):
    printed, _ = start_program(*command).communicate()
    assert 'Training' not in printed and '\x1b[?25l' not in printed
    lines = [line for line in printed.splitlines() if 'Iter(train)' in line]
    assert len(lines) == 4 and all('eta: ' in line and 'loss: ' in line for line in lines)


def test_tensorboard_gets_losses_and_metrics(run_command, command, tmp_path):
    backends = "[dict(type='LocalVisBackend'),dict(type='TensorboardVisBackend')]"
    (tmp_path / 'my_config.py').write_text(f"_base_ = '{TINY}'\nvisualizer = dict(vis_backends={backends})\n")
    code, printed = run_command('train', tmp_path / 'my_config.py', *command[2:])
    assert code == 0, printed
    (events,) = (tmp_path / 'run').rglob('events.out.tfevents.*')
    found = EventAccumulator(str(events)).Reload()
    assert [scalar.step for scalar in found.Scalars('loss')] == [1, 2, 3, 4]
    assert [scalar.step for scalar in found.Scalars('coco/bbox_mAP')] == [4]
