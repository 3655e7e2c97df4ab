"""What a run's safety costs, as shares of a training step: ``python -m benchmarks.safety mask_rcnn_hiera_b``.

Beside the step stand the look at the gradients of every iteration, the random states that each checkpoint stores, the
release of memory of every 50th iteration, and for each checkpoint the time that training stands still (a copy is made)
and the time until the file is on the disk. Uses the training data of the config, read in this process.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.commands.faults import as_sentences
from hiera_mm.commands.options import add_common_options, add_config_argument, read_config
from hiera_mm.engine import ReleaseMemoryHook, StopOnInvalidLossHook
from hiera_mm.engine.random_states import gathered_states
from hiera_mm.engine.saving import Writing, save_whole
from hiera_mm.tasks import check_data

import torch
from mmengine.registry import MODELS

from benchmarks.measure import seconds
from benchmarks.report import parser_of, write
from benchmarks.step_parts import time_parts

REPEATS, SAVES = 30, 5


def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments)
    check_data(config, ['train_dataloader'])
    parts = time_parts(config, arguments.repeats, 'cpu')
    step = sum(time for times in parts.values() for time in times if time)
    model = MODELS.build(config.model)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    look = StopOnInvalidLossHook()
    content = dict(state_dict=model.state_dict(), optimizer=optimizer.state_dict())
    standing, writing = _saving(content)
    rows = [dict(what='training step', seconds=round(step, 4), share=1.0)]
    for what, times, run in (
        ('look at the gradients', 1, lambda: look._measure(optimizer, (), {})),
        ('random states, a checkpoint', 1, gathered_states),
        ('release of memory, an iteration', ReleaseMemoryHook.interval, lambda: ReleaseMemoryHook().trim(0)),
    ):
        cost = _median(run) / times
        rows.append(dict(what=what, seconds=round(cost, 6), share=round(cost / step, 6)))
    for what, cost in (('checkpoint, training stands', standing), ('checkpoint, until it is written', writing)):
        rows.append(dict(what=what, seconds=round(cost, 4), share=round(cost / step, 4)))
    for row in rows:
        print(f'{row["what"]:32}{row["seconds"]:12.6f} s{row["share"]:12.4%}')
    if arguments.out:
        write(arguments.out, rows, title=f'Safety of {Path(arguments.config).stem}')


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_config_argument(parser)
    parser.add_argument('--repeats', type=int, default=3, help='steps that count, after one that warms up')
    add_common_options(parser)
    return parser.parse_args()


def _saving(content: dict) -> tuple[float, float]:
    """Medians of the seconds until training goes on, and until the file is whole."""
    standing, writing = [], []
    with tempfile.TemporaryDirectory(dir='.') as folder:
        for _ in range(SAVES):
            start = time.perf_counter()
            with Writing.in_a_thread():
                save_whole(content, f'{folder}/checkpoint.pth')
            standing.append(time.perf_counter() - start)
            Writing.finish()
            writing.append(time.perf_counter() - start)
    return statistics.median(standing), statistics.median(writing)


def _median(run: Callable[[], object]) -> float:
    return statistics.median(seconds(run, 'cpu') for _ in range(REPEATS))


if __name__ == '__main__':
    with as_sentences():
        main()
