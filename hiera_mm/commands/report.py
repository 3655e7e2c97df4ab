"""Write one HTML page about a trained model: curves, results by class, confusions, worst images, speed, settings.

hiera-mm report WORK_DIR

Tests the best checkpoint of the run, or the named one, on the test set of its config.
"""

import argparse
from pathlib import Path

from hiera_mm.commands.options import add_newest_option, add_trust_option, add_verbose_option, chosen_checkpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('checkpoint', help='folder of a run, or one of its checkpoints')
    parser.add_argument('--out', type=Path, metavar='FILE.html', help='the page (default: report.html in the folder)')
    parser.add_argument('--score-thr', type=float, default=0.3, help='score threshold for confusions (%(default)s)')
    parser.add_argument('--config', help='config of the model, if its file does not contain it')
    parser.add_argument('--device', help='such as cuda:0 or cpu (default: a GPU if there is one)')
    add_newest_option(parser)
    add_trust_option(parser)
    add_verbose_option(parser)


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.engine.console import console
    from hiera_mm.inference.loading import config_for_testing
    from hiera_mm.inference.report.write import write_report
    from hiera_mm.tasks import load_trained

    source = chosen_checkpoint(arguments.checkpoint, arguments.newest)
    checkpoint, trained = Path(source), load_trained(source, arguments.config, arguments.device, arguments.trust)
    path = arguments.out or checkpoint.parent / 'report.html'
    with console(arguments.verbose):
        found = write_report(trained, config_for_testing(trained), checkpoint, path, arguments.score_thr)
    for name, value in found.items():
        print(f'{name}: {value:.4f}')
    print(f'{path}: {path.stat().st_size / 2**20:.1f} MiB.')
