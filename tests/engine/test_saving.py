"""Checkpoints are whole before older ones go, whatever happens in between. As programs: tools/test_lost_runs.py."""

import time

from hiera_mm.engine.saving import CheckpointHook, Writing
from hiera_mm.errors import UserError

import pytest
import torch
from mmengine.hooks import Hook

from tests.engine.small_runner import small_runner
from tests.helpers import forget_earlier_runs


@pytest.fixture(autouse=True)
def no_earlier_run():
    forget_earlier_runs()


def checkpoints(folder):
    return sorted(path.name for path in folder.iterdir() if 'pth' in path.name)


@pytest.mark.parametrize('kept', [1, 2, 3])
def test_the_newest_checkpoints_are_kept(tmp_path, kept):
    small_runner(tmp_path, 4, max_keep_ckpts=kept).train()
    assert checkpoints(tmp_path) == [f'iter_{number}.pth' for number in range(5 - kept, 5)]
    assert (tmp_path / 'last_checkpoint').read_text() == 'iter_4.pth'


@pytest.mark.parametrize('kept', [1, 2])
def test_old_checkpoints_go_when_the_new_one_is_whole(tmp_path, monkeypatch, kept):
    """A disk that is full at the third checkpoint leaves the second."""
    saved, save = [], torch.save

    def fail_at_the_third(content, file, *others):
        saved.append(1)
        if len(saved) == 3:
            file.write(b'half')
            raise OSError(28, 'No space left on device')
        return save(content, file, *others)

    monkeypatch.setattr(torch, 'save', fail_at_the_third)
    with pytest.raises(UserError, match=r"iter_3.pth' can't be written \(No space left on device\); the earlier ones"):
        small_runner(tmp_path, 4, max_keep_ckpts=kept).train()
    assert checkpoints(tmp_path) == ['iter_1.pth', 'iter_2.pth'][-kept:]
    assert (tmp_path / 'last_checkpoint').read_text() == 'iter_2.pth'
    assert torch.load(tmp_path / 'iter_2.pth')['state_dict'].keys() == {'weight'}


@pytest.mark.parametrize('ends_with', [ValueError, KeyboardInterrupt, SystemExit])
def test_a_run_that_fails_finishes_its_checkpoint_and_reports_its_own_error(tmp_path, ends_with):
    def write():
        time.sleep(0.1)
        (tmp_path / 'iter_1.pth').touch()
        raise OSError('a second error')

    with pytest.raises(ends_with, match='the first'), Writing.finished_on_failure():
        Writing.then(write)
        raise ends_with('the first error')
    assert (tmp_path / 'iter_1.pth').is_file()
    # Nothing of it is left for the next run in this process.
    Writing.finish()


def test_an_old_checkpoint_that_a_kill_left_beside_the_new_one_goes(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointHook, '_remove', lambda hook, name: None)
        small_runner(tmp_path, 2, max_keep_ckpts=1).train()
    (tmp_path / 'iter_0.pth').write_bytes(b'not of this run')
    assert checkpoints(tmp_path) == ['iter_0.pth', 'iter_1.pth', 'iter_2.pth'], 'as after a kill'
    forget_earlier_runs()
    small_runner(tmp_path, 3, max_keep_ckpts=1, resume=tmp_path / 'iter_2.pth').train()
    assert checkpoints(tmp_path) == ['iter_0.pth', 'iter_3.pth']


def test_leftovers_of_a_kill_go_at_the_next_start(tmp_path):
    (tmp_path / 'iter_3.pth.123.unfinished').write_bytes(b'half')
    small_runner(tmp_path, 1).train()
    assert checkpoints(tmp_path) == ['iter_1.pth']


def test_the_best_checkpoint_is_replaced_by_a_better_one_alone(tmp_path):
    small_runner(tmp_path, 4, scores=[0.1, 0.3, 0.2, 0.3], save_best='score', rule='greater', max_keep_ckpts=1).train()
    assert checkpoints(tmp_path) == ['best_score_iter_2.pth', 'iter_4.pth']


def test_a_better_checkpoint_is_written_before_the_best_one_goes(tmp_path, monkeypatch):
    save = torch.save

    def fail_at_the_second_best(content, file, *others):
        if 'best_score_iter_2' in file.name:
            raise OSError(28, 'No space left on device')
        return save(content, file, *others)

    monkeypatch.setattr(torch, 'save', fail_at_the_second_best)
    with pytest.raises(UserError, match='best_score_iter_2.pth'):
        small_runner(tmp_path, 3, scores=[0.1, 0.2, 0.3], save_best='score', rule='greater').train()
    assert 'best_score_iter_1.pth' in checkpoints(tmp_path)


