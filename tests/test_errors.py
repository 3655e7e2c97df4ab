"""How a user's fault reaches the user, also out of a data-loading process."""

import hiera_mm  # noqa: F401  (first: it repairs what other imports need)
from hiera_mm.errors import UserError
from hiera_mm.explain import explain

import pytest
import torch
from mmengine.optim import LinearLR
from torch.utils.data import DataLoader, Dataset


class Faulty(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise UserError('The file a.png is broken; replace it.')


def test_a_sentence_passes_unchanged():
    assert explain(UserError('Do this.')) == 'Do this.'


@pytest.mark.parametrize('workers', [0, 1])
def test_the_sentence_of_a_worker_comes_without_its_traceback(workers):
    with pytest.raises(UserError) as caught:
        list(DataLoader(Faulty(), num_workers=workers))
    assert explain(caught.value) == 'The file a.png is broken; replace it.'


def test_an_error_that_nobody_foresaw_is_not_explained_away():
    assert explain(RuntimeError('shape mismatch')) is None


def test_a_warm_up_of_less_than_an_iteration_is_told():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError) as raised:
        LinearLR.build_iter_from_epoch(optimizer=optimizer, begin=0, end=0.25, epoch_length=3)
    assert 'an epoch has too few; make the schedule longer' in explain(raised.value)
