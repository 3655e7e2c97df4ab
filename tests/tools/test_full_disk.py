"""Disks that are full and places that may not be written to: a sentence, and what was there before stays whole."""

import contextlib
import errno
import os
import resource
import shutil

import pytest

from tests.helpers import TINY, assert_explained, options, weights

# The text of a config is smaller, and it is written before anything else.
SMALL = 60_000
NO_VALIDATION = ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']


@contextlib.contextmanager
def full_after(size):
    """No file of this process grows beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def checkpoint(trained):
    return trained / 'iter_2.pth'


def test_a_checkpoint_that_does_not_fit_leaves_the_earlier_one(shapes, checkpoint, tmp_path, run_command):
    checkpoint = shutil.copytree(checkpoint.parent, tmp_path / 'run') / checkpoint.name
    more = [*NO_VALIDATION, 'train_cfg.max_iters=4', 'default_hooks.checkpoint.max_keep_ckpts=1']
    arguments = ['--work-dir', checkpoint.parent, '--resume', *options(shapes, *more)]
    with full_after(checkpoint.stat().st_size // 2):
        result = run_command('train', TINY, '--verbose', *arguments)
    assert_explained(result, "iter_3.pth' can't be written (File too large); the earlier ones are intact")
    assert weights(checkpoint) and not list(checkpoint.parent.glob('*unfinished*'))
    # As the sentence says: make room, and go on.
    code, printed = run_command('train', TINY, '--verbose', *arguments)
    assert code == 0 and '[3/4]' in printed and '[2/4]' not in printed, printed


def test_a_log_that_does_not_fit_ends_the_run_with_one_sentence(shapes, tmp_path, run_command):
    more = [*NO_VALIDATION, 'train_cfg.max_iters=300', 'default_hooks.checkpoint.interval=1000']
    with full_after(35_000):
        code, printed = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *options(shapes, *more))
    assert code == 1 and 'Traceback' not in printed and 'Logging error' not in printed, printed[-3000:]
    assert "can't be written (File too large)" in printed.splitlines()[-1]


def test_predictions_that_do_not_fit_leave_the_metrics_and_no_half_a_file(
    shapes, checkpoint, tmp_path, run_command, monkeypatch
):
    def fail(content, file):
        file.write(b'half')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # COCO's own files of results are of the same size.
    monkeypatch.setattr('hiera_mm.evaluation.dump.pickle.dump', fail)
    out = tmp_path / 'predictions.pkl'
    result = run_command('test', TINY, checkpoint, '--work-dir', tmp_path / 'run', '--out', out, *options(shapes))
    assert_explained(result, f"can't be written to '{out}' (No space left on device)")
    assert 'coco/bbox_mAP:' in result[1] and not list(tmp_path.glob('predictions*'))


def test_pictures_that_do_not_fit_end_the_test_in_a_sentence(shapes, checkpoint, tmp_path, run_command):
    arguments = ['--work-dir', tmp_path / 'run', '--show-dir', tmp_path / 'shown']
    with full_after(SMALL):
        result = run_command('test', TINY, checkpoint, *arguments, *options(shapes))
    assert_explained(result, "can't be written (File too large)")


@pytest.mark.parametrize('kind', ['images', 'classes', 'motion', 'actions'])
def test_generated_data_that_do_not_fit_leave_nothing(tmp_path, run_command, kind):
    with full_after(2000):
        result = run_command('make-data', tmp_path / 'data', '--kind', kind, '--train', 3, '--val', 2)
    assert_explained(result, "can't be written")
    assert not list(tmp_path.iterdir())