def test_a_better_checkpoint_of_the_same_iteration_replaces_the_best_one(tmp_path):
    """As when a run resumes at an iteration that it had validated already."""
    runner = small_runner(tmp_path, 1, scores=[0.1], save_best='score', rule='greater')
    runner.train()
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
    best = tmp_path / 'best_score_iter_1.pth'
    before = best.stat().st_mtime_ns
    hook._save_best_checkpoint(runner, dict(score=0.5))
    Writing.finish()
    assert best.stat().st_mtime_ns > before


def test_a_checkpoint_made_in_a_validation_has_the_random_states_of_before_it(tmp_path):
    """The regular one is written again where the best score has changed, in the middle of the validation."""

    class DrawInValidation(Hook):
        before = None

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.before = torch.get_rng_state()

        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            torch.rand(7)

    draw = DrawInValidation()
    small_runner(tmp_path, 1, hooks=[draw], scores=[0.1], save_best='score', rule='greater').train()
    assert not torch.equal(torch.get_rng_state(), draw.before)
    for name in ('iter_1.pth', 'best_score_iter_1.pth'):
        saved = torch.load(tmp_path / name)['random_states']
        assert torch.equal(saved[0]['torch'], draw.before), name


class SetWeights(Hook):
    """Sets the weights at the second iteration."""

    priority = 'VERY_HIGH'

    def __init__(self, weights):
        self.weights = torch.tensor(weights)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 1:
            runner.model.weight.data[:] = self.weights


@pytest.mark.parametrize('number', [float('inf'), float('-inf'), float('nan')])
def test_weights_that_are_no_numbers_are_not_saved(tmp_path, number):
    with pytest.raises(UserError, match='At iteration 2 the weights are no longer numbers'):
        small_runner(tmp_path, 4, hooks=[SetWeights([0.5, number])]).train()
    # As the command does; the first may still be in the making.
    Writing.finish()
    assert checkpoints(tmp_path) == ['iter_1.pth']


def test_weights_so_large_that_their_sum_is_no_number_are_saved(tmp_path):
    small_runner(tmp_path, 2, hooks=[SetWeights([3e38, 3e38])]).train()
    assert torch.load(tmp_path / 'iter_2.pth')['state_dict']['weight'].tolist() == pytest.approx([3e38, 3e38])


def test_a_resumed_run_has_the_weights_of_one_that_was_not_interrupted(tmp_path):
    small_runner(tmp_path / 'straight', 6).train()
    forget_earlier_runs()
    small_runner(tmp_path / 'resumed', 3).train()
    forget_earlier_runs()
    small_runner(tmp_path / 'resumed', 6, resume=tmp_path / 'resumed' / 'iter_3.pth').train()
    straight, resumed = (torch.load(tmp_path / name / 'iter_6.pth') for name in ('straight', 'resumed'))
    assert torch.equal(straight['state_dict']['weight'], resumed['state_dict']['weight'])
    assert resumed['meta']['iter'] == 6


class LeavesItsLoss(Hook):
    """Leaves what can't be copied in the message hub, as some models and loops do."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        runner.message_hub.update_info('loss', runner.model.weight.sum() * 2)


def test_what_cannot_be_copied_is_saved_before_training_goes_on(tmp_path):
    small_runner(tmp_path, 2, hooks=[LeavesItsLoss()]).train()
    for number in (1, 2):
        saved = torch.load(tmp_path / f'iter_{number}.pth', weights_only=False)
        assert saved['message_hub']['runtime_info']['loss'] == 2 * saved['state_dict']['weight'].sum()


def plain_runner(folder, iterations, **more):
    """A run that has nothing of the suite but the registered name of the hook that saves."""
    runner = small_runner(folder, iterations, **more)
    runner._hooks = [hook for hook in runner.hooks if type(hook).__name__ != 'ReleaseMemoryHook']
    return runner


def test_runs_without_the_suite_save_as_mmengine_does(tmp_path):
    plain_runner(tmp_path, 2, max_keep_ckpts=1).train()
    saved = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    assert checkpoints(tmp_path) == ['iter_2.pth'] and (tmp_path / 'last_checkpoint').read_text().endswith('iter_2.pth')
    assert {type(value).__name__ for value in saved['message_hub']['log_scalars'].values()} == {'HistoryBuffer'}
    assert not saved.keys() & {'random_states'} and 'batch_size' not in saved['meta']


def test_runs_without_the_suite_validate_without_training(tmp_path):
    assert plain_runner(tmp_path, 1, scores=[0.5]).val() == {'score': 0.5}
