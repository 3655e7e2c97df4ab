"""hiera-mm rehearse: what it prints, its exit code, and several configs at once."""

import json

import pytest

from tests.helpers import ROOT

SHAPES = ROOT / 'configs' / 'mask_rcnn_hiera_t_shapes.py'
BROKEN = f"_base_ = '{SHAPES}'\ndefault_hooks = dict(checkpoint=dict(by_epoch=True))\n"


@pytest.mark.slow
def test_every_stage_is_printed_with_time_and_memory(run_command, tmp_path):
    out = tmp_path / 'stages.json'
    code, printed = run_command('rehearse', SHAPES, '--tiny', '--out', out)
    assert code == 0 and 'Nothing failed.' in printed, printed
    assert 'generated data in its format are used instead' in printed
    stages = json.loads(out.read_text())
    assert [stage['outcome'] for stage in stages] == ['passed'] * 12
    for stage in stages:
        assert any(line.startswith(f'{stage["name"]:22}passed') for line in printed.splitlines())


def test_a_failure_gives_exit_code_1_and_on_request_its_trace(run_command, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = '{SHAPES}'\nmodel = dict(neck=dict(in_channels=[1, 2, 3, 4]))\n")
    code, printed = run_command('rehearse', config, '--tiny', '--traceback')
    assert code == 1 and '1 of 12 stages failed.' in printed, printed
    assert 'Traceback (most recent call last)' in printed and 'not reached' in printed
    code, printed = run_command('rehearse', config, '--tiny')
    assert code == 1 and 'Traceback (most recent call last)' not in printed


@pytest.mark.slow
def test_several_configs_are_rehearsed_each_for_itself(run_command, tmp_path):
    config = tmp_path / 'broken.py'
    config.write_text(BROKEN)
    code, printed = run_command('rehearse', SHAPES, config, '--tiny', '--jobs', 2)
    assert code == 1 and '1 of 2 configs failed' in printed, printed
    lines = printed.splitlines()
    assert any(line.split()[:2] == ['mask_rcnn_hiera_t_shapes.py', 'passed'] for line in lines)
    assert any(line.split()[:2] == ['broken.py', 'failed'] for line in lines)
    assert any(line.startswith('    checkpoint: The checkpoint hook counts epochs') for line in lines)


@pytest.mark.slow
def test_options_of_training_are_those_of_the_rehearsal(run_command, tmp_path):
    code, printed = run_command('rehearse', SHAPES, '--tiny', '--cfg-options', 'train_cfg.max_iters=30')
    assert code == 0 and 'iter_30.pth' in printed, printed
    dtype = ['--cfg-options', 'optim_wrapper.dtype=float16']
    code, printed = run_command('rehearse', SHAPES, '--tiny', '--amp', *dtype)
    assert code == 1 and "Half precision on a CPU is bfloat16, but optim_wrapper.dtype is 'float16'" in printed
