"""Random numbers that a resumed run goes on with: every process's generators, and samples that draw their own."""

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
"""Of the generators of one process, as data that needs no code to load."""


def random_state() -> State:
    """Of Python, numpy and torch, and of the current GPU if there is one."""
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
    """Continue from what :func:`random_state` gave."""
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal.tolist()), gauss))
    name, keys, *rest = state['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def gathered_states() -> list[State]:
    """Of all processes, in their order; every process must ask."""
    return all_gather_object(random_state())


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Gives the training after a validation, or after resuming, the random numbers that it would have had without."""

    # Before the hook that saves checkpoints.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.next: State | None = None
        self.position = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Of a checkpoint that the run goes on from."""
        if not runner._resume:
            return
        states = checkpoint.get('random_states')
        now, before = runner.train_dataloader.batch_size, checkpoint['meta'].get('batch_size')
        if before not in (None, now):
            runner.logger.warning(
                f"The batch size of the config differs from the checkpoint's and takes effect: {before} becomes {now}; "
                'the run is no longer the same as without the interruption.'
            )
        # Of the samples that all processes together have seen of this epoch, the share of one.
        seen = checkpoint['meta'].get('position', 0) * (before or now) * len(states or [None])
        self.position = seen // get_world_size()
        if states is None or len(states) != get_world_size():
            number = 'none' if states is None else f'those of {len(states)}'
            runner.logger.warning(
                f'The checkpoint has {number} of the random states of {get_world_size()} processes: the run goes on '
                'with other random numbers than without the interruption.'
            )
            return
        self.next = states[get_rank()]

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
        if self.next is not None:
            set_random_state(self.next)
            self.next = None

    def after_train_epoch(self, runner: Runner) -> None:
        # A run that was stopped after the last iteration of an epoch has none to take up its state in.
        self.next = self.next or random_state()

    def before_val(self, runner: Runner) -> None:
        self.before_validation = random_state()

    def after_val(self, runner: Runner) -> None:
        set_random_state(self.before_validation)


@DATASETS.register_module()
class SelfSeededDataset:
    """A data set whose samples draw random numbers of their own: the n-th of a run is the same whoever makes it.

    So it is the same for any number of data-loading processes, and after resuming.

    Args:
        dataset: The data set, or its config; all but the samples is asked of it.
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
    """An index of a sample that knows by which numbers to seed it."""

    seed: tuple[int, ...]

    def __new__(cls, index: int, seed: tuple[int, ...]) -> 'Numbered':
        numbered = super().__new__(cls, index)
        numbered.seed = seed
        return numbered

    def __reduce__(self) -> tuple:
        return Numbered, (int(self), self.seed)


@DATA_SAMPLERS.register_module()
class NumberedSampler(Sampler):
    """Another sampler, each index numbered by the seed of the run, the process, the epoch, and its place.

    Args:
        dataset, seed: Given by the runner.
        sampler: Config of the other one.
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
        """Leave the first samples of the next epoch out, which a resumed run has seen."""
        self.position = position

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.sampler.set_epoch(epoch)

    def _skip(self, count: int) -> None:
        """Begin after ``count`` samples, which a resumed run has seen."""
        self.skipped += count
        self.sampler.skip(count)


def seed_samples(loader: dict) -> None:
    """Have the samples of a data loader's config draw their own random numbers."""
    if loader['sampler'].get('type') != 'NumberedSampler':
        loader['dataset'] = dict(type='SelfSeededDataset', dataset=loader['dataset'])
        loader['sampler'] = dict(type='NumberedSampler', sampler=loader['sampler'])


@contextmanager
def _seeded(numbers: Sequence[int]) -> Iterator[None]:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence(numbers).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1:3])
    # Not torch.manual_seed, which in a process without a GPU's context keeps a call for each time it is called.
    torch.default_generator.manual_seed(int(words[3]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
