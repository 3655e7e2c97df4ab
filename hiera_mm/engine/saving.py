"""Saves checkpoints safely: a new one is complete before the old ones are deleted.

A checkpoint is copied first and then written by a thread while training continues.
"""

import contextlib
import copy
import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from hiera_mm.atomic_write import atomic_write, remove_unfinished
from hiera_mm.engine.plain_state import as_plain, with_histories
from hiera_mm.engine.random_states import State, gathered_states, random_state
from hiera_mm.errors import UserError
from hiera_mm.weights.origin import ORIGINS_KEY, recorded_origins

import mmengine.runner.runner
import torch
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook as PlainCheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

INTERRUPTED = 'interrupted.pth'
"""File name of the checkpoint of an interrupted run."""

BEST = 'best_'
"""How the names of the best checkpoints by validation begin."""

LAST = 'last_checkpoint'
"""File in the work folder that names the newest checkpoint."""

REPLACED = 'replaced_ckpts'
"""Key in a checkpoint for the older ones that it replaces."""


class Writing:
    """Writes the files of this process one after the other, each only if the previous one succeeded."""

    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix='saving')
    last: Future | None = None
    in_background = False

    @classmethod
    @contextlib.contextmanager
    def in_a_thread(cls) -> Iterator[None]:
        """Write what is saved inside in the thread. Other code may read a file right after saving it, so it must
        not."""
        cls.in_background = True
        try:
            yield
        finally:
            cls.in_background = False

    @classmethod
    def then(cls, task: Callable[[], object]) -> None:
        """Run a task after all earlier ones."""
        cls.last = cls.thread.submit(cls._after, cls.last, task)

    @classmethod
    @contextlib.contextmanager
    def finished_on_failure(cls) -> Iterator[None]:
        """If the run inside fails, finish the checkpoints that are being written."""
        try:
            yield
        except BaseException:
            # The first error is the one to report.
            with contextlib.suppress(Exception):
                cls.finish()
            raise

    @staticmethod
    def _after(before: Future | None, task: Callable[[], object]) -> None:
        if before is not None:
            before.result()
        task()

    @classmethod
    def finish(cls) -> None:
        """Wait for all tasks; raise the error of one that failed."""
        last, cls.last = cls.last, None
        if last is not None:
            last.result()


