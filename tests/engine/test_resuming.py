"""Which checkpoint a run goes on from. Whole runs: tools/test_exact_resume.py and tools/test_lost_runs.py."""

import os

from hiera_mm.engine.resuming import newest, resume
from hiera_mm.errors import UserError

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from tests.engine.small_runner import small_runner
from tests.helpers import forget_earlier_runs


def config_in(folder, **more):
    return Config(dict(work_dir=str(folder), model=dict(backbone=dict(init_cfg=dict(type='Pretrained'))), **more))


def save(path, iteration, **more):
    state = dict(meta=dict(epoch=0, iter=iteration, seed=7), state_dict={}, optimizer={}, message_hub={})
    path.parent.mkdir(exist_ok=True)
    torch.save(state | more, path)
    return path


def test_without_being_asked_a_run_starts_from_the_beginning(tmp_path):
    save(tmp_path / 'iter_3.pth', 3)
    config = config_in(tmp_path)
    assert resume(config, None) == 'starts from the beginning'
    assert config.resume is False and config.get('load_from') is None


def test_weights_to_start_from_stay_where_nothing_is_resumed(tmp_path):
    config = config_in(tmp_path, load_from='weights.pth')
    assert resume(config, None) == 'starts from the beginning' and config.load_from == 'weights.pth'


def test_an_empty_folder_starts_from_the_beginning_and_not_from_other_weights(tmp_path):
    config = config_in(tmp_path, load_from='weights.pth')
    assert resume(config, 'auto') == 'starts from the beginning'
    assert config.resume is False and config.load_from is None


@pytest.mark.parametrize('asked', ['auto', 'by path', 'by the config'])
def test_a_run_goes_on_from_a_checkpoint_with_its_seed_and_without_other_weights(tmp_path, asked):
    path = save(tmp_path / 'iter_3.pth', 3)
    config = config_in(tmp_path, randomness=dict(seed=1, deterministic=True))
    if asked == 'by the config':
        config.resume = True
    begins = resume(config, {'auto': 'auto', 'by path': str(path), 'by the config': None}[asked])
    assert begins.startswith('resumes from iteration 3')
    assert config.resume is True and config.load_from == str(path) and config.model.backbone.init_cfg is None
    assert config.randomness == dict(seed=7, deterministic=True)


def test_the_newest_has_the_most_iterations_of_all_kinds(tmp_path):
    save(tmp_path / 'iter_9.pth', 9)
    save(tmp_path / 'iter_10.pth', 10)
    save(tmp_path / 'epoch_2.pth', 8)
    assert newest(config_in(tmp_path)).source.endswith('iter_10.pth'), 'by number, not by name'
    save(tmp_path / 'interrupted.pth', 12)
    assert newest(config_in(tmp_path)).source.endswith('interrupted.pth')


