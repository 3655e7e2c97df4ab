"""Train any model of the suite: ``python tools/train.py configs/mask_rcnn_hiera_b.py``."""

import argparse

import hiera_mm  # noqa: F401  (first: it mends what the imports below need)
from hiera_mm.cli import (
    add_common_options,
    add_training_options,
    apply_training_options,
    faults_as_sentences,
    read_config,
)
from hiera_mm.datasets.check import check_data
from hiera_mm.weights.files import locate_checkpoint

from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint


def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments)
    apply_training_options(config, arguments)
    if arguments.resume:
        resume(config, arguments.resume)
    elif config.get('load_from'):
        locate_checkpoint(config.load_from)
    check_data(config, ['train_dataloader', 'val_dataloader'])
    Runner.from_cfg(config).train()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or without a value from the latest one in the work folder',
    )
    add_training_options(parser)
    add_common_options(parser)
    return parser.parse_args()


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