# Under mmengine's own name, so that every run of this suite saves this way whatever its config says.
@HOOKS.register_module(name='CheckpointHook', force=True)
class CheckpointHook(PlainCheckpointHook):
    """mmengine's ``CheckpointHook`` that deletes an old checkpoint only when the new one is complete, writes and
    deletes nothing outside the run's folder, and stores the random states of all processes. In runs that use no other
    hook of this suite it behaves like mmengine's.

    Raises:
        UserError: before anything is written, if a weight is infinite or NaN.
    """

    random_states: list[State] | None = None
    position = 0
    best_ckpt_path: str | None
    best_ckpt_path_dict: dict[str, str | None]
    validating = False

    def before_train(self, runner: Runner) -> None:
        """Clean up what an interrupted run left in this run's folder, and find its best checkpoint."""
        super().before_train(runner)
        if not is_of_this_suite(runner):
            return
        with contextlib.suppress(Exception):
            # An error here belongs to another run in this process, which has reported it.
            Writing.finish()
        if is_main_process() and os.path.isdir(self.out_dir):
            remove_unfinished(Path(self.out_dir))
            self._remove_replaced(runner)
        # If the run resumes from another folder, the best checkpoint there is left alone.
        self.best_ckpt_path = self._in_this_folder(getattr(self, 'best_ckpt_path', None))
        for metric, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[metric] = self._in_this_folder(path)

    def after_train_iter(self, runner: Runner, batch_idx: int, *others: object, **named: object) -> None:
        if Writing.last is not None and Writing.last.done():
            Writing.finish()
        self.position = batch_idx + 1
        super().after_train_iter(runner, batch_idx, *others, **named)

    def after_train(self, runner: Runner) -> None:
        Writing.finish()
        super().after_train(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse invalid weights, add random states and the origin of the weights, and convert everything to data that
        ``torch.load`` accepts by default."""
        if not is_of_this_suite(runner):
            return
        invalid = [
            name
            for name, tensor in checkpoint['state_dict'].items()
            if torch.is_tensor(tensor)
            and tensor.is_floating_point()
            and not math.isfinite(tensor.float().sum().item())
            and not torch.isfinite(tensor).all()
        ]
        if invalid:
            raise UserError(
                f"At iteration {runner.iter + 1} the weights are no longer numbers ('{invalid[0]}' and "
                f'{len(invalid) - 1} others), so nothing is saved; the last checkpoint is intact. Resume it with '
                '--resume and a lower optim_wrapper.optimizer.lr, or with clip_grad.'
            )
        checkpoint['meta']['batch_size'] = runner.train_dataloader.batch_size
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        checkpoint['meta'][ORIGINS_KEY] = recorded_origins(model)
        # A run of one process may be saved without this hook.
        checkpoint['random_states'] = self.random_states or [random_state()]
        for key in ('meta', 'message_hub'):
            checkpoint[key] = as_plain(checkpoint[key])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Convert plain data back to mmengine's objects."""
        state = checkpoint.get('message_hub')
        if isinstance(state, dict) and isinstance(state.get('log_scalars'), dict):
            state['log_scalars'] = with_histories(state['log_scalars'])

    def before_val(self, runner: Runner) -> None:
        if is_of_this_suite(runner):
            # A checkpoint saved during validation must not depend on the validation.
            self.random_states, self.validating = gathered_states(), True

    def after_val(self, runner: Runner) -> None:
        self.validating = False

    def save_now(self, runner: Runner, position: int) -> str:
        """Save between the regular times; every process must call it.

        Args:
            runner: The runner.
            position: How many batches of the epoch are done.

        Returns:
            The name of the file, which the next regular checkpoint removes.
        """
        self.random_states = gathered_states()
        meta = dict(epoch=runner.epoch, iter=runner.iter + 1, position=position)
        runner.save_checkpoint(self.out_dir, INTERRUPTED, meta=meta, by_epoch=False, backend_args=self.backend_args)
        return self.file_backend.join_path(self.out_dir, INTERRUPTED)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        if not is_of_this_suite(runner):
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        if not self.validating:
            self.random_states = gathered_states()
        if not self.by_epoch:
            # A run of epochs may be saved in the middle of one.
            meta = dict(meta, position=self.position)
        steps = [kept for kept in getattr(self, 'keep_ckpt_ids', ()) if kept != step] + [step]
        kept = steps[-self.max_keep_ckpts :] if self.max_keep_ckpts > 0 else steps
        old = [self.filename_tmpl.format(step) for step in steps[: len(steps) - len(kept)]]
        if self.max_keep_ckpts > 0:
            runner.message_hub.update_info('keep_ckpt_ids', kept)
            runner.message_hub.update_info(REPLACED, old)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        with Writing.in_a_thread():
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
        self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts if self.max_keep_ckpts > 0 else None)
        if is_main_process():
            inside = os.path.abspath(self.out_dir) == os.path.abspath(runner.work_dir)
            named = name if inside else self.last_ckpt
            Writing.then(partial(self._replace, Path(runner.work_dir, LAST), named, [*old, INTERRUPTED]))

    def _remove_replaced(self, runner: Runner) -> None:
        """Remove what a run left behind that was killed after its newest checkpoint was complete and before the
        replaced one was deleted."""
        resumed = runner._load_from if runner._resume else None
        if resumed and os.path.samefile(os.path.dirname(resumed) or '.', self.out_dir):
            for name in runner.message_hub.runtime_info.get(REPLACED, ()):
                self._remove(os.path.basename(name))

    def _replace(self, last: Path, name: str, old: list[str]) -> None:
        with atomic_write(last) as unfinished:
            unfinished.write_text(name)
        for former in old:
            self._remove(former)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not is_of_this_suite(runner):
            super()._save_best_checkpoint(runner, metrics)
            return
        before = self._best()
        # mmengine would delete the best one before it writes the next.
        self.best_ckpt_path = None
        if hasattr(self, 'best_ckpt_path_dict'):
            self.best_ckpt_path_dict = dict.fromkeys(self.best_ckpt_path_dict)
        with Writing.in_a_thread():
            super()._save_best_checkpoint(runner, metrics)
        for metric, path in before.items():
            now = self._best()
            if now.get(metric) is None:
                self._set_best(metric, path)
            elif path is not None and path != now[metric] and is_main_process():
                Writing.then(partial(self._remove, os.path.basename(path)))

    def _best(self) -> dict[str | None, str | None]:
        return {None: self.best_ckpt_path, **getattr(self, 'best_ckpt_path_dict', {})}

    def _set_best(self, metric: str | None, path: str | None) -> None:
        if metric is None:
            self.best_ckpt_path = path
        else:
            self.best_ckpt_path_dict[metric] = path

    def _in_this_folder(self, path: str | None) -> str | None:
        if path is None:
            return None
        here = self.file_backend.join_path(self.out_dir, os.path.basename(path))
        return here if self.file_backend.isfile(here) else None

    def _remove(self, name: str) -> None:
        path = self.file_backend.join_path(self.out_dir, name)
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            self.file_backend.rmtree(path)


