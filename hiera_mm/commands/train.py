"""Train a model.

hiera-mm train mask_rcnn_hiera_b
hiera-mm train configs/mask_rcnn_hiera_b.py --work-dir work_dirs/mine --resume
hiera-mm train mask_rcnn_hiera_b --gpus 8 --amp
"""

import argparse

from hiera_mm.commands.launching import add_launch_options, launch
from hiera_mm.commands.options import (
    add_common_options,
    add_config_argument,
    add_training_options,
    add_verbose_option,
    apply_training_options,
    read_config,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from this checkpoint, or without a value from the latest one in the work folder',
    )
    folder.add_argument(
        '--overwrite', action='store_true', help='replace the checkpoints of an earlier run in the work folder'
    )
    add_training_options(parser)
    add_common_options(parser)
    add_verbose_option(parser)
    add_launch_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.engine.console import console
    from hiera_mm.engine.interruption import signals_end_the_run
    from hiera_mm.engine.processes import check_same_start, process_group
    from hiera_mm.engine.resuming import resume
    from hiera_mm.engine.run_length import set_run_length
    from hiera_mm.engine.running import begin_folder, build_runner, locked_work_dir, prepare_training
    from hiera_mm.engine.saving import Writing
    from hiera_mm.tasks import check_data, task_of
    from hiera_mm.weights.files import locate_checkpoint

    from mmengine.dist import is_main_process

    launch('train', arguments)
    with console(arguments.verbose) as hooks:
        config = read_config(arguments)
        apply_training_options(config, arguments)
        goes_on = arguments.resume or config.get('resume')
        begins = resume(config, arguments.resume)
        replaced = [] if goes_on else begin_folder(config, arguments.overwrite)
        if config.get('load_from') and not config.resume:
            locate_checkpoint(config.load_from)
        check_data(config, ['train_dataloader', 'val_dataloader'])
        set_run_length(config, task_of(config), arguments.config, arguments.cfg_options or ())
        prepare_training(config)
        with (
            locked_work_dir(config.work_dir),
            signals_end_the_run(),
            Writing.finished_on_failure(),
            process_group(config),
        ):
            check_same_start(begins)
            runner = build_runner(config)
            for hook in hooks:
                runner.register_hook(hook)
            # Last of all, when nothing in the config can stop the run any more.
            for path in replaced if is_main_process() else ():
                path.unlink(missing_ok=True)
            runner.train()
