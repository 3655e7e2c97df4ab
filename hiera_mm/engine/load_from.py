"""``load_from`` of mmengine's runner: reads checkpoints in every format as data only, and fits them to the model."""

from collections.abc import Sequence
from io import BytesIO

from hiera_mm.errors import UserError, first_few
from hiera_mm.weights.files import explained_read_errors, read_checkpoint, read_torch_file
from hiera_mm.weights.formats import unwrap
from hiera_mm.weights.load import check_fits, fit_to_model, has_hiera, whole_state
from hiera_mm.weights.origin import ORIGINS_KEY, origins_of, record_origins

import mmengine.runner.checkpoint
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader


@HOOKS.register_module()
class FitCheckpointHook(Hook):
    """Fits a loaded checkpoint to the model, and logs what was used, dropped and missing.

    Args:
        complete: The checkpoint must hold the whole model, as for testing (a published classifier does hold a
            recogniser); a resumed one always must.

    Raises:
        UserError: if the backbone, or with ``complete`` any tensor, is missing or has another shape, or the
            checkpoint's classes differ from the test set's.
    """

    def __init__(self, complete: bool = False) -> None:
        self.complete = complete

    def before_run(self, runner: Runner) -> None:
        """Patch the loaders before the runner initialises weights and loads checkpoints."""
        load_data_only()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        source = str(runner._load_from or runner.work_dir)
        if runner._resume:
            record_origins(model, list((checkpoint.get('meta') or {}).get(ORIGINS_KEY, ())))
        else:
            record_origins(model, origins_of(source, checkpoint))
        # mmengine would run it as a config when it resumes.
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        report = ''
        if self.complete and not runner._resume:
            state, report = whole_state(model, checkpoint, source)
            check_classes(runner, _trained_classes(checkpoint), source)
        elif has_hiera(model) and not runner._resume:
            state, report = fit_to_model(model, checkpoint, source)
        else:
            state, _ = unwrap(checkpoint, source)
        if runner._resume:
            check_fits(model, state, source)
            check_resumed_classes(runner, checkpoint, source)
        if report:
            runner.logger.info(report)
        checkpoint['state_dict'] = state


def _trained_classes(checkpoint: dict) -> Sequence[str] | None:
    return ((checkpoint.get('meta') or {}).get('dataset_meta') or {}).get('classes')


def check_classes(runner: Runner, trained: Sequence[str] | None, source: str) -> None:
    """Check that a test set has the classes of training in the same order, since a model only knows their numbers.

    Raises:
        UserError: if they differ, naming both.
    """
    tested = getattr(runner.test_dataloader.dataset, 'metainfo', {}).get('classes')
    if trained and tested and list(trained) != list(tested):
        raise UserError(
            f"The checkpoint '{source}' was trained with other classes than those of the test set: "
            f'{_first_difference(trained, tested)}; set the classes of the config to those of training, in their order '
            '(the order in the annotation file does not matter).'
        )


def check_resumed_classes(runner: Runner, checkpoint: dict, source: str) -> None:
    """Check that a resumed run has the classes that it began with, in the same order.

    Raises:
        UserError: if they differ, naming both.
    """
    trained = _trained_classes(checkpoint)
    now = getattr(runner.train_dataloader.dataset, 'metainfo', {}).get('classes')
    if trained and now and list(trained) != list(now):
        raise UserError(
            f"The classes of the config are not those that the run in '{source}' began with: "
            f'{_first_difference(trained, now)}; labels would change their meaning. Set the classes of the first run, '
            'or start from its weights alone: --cfg-options load_from=CHECKPOINT.'
        )


def _first_difference(first: Sequence[str], second: Sequence[str]) -> str:
    """Where two lists of names differ, in words."""
    if sorted(first) == sorted(second):
        number = next(i for i, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1])
        return f"number {number} was '{first[number]}' and is '{second[number]}'"
    gone, new = ([name for name in one if name not in other] for one, other in ((first, second), (second, first)))
    told = ([f'{first_few(gone)} gone'] if gone else []) + ([f'{first_few(new)} new'] if new else [])
    return f'{len(first)} then and {len(second)} now, {" and ".join(told)}'


def load_from_anywhere(filename: str, map_location: object = None, **_: object) -> dict:
    """Replace mmengine's loader of paths and URLs; also takes names of the zoo, and ignores further arguments."""
    # Callers may save it again, and loading a file with a class of ours would be refused as unsafe.
    return dict(read_checkpoint(filename, map_location or 'cpu'))


def load_data_only() -> None:
    """Make every checkpoint loader of mmengine in this process refuse files that could run code; onedl-mmengine's only
    warn. Calling it again changes nothing."""
    CheckpointLoader.register_scheme(('', 'http://', 'https://'), load_from_anywhere, force=True)
    mmengine.runner.checkpoint.load_from_http = load_from_anywhere
    if hasattr(mmengine.runner.checkpoint, '_safe_torch_load'):
        mmengine.runner.checkpoint._safe_torch_load = _load_fetched


def _load_fetched(file: str | BytesIO, map_location: object = None, weights_only: bool | None = None) -> object:
    """Load the bytes that loaders of object stores fetched."""
    if not isinstance(file, BytesIO):
        return load_from_anywhere(file, map_location)
    with explained_read_errors('of the object store', file.getbuffer().nbytes):
        return read_torch_file(file, map_location)
