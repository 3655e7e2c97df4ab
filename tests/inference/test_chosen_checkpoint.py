"""Which checkpoint is meant by a model on the command line."""

from hiera_mm.commands.options import chosen_checkpoint
from hiera_mm.errors import UserError

import pytest


@pytest.fixture
def folder(tmp_path):
    for name in ('iter_2.pth', 'iter_4.pth'):
        (tmp_path / name).touch()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_4.pth'))
    return tmp_path


@pytest.mark.parametrize(
    'source', ['https://example.org/a/model.pth', 'hiera_t.mae_in1k', 'weights/model.pth', 'model.onnx']
)
def test_what_is_no_folder_stays_as_it_is(source, capsys):
    assert chosen_checkpoint(source, newest=False) == source
    assert not capsys.readouterr().out
    with pytest.raises(UserError, match="--newest is for the folder of a run, which '.*' is not"):
        chosen_checkpoint(source, newest=True)


def test_a_folder_means_its_best_checkpoint_or_the_newest_where_there_is_none(folder, capsys):
    assert chosen_checkpoint(str(folder), newest=False) == str(folder / 'iter_4.pth')
    assert 'iter_4.pth, the newest' in capsys.readouterr().out
    (folder / 'best_acc_top1_iter_2.pth').touch()
    assert chosen_checkpoint(str(folder), newest=False) == str(folder / 'best_acc_top1_iter_2.pth')
    assert 'the best by validation' in capsys.readouterr().out
    assert chosen_checkpoint(str(folder), newest=True) == str(folder / 'iter_4.pth')


def test_checkpoints_in_another_folder_are_found(folder, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('run')
    (work_dir / 'last_checkpoint').write_text(str(folder / 'iter_4.pth'))
    assert chosen_checkpoint(str(work_dir), newest=False) == str(folder / 'iter_4.pth')
    (folder / 'best_acc_top1_iter_2.pth').touch()
    assert chosen_checkpoint(str(work_dir), newest=False) == str(folder / 'best_acc_top1_iter_2.pth')


def test_of_several_best_ones_none_is_guessed(folder):
    for name in ('best_a_iter_2.pth', 'best_b_iter_4.pth'):
        (folder / name).touch()
    with pytest.raises(UserError, match='holds several best checkpoints, 2 .best_a_iter_2.pth, best_b'):
        chosen_checkpoint(str(folder), newest=False)
    assert chosen_checkpoint(str(folder), newest=True) == str(folder / 'iter_4.pth')
