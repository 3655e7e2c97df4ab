"""Evaluate a checkpoint: ``python tools/test.py configs/mask_rcnn_hiera_b.py CHECKPOINT``."""

import argparse
import os

import hiera_mm  # noqa: F401  (first: it mends what the imports below need)
from hiera_mm.cli import add_common_options, add_compile_option, compile_backbone, faults_as_sentences, read_config
from hiera_mm.datasets.check import check_data
from hiera_mm.engine.testing import dump_of_predictions, prepare_test
from hiera_mm.errors import UserError
from hiera_mm.weights.files import locate_checkpoint

from mmengine.config import Config
from mmengine.runner import Runner


def main() -> None:
    arguments = parse_arguments()
    if arguments.out and not arguments.out.endswith(('.pkl', '.pickle')):
        raise UserError(f"--out writes a pickle, so its name must end in .pkl, unlike '{arguments.out}'.")
    config = read_config(arguments)
    if config.get('test_dataloader') is None:
        raise UserError(
            f"The config '{arguments.config}' has no test_dataloader, so there is nothing to test (look at a masked "
            f"autoencoder's work with tools/visualize_mae.py)."
        )
    locate_checkpoint(arguments.checkpoint)
    check_data(config, ['test_dataloader'])
    prepare_test(config, arguments.checkpoint)
    if arguments.compile:
        compile_backbone(config)
    if arguments.show_dir and config.default_scope != 'mmdet':
        raise UserError('--show-dir draws boxes and masks, which this model does not predict; take --out instead.')
    if arguments.show_dir:
        draw_predictions(config, arguments.show_dir)
    runner = Runner.from_cfg(config)
    if arguments.out:
        runner.test_evaluator.metrics.append(dump_of_predictions(config, arguments.out))
    runner.test()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint that training wrote')
    parser.add_argument('--show-dir', help='folder for pictures of the ground truth beside the predictions')
    parser.add_argument('--out', metavar='FILE.pkl', help='file for the predictions')
    add_compile_option(parser)
    add_common_options(parser)
    return parser.parse_args()


def draw_predictions(config: Config, folder: str) -> None:
    # An absolute path stops the hook from putting the folder below a time stamp.
    config.default_hooks.visualization.update(draw=True, interval=1, test_out_dir=os.path.abspath(folder))


if __name__ == '__main__':
    with faults_as_sentences():
        main()
