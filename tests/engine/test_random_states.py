"""Random numbers of a resumed run: generators that go on, and samples that draw their own."""

import pickle
import random

from hiera_mm.engine.random_states import (
    Numbered,
    NumberedSampler,
    SelfSeededDataset,
    random_state,
    seed_samples,
    set_random_state,
)

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, DefaultSampler
from torch.utils.data import DataLoader


class Noise:
    """Ten samples of what the three generators give."""

    metainfo = dict(classes=('a', 'b'))

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return index, random.random(), np.random.random(), torch.rand(()).item()


def draws():
    return random.random(), np.random.standard_normal(), torch.rand(3).tolist()


def test_a_state_that_was_stored_as_data_gives_the_same_numbers(tmp_path):
    np.random.standard_normal()  # numpy keeps the second of a pair
    torch.save(random_state(), tmp_path / 'state.pth')
    expected = draws()
    draws()
    set_random_state(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert draws() == expected


def sampler(kind='DefaultSampler', seed=7, **options):
    return NumberedSampler(Noise(), dict(type=kind, shuffle=True, **options), seed=seed)


def samples(workers=0, epochs=2, begin=0, seed=7):
    drawn = sampler(seed=seed)
    loader = DataLoader(SelfSeededDataset(Noise()), sampler=drawn, num_workers=workers, batch_size=None)
    found = []
    for epoch in range(epochs):
        drawn.set_epoch(epoch)
        if epoch == 0 and begin:
            drawn.begin_at(begin)
        found += [tuple(float(value) for value in sample) for sample in loader]
    return found


def test_samples_are_the_same_for_any_number_of_processes_and_leave_the_generators_alone():
    before = random_state()
    alone = samples()
    assert len(set(alone)) == 20, 'each sample of each epoch has its own'
    assert samples(workers=2) == alone == samples(workers=1)
    after = random_state()
    assert torch.equal(before['numpy'][1], after['numpy'][1]) and before['python'][2] == after['python'][2]
    assert samples(seed=8) != alone


def test_an_epoch_that_is_begun_in_its_middle_goes_on_with_the_same_samples():
    assert samples(begin=4) == samples()[4:]


def test_an_endless_sampler_is_skipped_forward_to_the_same_samples():
    first, second = sampler('InfiniteSampler'), sampler('InfiniteSampler')
    stream = iter(first)
    expected = [next(stream) for _ in range(25)]
    second.skip(12)
    stream = iter(second)
    found = [next(stream) for _ in range(13)]
    assert [(int(a), a.seed) for a in found] == [(int(a), a.seed) for a in expected[12:]]
    assert not hasattr(sampler(), 'skip')


def test_an_index_keeps_its_number_on_its_way_to_another_process():
    index = pickle.loads(pickle.dumps(Numbered(3, (1, 2))))
    assert index == 3 and index.seed == (1, 2)


def test_all_else_is_asked_of_the_data_set_inside():
    dataset = SelfSeededDataset(Noise())
    assert len(dataset) == 10 and dataset.metainfo == Noise.metainfo and dataset[3][0] == 3
    with pytest.raises(AttributeError):
        _ = dataset.nothing
    assert not isinstance(dataset, BaseDataset)


def test_a_loader_is_wrapped_once():
    loader = dict(dataset=dict(type='A'), sampler=dict(type='B', shuffle=True))
    seed_samples(loader)
    once = dict(loader)
    seed_samples(loader)
    assert loader == once
    assert loader['dataset'] == dict(type='SelfSeededDataset', dataset=dict(type='A'))
    assert loader['sampler'] == dict(type='NumberedSampler', sampler=dict(type='B', shuffle=True))


def test_lengths_and_epochs_are_the_inner_samplers():
    outer, inner = sampler(), DefaultSampler(Noise(), shuffle=True, seed=7)
    outer.set_epoch(3), inner.set_epoch(3)
    assert [int(index) for index in outer] == list(inner) and len(outer) == len(inner) == 10
