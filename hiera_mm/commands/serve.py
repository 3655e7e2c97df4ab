"""Serve a model as a web page: drop an image or a video on it to see the predictions.

hiera-mm serve MODEL

MODEL is as for 'hiera-mm predict'. Without --host the page can only be opened on this machine. Visitors can use the
model, and nothing else of this machine. Ctrl-C stops it.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading
from collections.abc import Iterator

from hiera_mm.commands.options import add_model_options, add_person_options, read_model, read_persons
from hiera_mm.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', help="checkpoint, folder of a run, or what 'hiera-mm publish' or 'export' wrote")
    add_model_options(parser)
    parser.add_argument('--host', default='127.0.0.1', help='0.0.0.0 for access from other machines (%(default)s)')
    parser.add_argument('--port', type=int, default=7860, help='port (%(default)s)')
    parser.add_argument('--max-file-size', type=float, default=100, metavar='MB', help='largest upload (%(default)s)')
    parser.add_argument('--max-seconds', type=float, default=60, help='longest video (%(default)s)')
    parser.add_argument(
        '--max-pixels', type=float, default=50, metavar='MILLION', help='largest image or frame (%(default)s)'
    )
    parser.add_argument(
        '--allowed-hosts',
        nargs='+',
        default=(),
        metavar='NAME',
        help='other names of this page, such as that of a proxy',
    )
    add_person_options(parser.add_argument_group('for action detectors'))


def run(arguments: argparse.Namespace) -> None:
    from functools import partial

    from hiera_mm.inference.page import opened_page
    from hiera_mm.inference.page_results import Limits, result_for

    predictor = read_model(arguments)
    if predictor.trained.task.needs_persons != (arguments.det_checkpoint is not None):
        raise UserError(
            f"'{arguments.model}' detects actions of persons; name a detector that finds them: --det-checkpoint."
            if arguments.det_checkpoint is None
            else f"--det-checkpoint has no effect for '{arguments.model}', which does not detect actions; leave it out."
        )
    persons = read_persons(arguments)
    limits = Limits(round(arguments.max_pixels * 1e6), arguments.max_seconds)
    look = partial(result_for, predictor, limits=limits, persons=persons)
    most_bytes = round(arguments.max_file_size * 2**20)
    page_settings = arguments.host, arguments.port, most_bytes, arguments.allowed_hosts
    with opened_page(predictor, look, *page_settings) as page, _ended_by_signal() as ended:
        print(f'The page is at http://{arguments.host}:{page.server_port}; Ctrl-C stops it.', flush=True)
        ended.wait()


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[threading.Event]:
    """An event set by Ctrl-C and SIGTERM; an exception could be swallowed by other code."""
    ended = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: ended.set()) for number in signals]
    try:
        yield ended
    finally:
        # A second signal ends a server that does not close.
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
