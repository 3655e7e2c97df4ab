"""Evaluate a checkpoint on the config's test set.

hiera-mm test mask_rcnn_hiera_b work_dirs/mask_rcnn_hiera_b/iter_184375.pth
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hiera_mm.commands.launching import add_launch_options, launch
from hiera_mm.commands.options import (
    add_common_options,
    add_compile_option,
    add_config_argument,
    add_newest_option,
    add_trust_option,
    add_verbose_option,
    chosen_checkpoint,
    read_config,
)
from hiera_mm.program import command_line

if TYPE_CHECKING:
    from hiera_mm.tasks import Task

    from mmengine.config import Config
    from mmengine.hooks import Hook


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    parser.add_argument(
        'checkpoint', help="what training (a file, or the folder for its best), 'publish' or 'export' wrote"
    )
    parser.add_argument('--show-dir', help='folder for images with the ground truth next to the predictions')
    parser.add_argument('--out', metavar='FILE.pkl', help='file for the predictions')
    add_newest_option(parser)
    add_trust_option(parser)
    add_compile_option(parser)
    add_common_options(parser)
    add_verbose_option(parser)
    add_launch_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.engine.console import console
    from hiera_mm.engine.processes import process_group
    from hiera_mm.engine.running import write_errors_explained
    from hiera_mm.engine.settings import compile_model
    from hiera_mm.engine.testing import prepare_test
    from hiera_mm.inference.loading import is_exported
    from hiera_mm.tasks import check_data, task_of
    from hiera_mm.weights.files import locate_checkpoint

    launch('test', arguments)
    with console(arguments.verbose) as hooks:
        config = _config(arguments)
        # Determined before an exported file replaces the model.
        task = task_of(config)
        if arguments.show_dir:
            task.draw_test(config, arguments.show_dir)
        with write_errors_explained(config.work_dir, '--work-dir'):
            os.makedirs(config.work_dir, exist_ok=True)
        if arguments.out:
            # Fail before hours of testing rather than after them.
            with write_errors_explained(arguments.out, '--out'):
                folder = os.path.dirname(arguments.out) or '.'
                os.makedirs(folder, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()
        arguments.checkpoint = chosen_checkpoint(arguments.checkpoint, arguments.newest)
        exported = is_exported(arguments.checkpoint)
        if not exported:
            locate_checkpoint(arguments.checkpoint)
        check_data(config, ['test_dataloader'])
        prepare_test(config, arguments.checkpoint)
        if exported:
            config.load_from, config.model = (
                None,
                dict(type='ExportedModel', file=arguments.checkpoint, trust=arguments.trust),
            )
            # mmsegmentation's configs set it at the top for the model, which the file replaces.
            config.pop('data_preprocessor', None)
        elif arguments.compile:
            compile_model(config)
        with process_group(config):
            _test(config, hooks, task, arguments.out, arguments.checkpoint if exported else None)


def _config(arguments: argparse.Namespace) -> Config:
    from hiera_mm.errors import UserError

    if arguments.out and not arguments.out.endswith(('.pkl', '.pickle')):
        raise UserError(f"--out writes a pickle, so the name must end in .pkl, unlike '{arguments.out}'.")
    config = read_config(arguments)
    if config.get('test_dataloader') is None:
        raise UserError(
            f"The config '{arguments.config}' has no test_dataloader, so there is nothing to test (see a masked "
            f"autoencoder's reconstructions with {command_line('predict')})."
        )
    return config


def _test(config: Config, hooks: Sequence[Hook], task: Task, out: str | None, exported: str | None) -> None:
    from hiera_mm.engine.load_from import check_classes
    from hiera_mm.engine.running import build_runner
    from hiera_mm.engine.testing import run_with_predictions

    runner = build_runner(config)
    for hook in hooks:
        runner.register_hook(hook)
    if exported:
        check_classes(runner, runner.model.classes, exported)
    if out:
        run_with_predictions(runner, task.dump, out)
    else:
        runner.test()
