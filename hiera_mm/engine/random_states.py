"""Random states for exact resuming: every process's generators, and seeds for each sample."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size, sync_random_seed
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS, DATASETS, HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import Sampler

State = dict[str, Any]
"""States of the generators of one process, as data that loads without running code."""


def random_state() -> State:
    """The random states of Python, numpy and torch, and of the current GPU if there is one."""
    name, keys, *rest = np.random.get_state()
    version, internal, gauss = random.getstate()
    state = dict(
        python=[version, torch.tensor(internal), gauss],
        numpy=[name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: State) -> None:
    """Restore a state from :func:`random_state`."""
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal.tolist()), gauss))
    name, keys, *rest = state['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def gathered_states() -> list[State]:
    """The states of all processes, by rank; every process must call it."""
    return all_gather_object(random_state())


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Restores random states, so that neither a validation nor resuming changes the training after it."""

    # Before the hook that saves checkpoints.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.restored_state: State | None = None
        self.position = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take this process's state from the checkpoint of a resumed run."""
        if not runner._resume:
            return
        states = checkpoint.get('random_states')
        now, before = runner.train_dataloader.batch_size, checkpoint['meta'].get('batch_size')
        if before not in (None, now):
            runner.logger.warning(
                f"The batch size of the config differs from the checkpoint's and takes effect: {before} becomes {now}; "
                'the run is no longer the same as without the interruption.'
            )
        # This process's share of the samples that all processes have seen in this epoch.
        seen = checkpoint['meta'].get('position', 0) * (before or now) * len(states or [None])
        self.position = seen // get_world_size()
        if states is None or len(states) != get_world_size():
            found = 'no random states' if states is None else f'random states of {len(states)} processes'
            runner.logger.warning(
                f'The checkpoint has {found}, but this run has {get_world_size()}: it continues with other random '
                'numbers than without the interruption.'
            )
            return
        self.restored_state = states[get_rank()]

    def before_train_epoch(self, runner: Runner) -> None:
        sampler = runner.train_dataloader.sampler
        if (
            self.position
            and isinstance(sampler, NumberedSampler)
            and runner.train_loop.__class__ is EpochBasedTrainLoop
        ):
            sampler.begin_at(self.position)
        self.position = 0

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if self.restored_state is not None:
            set_random_state(self.restored_state)
            self.restored_state = None

    def after_train_epoch(self, runner: Runner) -> None:
        # A run that was stopped after the last iteration of an epoch has no iteration left to restore its state in.
        self.restored_state = self.restored_state or random_state()

    def before_val(self, runner: Runner) -> None:
        self.before_validation = random_state()

    def after_val(self, runner: Runner) -> None:
        set_random_state(self.before_validation)


@DATASETS.register_module()
class SelfSeededDataset:
    """A data set that seeds each sample by its place in the run.

    So samples are the same for any number of data-loading processes, and after resuming.

    Args:
        dataset: The data set, or its config; everything but the samples is passed through to it.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, Numbered):
            return self.dataset[index]
        with _seeded(index.seed):
            return self.dataset[int(index)]


class Numbered(int):
    """An index of a sample with the numbers that seed it."""

    seed: tuple[int, ...]

    def __new__(cls, index: int, seed: tuple[int, ...]) -> 'Numbered':
        numbered = super().__new__(cls, index)
        numbered.seed = seed
        return numbered

    def __reduce__(self) -> tuple:
        return Numbered, (int(self), self.seed)


@DATA_SAMPLERS.register_module()
class NumberedSampler(Sampler):
    """Wraps a sampler, and gives each index a seed: the seed of the run, the process, the epoch, and its place.

    Args:
        dataset, seed: Passed by the runner.
        sampler: Config of the wrapped sampler.
    """

    def __init__(self, dataset: Any, sampler: dict, seed: int | None = None) -> None:
        self.seed = sync_random_seed() if seed is None else seed
        self.sampler = DATA_SAMPLERS.build(sampler, default_args=dict(dataset=dataset, seed=self.seed))
        self.epoch, self.skipped, self.position = 0, 0, 0
        if hasattr(self.sampler, 'skip'):
            self.skip = self._skip

    def __getattr__(self, name: str) -> Any:
        if name == 'sampler':
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def __iter__(self) -> Iterator[Numbered]:
        begin, self.position = self.position, 0
        for place, index in enumerate(self.sampler, start=self.skipped):
            if place >= self.skipped + begin:
                yield Numbered(index, (self.seed, get_rank(), self.epoch, place))

    def __len__(self) -> int:
        return len(self.sampler)

    def begin_at(self, position: int) -> None:
        """Skip the first samples of the next epoch, which a resumed run has seen."""
        self.position = position

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.sampler.set_epoch(epoch)

    def _skip(self, count: int) -> None:
        """Skip ``count`` samples, which a resumed run has seen."""
        self.skipped += count
        self.sampler.skip(count)


def seed_samples(loader: dict) -> None:
    """Wrap data set and sampler in a data loader's config so that each sample has its own seed."""
    if loader['sampler'].get('type') != 'NumberedSampler':
        loader['dataset'] = dict(type='SelfSeededDataset', dataset=loader['dataset'])
        loader['sampler'] = dict(type='NumberedSampler', sampler=loader['sampler'])


@contextmanager
def _seeded(numbers: Sequence[int]) -> Iterator[None]:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence(numbers).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1:3])
    # Not torch.manual_seed, which queues a call each time in a process without a GPU context.
    torch.default_generator.manual_seed(int(words[3]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