def test_damaged_checkpoints_are_passed_over_and_refused_where_no_other_is_there(tmp_path):
    save(tmp_path / 'iter_1.pth', 1)
    whole = save(tmp_path / 'iter_2.pth', 2).read_bytes()
    (tmp_path / 'iter_2.pth').write_bytes(whole[: len(whole) // 2])
    assert newest(config_in(tmp_path)).source.endswith('iter_1.pth')
    (tmp_path / 'iter_1.pth').unlink()
    with pytest.raises(UserError, match=r'All checkpoints in .* are damaged \(iter_2.pth\)'):
        newest(config_in(tmp_path))


def test_checkpoints_of_before_a_time_do_not_count(tmp_path):
    path = save(tmp_path / 'iter_1.pth', 1)
    os.utime(path, (1000, 1000))
    assert newest(config_in(tmp_path), since=2000) is None
    assert newest(config_in(tmp_path), since=1000).source == str(path)


def test_checkpoints_elsewhere_are_found_by_the_file_that_names_the_last(tmp_path):
    elsewhere = save(tmp_path / 'elsewhere' / 'iter_4.pth', 4)
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'last_checkpoint').write_text(str(elsewhere))
    assert newest(config_in(tmp_path / 'run')).source == str(elsewhere)
    # A copy of the whole folder goes on from its own, though the other has gone on since.
    save(elsewhere.with_name('iter_6.pth'), 6)
    save(tmp_path / 'run' / 'iter_4.pth', 4)
    assert newest(config_in(tmp_path / 'run')).source == str(tmp_path / 'run' / 'iter_4.pth')


@pytest.mark.parametrize('missing', ['optimizer', 'message_hub', 'meta'])
def test_weights_alone_are_no_run(tmp_path, missing):
    path = save(tmp_path / 'iter_1.pth', 1)
    state = torch.load(path)
    del state[missing]
    torch.save(state, path)
    with pytest.raises(UserError, match=f'has weights, but not the state of a run to resume .*{missing}'):
        resume(config_in(tmp_path), str(path))


def test_a_restarted_process_goes_on_from_what_its_own_run_has_saved(tmp_path, monkeypatch):
    other = save(tmp_path / 'elsewhere.pth', 100)
    old = save(tmp_path / 'run' / 'iter_50.pth', 50)
    os.utime(old, (1000, 1000))
    lock = tmp_path / 'run' / '.lock'
    lock.touch()
    os.utime(lock, (2000, 2000))
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '1')
    assert 'iteration 100 ' in resume(config_in(tmp_path / 'run'), str(other)), 'nothing of its own yet'
    save(tmp_path / 'run' / 'iter_7.pth', 7)
    assert 'iteration 7 ' in resume(config_in(tmp_path / 'run'), str(other))


class KeepRates(Hook):
    """The learning rate of each iteration."""

    def __init__(self):
        self.rates = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates += runner.optim_wrapper.get_lr()['lr']


def rates_of(folder, iterations, **more):
    forget_earlier_runs()
    rates = KeepRates()
    small_runner(folder, iterations, hooks=[dict(type='ResumeHook'), rates], **more).train()
    return rates.rates


STEPS = dict(type='MultiStepLR', milestones=[2, 5], gamma=0.1)
SCHEDULES = dict(
    none=None,
    steps=STEPS,
    warm_up=dict(type='LinearLR', start_factor=0.1, begin=0, end=6),
    # From its base value again and again.
    waves=dict(type='CosineAnnealingLR', T_max=2),
)


@pytest.mark.parametrize('name', SCHEDULES)
def test_another_learning_rate_scales_all_that_is_left_of_the_schedule(tmp_path, name):
    schedule = SCHEDULES[name]
    straight = rates_of(tmp_path / 'straight', 9, schedule=schedule)
    last = tmp_path / 'straight' / 'iter_3.pth'
    assert rates_of(tmp_path / 'same', 9, schedule=schedule, resume=last) == pytest.approx(straight[3:])
    halved = rates_of(tmp_path / 'half', 9, schedule=schedule, resume=last, learning_rate=0.05)
    assert halved == pytest.approx([rate / 2 for rate in straight[3:]])


def test_another_schedule_has_no_effect_and_is_told(tmp_path, capfd):
    straight = rates_of(tmp_path / 'straight', 6, schedule=STEPS)
    last = tmp_path / 'straight' / 'iter_3.pth'
    capfd.readouterr()
    assert rates_of(tmp_path / 'same', 6, schedule=STEPS, resume=last) == pytest.approx(straight[3:])
    assert 'schedule of the config' not in ''.join(capfd.readouterr())
    other = dict(STEPS, milestones=[4], gamma=0.5)
    assert rates_of(tmp_path / 'other', 6, schedule=other, resume=last) == pytest.approx(straight[3:])
    printed = ''.join(capfd.readouterr())
    assert "differs from the checkpoint's, which stays in effect: gamma is 0.1 there and 0.5 in the config" in printed
