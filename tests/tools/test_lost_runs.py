"""hiera-mm train interrupted, killed, or before damaged checkpoints: no run is lost, and it goes on exactly."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from tests.helpers import (
    NO_VALIDATION,
    ROOT,
    TINY,
    assert_explained,
    assert_same_weights,
    options,
    read_until,
    start_program,
    weights,
)

FAST = ['train_cfg.max_iters=4', 'default_hooks.checkpoint.interval=2', 'model.backbone.drop_path_rate=0.3']
VIDEO = str(ROOT / 'tests' / 'data' / 'tiny_k400.py')


@pytest.mark.parametrize('workers', [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_detector_goes_on_to_the_bit(run_command, shapes, tmp_path, workers):
    """Without a seed in the config, and with a validation in between that the resumed run does not see."""
    more = [*FAST, f'train_dataloader.num_workers={workers}', 'train_cfg.val_interval=2']
    code, printed = run_command(
        'train', TINY, '--verbose', '--work-dir', tmp_path / 'straight', *options(shapes, *more)
    )
    assert code == 0, printed
    first = tmp_path / 'straight' / 'iter_2.pth'
    arguments = ['--work-dir', tmp_path / 'resumed', '--resume', first]
    code, printed = run_command('train', TINY, '--verbose', *arguments, *options(shapes, *more))
    assert code == 0 and 'Iter(train) [4/4]' in printed and 'Iter(train) [2/4]' not in printed, printed
    assert_same_weights(tmp_path / 'straight' / 'iter_4.pth', tmp_path / 'resumed' / 'iter_4.pth')
    assert list((tmp_path / 'straight').glob('*.pth')), 'what lies in the other folder stays'


@pytest.mark.parametrize('number', [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_run_that_is_told_to_end_saves_and_goes_on_to_the_bit(run_command, shapes, tmp_path, number):
    more = ['train_cfg.max_iters=300', 'default_hooks.checkpoint.interval=1000', *FAST[2:], *NO_VALIDATION]
    # A schedule would be as long as the run.
    more += ['train_dataloader.num_workers=1', 'randomness.seed=3', 'param_scheduler=[]']
    process = start_program('train', TINY, '--verbose', '--work-dir', tmp_path / 'run', *options(shapes, *more))
    read_until(process, '2/300]')
    os.kill(process.pid, number)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number and 'Traceback' not in rest
    assert f'{signal.Signals(number).name} ended the run at iteration' in rest and '--resume' in rest
    saved = torch.load(tmp_path / 'run' / 'interrupted.pth', weights_only=False)['meta']['iter']
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    shorter = [f'train_cfg.max_iters={saved + 2}' if 'max_iters' in option else option for option in more]
    for name, resume in (('run', ['--resume']), ('straight', [])):
        arguments = ['--work-dir', tmp_path / name, *resume]
        code, printed = run_command('train', TINY, '--verbose', *arguments, *options(shapes, *shorter))
        assert code == 0, printed
    assert_same_weights(*(tmp_path / name / f'iter_{saved + 2}.pth' for name in ('run', 'straight')))
    assert not (tmp_path / 'run' / 'interrupted.pth').exists(), 'the next regular checkpoint takes its place'


@pytest.mark.slow
def test_a_video_run_is_interrupted_in_the_middle_of_an_epoch_and_goes_on_to_the_bit(run_command, tmp_path):
    run_command('make-data', tmp_path / 'motion', '--kind', 'motion', '--train', 12, '--val', 6)
    folder = tmp_path / 'motion'
    more = ['--cfg-options', 'train_cfg.max_epochs=2', 'train_dataloader.batch_size=2', 'randomness.seed=3']
    more += [
        'train_cfg.val_interval=9',
        'default_hooks.logger.interval=1',
        f'train_dataloader.dataset.ann_file={folder}/train.txt',
    ]
    more += [f'{part}_dataloader.dataset.ann_file={folder}/val.txt' for part in ('val', 'test')]
    more += [f'{part}_dataloader.dataset.data_prefix.video={folder}' for part in ('train', 'val', 'test')]
    process = start_program('train', VIDEO, '--verbose', '--work-dir', tmp_path / 'run', *more)
    read_until(process, '[1][2/')
    os.kill(process.pid, signal.SIGUSR1)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGUSR1, rest
    assert 0 < torch.load(tmp_path / 'run' / 'interrupted.pth', weights_only=False)['meta']['position'] < 6
    for name, resume in (('run', ['--resume']), ('straight', [])):
        code, printed = run_command('train', VIDEO, '--verbose', '--work-dir', tmp_path / name, *resume, *more)
        assert code == 0, printed
    assert_same_weights(*(tmp_path / name / 'epoch_2.pth' for name in ('run', 'straight')))


@pytest.fixture
def resumed(trained, shapes, tmp_path, run_command):
    """``resumed(spoil, *options)``: a copy of the folder is spoiled and resumed; gives exit code and output."""

    def run(spoil, *more):
        folder = tmp_path / 'copy'
        shutil.copytree(trained, folder, ignore=shutil.ignore_patterns('best_*'))
        spoil(folder)
        settings = ['train_cfg.max_iters=3', 'default_hooks.checkpoint.interval=1', *NO_VALIDATION, *more]
        return run_command('train', TINY, '--verbose', '--work-dir', folder, '--resume', *options(shapes, *settings))

    return run


def test_a_checkpoint_opens_in_plain_torch(shapes, tmp_path, run_command):
    code, printed = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *options(shapes, *FAST[:2]))
    assert code == 0 and 'coco/bbox_mAP' in printed, printed
    read = f"import torch; print(torch.load('{tmp_path}/iter_4.pth')['meta']['dataset_meta']['classes'])"
    done = subprocess.run([sys.executable, '-c', read], capture_output=True, text=True)
    assert done.stdout.strip() == "('circle', 'bar', 'triangle')", done.stderr


def cut(path):
    path.write_bytes(path.read_bytes()[:9999])


@pytest.mark.parametrize(
    'spoil, first, said',
    [
        (lambda folder: None, 3, ''),
        (lambda folder: cut(folder / 'iter_2.pth'), 2, "Skipped: The checkpoint '.*iter_2.pth' .* is damaged"),
        (lambda folder: (folder / 'last_checkpoint').write_text(''), 3, ''),
        (lambda folder: (folder / 'last_checkpoint').unlink(), 3, ''),
        (lambda folder: (folder / 'last_checkpoint').write_text(str(folder / 'gone' / 'iter_9.pth')), 3, ''),
        (lambda folder: (folder / 'iter_3.pth.123.unfinished').write_bytes(b'half'), 3, ''),
    ],
)
def test_resuming_takes_the_newest_whole_checkpoint_of_the_folder(resumed, tmp_path, spoil, first, said):
    code, printed = resumed(spoil)
    assert code == 0, printed
    assert f'[{first}/3]' in printed and f'[{first - 1}/3]' not in printed and re.search(said, printed)
    assert not list((tmp_path / 'copy').glob('*.unfinished'))
    assert (tmp_path / 'copy' / 'last_checkpoint').read_text() == 'iter_3.pth'


def test_a_work_folder_that_was_copied_and_renamed_goes_on_from_its_own_checkpoints(resumed, trained, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob('*')}

    def name_the_old_folder(folder):
        # As other trainers write it.
        (folder / 'last_checkpoint').write_text(str(trained / 'iter_2.pth'))

    code, printed = resumed(name_the_old_folder, 'default_hooks.checkpoint.max_keep_ckpts=1')
    assert code == 0 and '[3/3]' in printed and '[2/3]' not in printed, printed
    assert f'from {tmp_path}/copy/iter_2.pth' in printed
    assert sorted(path.name for path in (tmp_path / 'copy').glob('*.pth')) == ['iter_3.pth']
    assert before == {path: path.stat().st_mtime_ns for path in trained.rglob('*')}


def test_a_checkpoint_of_no_numbers_is_refused(resumed):
    def poison(folder):
        for path in folder.glob('*.pth'):
            content = torch.load(path, weights_only=False)
            content['state_dict'] = {name: tensor * float('nan') for name, tensor in content['state_dict'].items()}
            torch.save(content, path)

    assert_explained(resumed(poison), "iter_2.pth' hold NaN")


def test_what_is_published_at_the_end_can_be_tested(run_command, shapes, tmp_path):
    more = [*NO_VALIDATION, 'train_cfg.max_iters=1', 'default_hooks.checkpoint.published_keys=[meta,state_dict]']
    code, printed = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *options(shapes, *more))
    (published,) = tmp_path.glob('iter_1-*.pth')
    assert code == 0 and torch.load(published, weights_only=False).keys() == {'meta', 'state_dict'}, printed
    code, printed = run_command('test', TINY, published, '--work-dir', tmp_path, *options(shapes))
    assert code == 0 and 'coco/bbox_mAP' in printed, printed


def test_resuming_starts_anew_only_where_there_is_nothing(resumed, tmp_path):
    code, printed = resumed(lambda folder: [path.unlink() for path in folder.glob('*.pth')])
    assert code == 0 and 'training starts from the beginning' in printed and '[1/3]' in printed


def test_no_whole_checkpoint_is_an_error_that_names_them(resumed):
    result = resumed(lambda folder: [cut(path) for path in folder.glob('*.pth')])
    assert_explained(result, 'are damaged (iter_2.pth, iter_1.pth); remove them to start from the beginning, or name')


def test_a_file_of_weights_is_no_run_to_resume(trained, shapes, tmp_path, run_command):
    torch.save(dict(state_dict=weights(trained / 'iter_1.pth')), tmp_path / 'weights.pth')
    arguments = ['--work-dir', tmp_path / 'run', '--resume', tmp_path / 'weights.pth']
    result = run_command('train', TINY, '--verbose', *arguments, *options(shapes))
    assert_explained(result, 'has weights, but not the state of a run to resume (meta, optimizer, message_hub is mi')


def test_another_learning_rate_takes_effect_and_is_told(resumed):
    code, printed = resumed(lambda folder: None, 'optim_wrapper.optimizer.lr=1e-6', 'param_scheduler=[]')
    assert code == 0 and 'takes effect: ' in printed and 'becomes 1e-06' in printed
    assert ' lr: 1.0000e-06' in printed


def test_another_batch_size_takes_effect_and_is_told(resumed):
    code, printed = resumed(lambda folder: None, 'train_dataloader.batch_size=1')
    assert code == 0 and '[3/3]' in printed, printed
    assert "The batch size of the config differs from the checkpoint's and takes effect: 2 becomes 1" in printed


def test_another_schedule_is_told_and_the_checkpoints_goes_on(resumed):
    code, printed = resumed(lambda folder: None, 'param_scheduler.0.start_factor=0.5')
    assert code == 0 and '[3/3]' in printed, printed
    assert 'start_factor is 0.01 there and 0.5 in the config' in printed


def test_other_groups_of_parameters_are_refused(resumed):
    result = resumed(lambda folder: None, 'model.backbone.frozen_stages=2')
    assert_explained(result, 'parameter groups, but the checkpoint to resume has')


def test_a_finished_run_says_that_nothing_is_left(resumed):
    code, printed = resumed(lambda folder: None, 'train_cfg.max_iters=2')
    assert code == 0 and 'so nothing is left to train' in printed


def test_a_checkpoints_config_is_not_executed(trained, shapes, tmp_path, run_command):
    content = torch.load(trained / 'iter_1.pth', weights_only=False)
    content['meta']['config'] = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    torch.save(content, tmp_path / 'hostile.pth')
    arguments = ['--work-dir', tmp_path / 'run', '--resume', tmp_path / 'hostile.pth']
    code, printed = run_command(
        'train', TINY, '--verbose', *arguments, *options(shapes, 'train_cfg.max_iters=2', *NO_VALIDATION)
    )
    assert code == 0 and not (tmp_path / 'ran').exists(), printed


@pytest.mark.slow
def test_a_run_whose_weights_are_no_numbers_ends_without_a_checkpoint(shapes, tmp_path, run_command):
    more = ['train_cfg.max_iters=4', 'default_hooks.checkpoint.interval=1', 'param_scheduler=[]', *NO_VALIDATION]
    more += ['optim_wrapper.clip_grad=None', 'optim_wrapper.optimizer.lr=1e39']
    result = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *options(shapes, *more))
    assert_explained(result, 'the weights are no longer numbers')
    assert not list(tmp_path.glob('*.pth*'))


def test_a_second_run_in_the_same_folder_is_refused(shapes, tmp_path, run_command):
    more = ['train_cfg.max_iters=9000', *NO_VALIDATION]
    process = start_program('train', TINY, '--verbose', '--work-dir', tmp_path / 'run', *options(shapes, *more))
    try:
        read_until(process, '1/9000]')
        result = run_command('train', TINY, '--verbose', '--work-dir', tmp_path / 'run', *options(shapes, *more))
        assert_explained(result, 'Another run is writing to')
    finally:
        process.kill()
        process.communicate()


def test_a_run_that_is_killed_again_and_again_is_never_lost(shapes, tmp_path):
    """``KILLS=100 pytest tests/tools/test_lost_runs.py -k again`` kills it so often; by default twice."""
    kills, random = int(os.environ.get('KILLS', 2)), np.random.default_rng(0)
    more = ['train_cfg.max_iters=100000', 'default_hooks.checkpoint.interval=1', *NO_VALIDATION]
    # Large weights, so that most of the time goes into saving.
    more += ['default_hooks.checkpoint.max_keep_ckpts=1', 'model.roi_head.bbox_head.fc_out_channels=4096']
    folder, reached, while_saving = tmp_path / 'run', 0, 0
    for kill in range(kills):
        process = start_program('train', TINY, '--verbose', '--work-dir', folder, '--resume', *options(shapes, *more))
        printed = read_until(process, '/100000]')
        first = int(re.search(r'\[ *(\d+)/100000\]', printed.splitlines()[-1])[1])
        assert first == reached + 1, 'it goes on after the newest whole checkpoint'
        end = time.monotonic() + 5
        # Most of them while a file is being written, the others at any time.
        while kill % 4 != 3 and not list(folder.glob('*.unfinished')) and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.2 if kill % 4 != 3 else 1.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        while_saving += bool(list(folder.glob('*.unfinished')))
        whole = [path for path in folder.glob('iter_*.pth') if weights(path)]
        assert whole or first <= 2, 'there is always a whole one after the first'
        reached = max([int(path.stem.removeprefix('iter_')) for path in whole], default=0)
    print(f'{kills} kills, {while_saving} of them while a file was being written')
    assert while_saving >= kills // 2


def test_a_config_that_resumes_takes_the_newest_whole_checkpoint_too(run_command, shapes, tmp_path):
    more = options(shapes, *FAST, *NO_VALIDATION)
    code, printed = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *more)
    assert code == 0, printed
    (tmp_path / 'iter_4.pth').write_bytes(b'damaged')
    code, printed = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *more, 'resume=True')
    assert code == 0 and 'Skipped' in printed, printed
    assert 'Iter(train) [4/4]' in printed and 'Iter(train) [2/4]' not in printed