def is_of_this_suite(runner: Runner) -> bool:
    """Whether a run has hooks of this suite besides the one that saves, which its configs and commands set."""
    return any(
        type(hook).__module__.startswith('hiera_mm.') and not isinstance(hook, CheckpointHook) for hook in runner.hooks
    )


def save_whole_files() -> None:
    """Patch mmengine's runner to write checkpoints so that a kill or a full disk leaves the old file intact."""
    mmengine.runner.runner.save_checkpoint = save_whole
    mmengine.runner.runner.find_latest_checkpoint = named_last


def named_last(folder: str) -> str | None:
    """Path of the checkpoint that ``last_checkpoint`` names relative to its folder; None without that file."""
    name = last_named(Path(folder))
    return os.path.join(folder, name) if name else None


def last_named(folder: Path) -> str:
    """What the file ``last_checkpoint`` of a folder says; empty without it, or where its bytes are no text."""
    path = folder / LAST
    text = path.read_bytes().decode('utf-8', errors='replace').strip() if path.is_file() else ''
    return text if text.isprintable() and '\ufffd' not in text else ''


def checkpoint_folders(work_dir: Path) -> list[Path]:
    """Where a run's checkpoints are: in its work folder, and in the folder that ``last_checkpoint`` names, which is
    another one with CheckpointHook's ``out_dir``, but not if the work folder was copied."""
    named = Path(last_named(work_dir))
    elsewhere = named.is_file() and not (work_dir / named.name).is_file()
    return [work_dir, *([named.parent] if elsewhere else [])]


def save_whole(
    checkpoint: dict, filename: str, file_client_args: dict | None = None, backend_args: dict | None = None
) -> None:
    """Save as mmengine's ``save_checkpoint`` does, but never leave a partial file.

    Raises:
        UserError: if it can't be written, or the previous one could not be written in the background.
    """
    local = file_client_args is None and isinstance(get_file_backend(filename, backend_args=backend_args), LocalBackend)
    if not local:
        mmengine.runner.checkpoint.save_checkpoint(checkpoint, filename, file_client_args, backend_args)
        return
    # Keep at most one copy in memory.
    Writing.finish()
    copied = _copy_or_none(checkpoint) if Writing.in_background else None
    if copied is None:
        _write(checkpoint, filename)
    else:
        Writing.then(partial(_write, copied, filename))


def _copy_or_none(checkpoint: dict) -> dict | None:
    """A copy that training does not change; None if a model or hook stored something that can't be copied, such as a
    loss with its graph."""
    try:
        return copy.deepcopy(checkpoint)
    except Exception:  # the copied objects may raise anything
        return None


def _write(checkpoint: dict, filename: str) -> None:
    path = Path(filename)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished, unfinished.open('wb') as file:
            torch.save(checkpoint, file)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"The checkpoint '{filename}' can't be written ({_reason(error)}); the earlier ones are intact. Make "
            'room or set another --work-dir, and continue with --resume.'
        ) from error


def _reason(error: BaseException) -> str:
    """The system's reason; torch itself only says that it could not write."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return (cause.strerror if isinstance(cause, OSError) else None) or str(error)
