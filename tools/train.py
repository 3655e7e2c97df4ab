"""Train any model of the suite: ``python tools/train.py configs/mask_rcnn_hiera_b.py``."""

import argparse

import hiera_mm  # noqa: F401  (first: it mends what the imports below need)
from hiera_mm.cli import add_common_options, add_compile_option, compile_backbone, faults_as_sentences, read_config
from hiera_mm.datasets.check import check_data
from hiera_mm.errors import UserError
from hiera_mm.weights.files import locate_checkpoint

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint


def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments)
    if arguments.amp:
        use_mixed_precision(config)
    if arguments.compile:
        compile_backbone(config)
    if arguments.auto_scale_lr:
        scale_learning_rate(config)
    if arguments.resume:
        resume(config, arguments.resume)
    elif config.get('load_from'):
        locate_checkpoint(config.load_from)
    check_data(config, ['train_dataloader', 'val_dataloader'])
    Runner.from_cfg(config).train()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (needs a GPU)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the true batch size over auto_scale_lr.base_batch_size',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or without a value from the latest one in the work folder',
    )
    add_compile_option(parser)
    add_common_options(parser)
    return parser.parse_args()


def use_mixed_precision(config: Config) -> None:
    if not torch.cuda.is_available():
        raise UserError('--amp needs a GPU, and torch sees none here; train without --amp.')
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.setdefault('loss_scale', 'dynamic')


def scale_learning_rate(config: Config) -> None:
    if 'base_batch_size' not in config.get('auto_scale_lr', {}):
        raise UserError(
            '--auto-scale-lr needs to know for which batch size the learning rate was chosen; set '
            'auto_scale_lr = dict(base_batch_size=...) in the config.'
        )
    config.auto_scale_lr.enable = True


def resume(config: Config, checkpoint: str) -> None:
    config.resume = True
    config.load_from = None if checkpoint == 'auto' else checkpoint
    found = find_latest_checkpoint(config.work_dir) if checkpoint == 'auto' else checkpoint
    if found is not None:
        locate_checkpoint(found)
        # The checkpoint holds the backbone too, so nothing has to be fetched first.
        config.model.backbone.init_cfg = None


if __name__ == '__main__':
    with faults_as_sentences():
        main()
