"""``hiera-mm train --gpus N`` starts torch's launcher."""

import os
import sys

from hiera_mm.commands import launching

import pytest
import torch

from tests.helpers import TINY


class Started(Exception):
    pass


@pytest.fixture
def started(monkeypatch):
    """What the process would go on as."""

    def start(program, words):
        assert program == sys.executable
        raise Started(words)

    monkeypatch.setattr(os, 'execv', start)

    def run(*words, command='train'):
        from hiera_mm.commands import main

        with pytest.raises(Started) as found:
            main(command, [str(word) for word in words])
        return found.value.args[0]

    return run


def test_all_other_words_go_to_each_process(started):
    words = started(TINY, '--gpus', 2, '--amp', '--cfg-options', 'a=1', 'b=2', '--max-restarts=3', '--resume')
    assert words[1:9] == [
        '-m',
        'torch.distributed.run',
        '--standalone',
        '--nproc-per-node',
        '2',
        '--max-restarts',
        '3',
        '-m',
    ]
    assert words[9:] == [
        *('hiera_mm', 'train', str(TINY), '--amp', '--cfg-options', 'a=1', 'b=2', '--resume'),
        *('--launcher', 'pytorch'),
    ]


def test_shortened_options_are_not_given_twice(started):
    words = started(TINY, '--gpu=2', '--max-r', 1, '--work-dir', 'runs')
    assert words[9:] == ['hiera_mm', 'train', str(TINY), '--work-dir', 'runs', '--launcher', 'pytorch']


def test_several_machines_name_the_first_one(started):
    words = started(
        TINY, 'x.pth', '--gpus=4', '--nodes', 2, '--node-rank', 1, '--master-addr', '10.0.0.1', command='test'
    )
    machines = ['--nnodes', '2', '--node-rank', '1', '--master-addr', '10.0.0.1', '--master-port', '29500']
    assert words[3:11] == machines
    assert words[-6:] == ['hiera_mm', 'test', str(TINY), 'x.pth', '--launcher', 'pytorch']


@pytest.mark.parametrize(
    'options, said',
    [
        (['--gpus', '2', '--launcher', 'pytorch'], 'leave --launcher out'),
        (['--gpus', '0'], '1 or more'),
        (['--nodes', '2'], '--gpus is the number'),
        (['--max-restarts', '3'], '--gpus is the number'),
        (['--master-addr', '10.0.0.1'], '--gpus is the number'),
        (['--gpus', '2', '--nodes', '2'], '--master-addr'),
        (['--gpus', '1', '--nodes', '2', '--master-addr', 'here', '--node-rank', '2'], 'from 0 to 1'),
    ],
)
def test_options_that_do_not_fit_together_are_refused(run_command, options, said):
    code, printed = run_command('train', TINY, *options)
    assert code == 1 and said in printed, printed


def test_more_processes_than_gpus_are_refused(run_command, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    code, printed = run_command('train', TINY, '--gpus', '3')
    assert code == 1 and 'torch sees 2 GPUs here' in printed and 'take --gpus 2' in printed, printed


def test_one_process_needs_no_launcher(monkeypatch):
    monkeypatch.setattr(os, 'execv', None)
    import argparse

    alone = dict(gpus=1, nodes=1, node_rank=0, master_addr=None, max_restarts=0, launcher='none', words=[])
    launching.launch('train', argparse.Namespace(**alone))
