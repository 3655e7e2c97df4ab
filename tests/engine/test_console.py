"""What a person sees of a run: few lines, and everything in the log file."""

import logging
import re
import warnings

from hiera_mm.engine.console import ConsoleHook, Table, console

import numpy as np
import pytest
from mmengine.logging import MessageHub, MMLogger, print_log

from tests.helpers import TINY, run_program, shapes_options


def test_a_run_shows_few_lines_before_its_first_iteration_and_the_log_has_all(shapes, tmp_path):
    folder = tmp_path / 'run'
    words = ['train', TINY, '--work-dir', folder, *shapes_options(shapes), 'train_cfg.max_iters=3']
    printed = run_program(*words).splitlines()
    first = next(
        place for place, line in enumerate(printed) if re.match(r'Iter\(train\) \[1/3\]  lr: .* loss: \d', line)
    )
    assert first < 15, '\n'.join(printed)
    shown = {line.split()[0] for line in printed[:first]}
    assert {'data', 'model', 'weights', 'device', 'plan', 'log'} <= shown
    assert any(re.match(r'(iteration|epoch) \d+, best +\d\.\d{3}', line) for line in printed), printed
    assert len(printed) < 40 and 'creating index' not in '\n'.join(printed)
    (log,) = folder.glob('*/*.log')
    text = log.read_text()
    assert 'Hooks will be executed' in text and 'System environment' in text and 'coco/bbox_mAP' in text


def test_verbose_shows_what_the_log_gets(run_command, shapes, tmp_path):
    words = ['train', TINY, '--work-dir', tmp_path, '--verbose', *shapes_options(shapes), 'train_cfg.max_iters=1']
    code, printed = run_command(*words)
    assert code == 0 and 'Hooks will be executed' in printed and 'System environment' in printed, printed


@pytest.mark.parametrize(
    'say, shown',
    [
        (lambda logger: logger.info('of a user'), True),
        (lambda logger: print_log('of a user', logger), True),
        (lambda logger: logger.warning('of a user'), True),
        (lambda logger: logger.info('of a user\nin two lines'), False),
        (lambda logger: logger.error('of a user\nin two lines'), True),
        (lambda logger: warnings.warn('of a user', stacklevel=1), True),
        (lambda logger: exec('logger.info("foreign")', dict(__name__='mmdet.models', logger=logger)), False),
        (lambda logger: exec('logger.warning("foreign")', dict(__name__='mmengine.hooks', logger=logger)), False),
        (lambda logger: exec('logger.error("foreign")', dict(__name__='mmdet.models', logger=logger)), True),
        (lambda logger: exec('import warnings; warnings.warn("foreign")', dict(__name__='torch.nn')), False),
    ],
)
@pytest.mark.parametrize('made_before', [True, False])
def test_messages_of_other_packages_go_to_the_log_alone(capsys, tmp_path, say, shown, made_before):
    name, file = f'{tmp_path.name}-{made_before}', tmp_path / 'run.log'

    def make():
        return MMLogger.get_instance(name, logger_name='mmengine', log_file=str(file))

    if made_before:
        make()
    with warnings.catch_warnings(), console(verbose=False):
        warnings.simplefilter('always')
        say(make())
    printed = capsys.readouterr()
    assert bool(printed.out.strip()) is shown and not printed.err
    MMLogger.get_instance(name).info('after it\nas it was')
    assert 'as it was' in capsys.readouterr().out
    for handler in MMLogger.get_instance(name).handlers:
        handler.flush()
    assert 'foreign' in file.read_text() or 'of a user' in file.read_text()
    logging.Logger.manager.loggerDict.pop(name, None)


def test_the_table_fits_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv('COLUMNS', '70')
    metrics = {'coco/bbox_mAP': 0.1, 'coco/bbox_mAP_50': 0.3, 'coco/segm_mAP': 0.2}
    assert max(map(len, Table([*metrics], metrics).row('iteration 184375', metrics, 'best').splitlines())) <= 70


def test_the_table_marks_changes_under_one_heading(monkeypatch):
    monkeypatch.setenv('COLUMNS', '120')
    # mmseg's metrics are numpy's numbers.
    metrics = {
        'coco/bbox_mAP': np.float32(0.1),
        'coco/bbox_mAP_50': 0.3,
        'coco/bbox_mAP_s': -1.0,
        'coco/segm_mAP': 0.2,
        'note': 'x',
    }
    table = Table(['coco/segm_mAP', *metrics], metrics)
    heading, first = table.row('epoch 1', metrics, 'best').splitlines()
    assert heading.split() == ['validation', 'coco/segm_mAP', 'coco/bbox_mAP', 'coco/bbox_mAP_50']
    assert first.split() == ['epoch', '1,', 'best', '0.200', '0.100', '0.300']
    second = table.row('epoch 2', {**metrics, 'coco/segm_mAP': 0.15}, '')
    assert second.split() == [*('epoch', '2', '0.150', '(-0.050)', '0.100', '(+0.000)', '0.300', '(+0.000)')]
    assert len({len(line) for line in (heading, second)}) == 1


class FakeRunner:
    """What a validation leaves behind."""

    hooks, iter, train_loop = [], 5, None

    def __init__(self):
        self.message_hub = MessageHub('of a test')

    def validate(self, hook, **best):
        for key, value in best.items():
            self.message_hub.update_info(key, value)
        hook.after_val_epoch(self, {'acc': 0.5})


def test_the_best_validation_is_marked_once(capsys):
    """Also of several metrics, and in a run that goes on."""
    runner, hook = FakeRunner(), ConsoleHook()
    for best in (dict(best_score=0.5), dict(best_score=0.5), dict(best_score=0.6), dict(best_score_loss=0.1), {}):
        runner.validate(hook, **best)
    resumed = ConsoleHook()
    resumed.best = {'best_score': 0.6, 'best_score_loss': 0.1}
    runner.validate(resumed)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('iteration')]
    assert ['best' in row for row in rows] == [True, False, True, True, False, False]
