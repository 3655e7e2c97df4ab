"""``hiera-mm``: its commands, the scripts in tools/, and how messages name commands."""

import subprocess
import sys

from hiera_mm.commands import COMMANDS, main, module_of
from hiera_mm.program import SCRIPTS, command_line
from hiera_mm.shipped import shipped_configs

import pytest

from tests.helpers import ROOT


@pytest.fixture
def call(capfd):
    """``call('train', '--help')`` gives the exit code and what was printed."""

    def call(*words):
        with pytest.raises(SystemExit) as ending:
            main(arguments=words)
        return ending.value.code or 0, ''.join(capfd.readouterr())

    return call


def test_the_overview_lists_every_module_of_the_package_once(call):
    code, printed = call('--help')
    shared = {'__init__', 'faults', 'launching', 'options'}
    modules = {path.stem for path in (ROOT / 'hiera_mm' / 'commands').glob('*.py')} - shared
    assert code == 0 and {command.replace('-', '_') for command in COMMANDS} == modules
    for command in COMMANDS:
        assert printed.count(f'\n  {command} ') == 1
        assert (module_of(command).__doc__ or '').splitlines()[0] in f'{printed}.'.replace('\n', '.\n')


def test_a_misspelt_command_is_told_the_right_one(call):
    code, printed = call('trian', 'mask_rcnn_hiera_b')
    assert code == 2 and printed == "Error: 'trian' is not a command; did you mean train? hiera-mm --help lists them.\n"


def test_tools_has_scripts_that_only_run_commands():
    assert {path.stem for path in (ROOT / 'tools').glob('*.py')} == set(SCRIPTS)
    for command in SCRIPTS:
        text = (ROOT / 'tools' / f'{command}.py').read_text()
        assert f"main('{command}')" in text and 'def ' not in text


def test_flops_is_the_plan_which_begins_with_what_it_counted(call):
    code, printed = call('flops', '--help')
    assert code == 0 and 'hiera-mm plan' in printed and '--gpu-memory' in printed


def test_help_comes_without_torch():
    program = (
        "import sys\nfrom hiera_mm.commands import main\ntry: main()\nexcept SystemExit: print('torch' in sys.modules)"
    )
    for words in (['--help'], *([command, '--help'] for command in COMMANDS)):
        command = [sys.executable, '-c', f'import sys; sys.argv = {["hiera-mm", *words]!r}\n{program}']
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == 'False', (words, done.stdout, done.stderr)


@pytest.mark.parametrize(
    'program, expected',
    [
        (str(ROOT / 'tools' / 'train.py'), 'python tools/test.py'),
        ('/usr/bin/hiera-mm', 'hiera-mm test'),
        ('/somewhere/hiera_mm/__main__.py', 'python -m hiera_mm test'),
        ('-c', 'hiera-mm test'),
        ('my_tools/train.py', 'hiera-mm test'),
        (str(ROOT / 'tools' / 'my_own.py'), 'hiera-mm test'),
    ],
)
def test_messages_name_the_form_that_was_called(program, expected, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [program])
    assert command_line('test') == expected


def test_commands_without_a_script_in_tools_are_named_as_installed(monkeypatch):
    monkeypatch.setattr(sys, 'argv', [str(ROOT / 'tools' / 'train.py')])
    assert command_line('check-data') == 'hiera-mm check-data'


def test_configs_are_listed_with_what_they_train(call):
    code, printed = call('configs', 'AVA')
    assert code == 0 and 'ava_hiera_l' in names_in(printed) and 'mask_rcnn_hiera_b' not in names_in(printed)
    assert printed.startswith('action detection:\n')
    assert sorted(names_in(call('configs')[1])) == sorted(shipped_configs())
    assert len(shipped_configs()) == len(list((ROOT / 'configs').glob('*.py')))
    assert call('configs', 'nothing of the kind')[0] == 1


def names_in(printed):
    return [line.split()[0] for line in printed.splitlines() if line.startswith('  ')]


@pytest.mark.parametrize(
    'word, found, not_found',
    [
        ('mask', 'cascade_mask_rcnn_hiera_b', 'mae_hiera_b'),
        ('masked', 'mae_hiera_b', 'mask_rcnn_hiera_b'),
        ('coco', 'mask_rcnn_hiera_b', 'ava_hiera_b'),
        ('detection', 'ava_hiera_b', 'k400_hiera_b'),
        ('panoptic', 'mask2former_hiera_b_coco_panoptic', 'mask2former_hiera_b_coco'),
        ('segment', 'unetr_hiera_b_btcv', 'in1k_hiera_b'),
        ('video', 'k400_hiera_b', 'in1k_hiera_b'),
    ],
)
def test_configs_are_found_by_words_of_the_field(call, word, found, not_found):
    code, printed = call('configs', word)
    assert code == 0 and found in names_in(printed) and not_found not in names_in(printed), printed


def test_configs_are_listed_without_torch():
    script = 'import sys; sys.argv = ["hiera-mm", "configs", "ava"]; from hiera_mm.commands import main\n' + (
        'try:\n    main()\nexcept SystemExit as end:\n    print(end.code, "torch" in sys.modules)'
    )
    printed = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout
    assert printed.splitlines()[-1] == '0 False', printed


def test_the_whole_trace_is_shown_where_asked_for(call, tmp_path):
    (tmp_path / 'broken.py').write_text('model = dict(\n')
    path = str(tmp_path / 'broken.py')
    assert 'Traceback' not in call('train', path)[1]
    code, printed = call('train', path, '--traceback')
    assert code == 1 and 'Traceback (most recent call last)' in printed
    assert printed.splitlines()[-1].startswith(f"Error: The config '{path}' can't be read")


def test_importing_the_package_registers_in_processes_that_a_command_starts():
    """Workers started anew import the package while the command's name is still that of the program."""
    program = (
        'import multiprocessing, sys\n'
        "sys.argv = ['hiera-mm', 'train']\n"
        'import hiera_mm\n'
        'from hiera_mm.program import a_command_starts\n'
        'assert a_command_starts()\n'
        "pool = multiprocessing.get_context('spawn').Pool(1)\n"
        'print(pool.apply(a_command_starts))\n'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.stdout == 'False\n', done.stderr


@pytest.mark.parametrize(
    'name, registered', [pytest.param('my_own.py', 'True', marks=pytest.mark.slow), ('train.py', 'False')]
)
def test_only_the_suites_own_tools_put_registering_off(name, registered):
    program = (
        f"import sys\nsys.argv = ['{ROOT / 'tools' / name}']\nimport hiera_mm\n"
        "print('hiera_mm.registration' in sys.modules)"
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.stdout == f'{registered}\n', done.stderr
