"""Where a detector's training step spends its time: ``python -m benchmarks.step configs/mask_rcnn_hiera_b.py``.

Uses the training data of the config, read in this process.
"""

import argparse
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.commands.faults import as_sentences
from hiera_mm.commands.options import add_common_options, add_config_argument, read_config
from hiera_mm.tasks import check_data

from benchmarks.report import parser_of, write
from benchmarks.step_parts import time_parts


def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments)
    check_data(config, ['train_dataloader'])
    parts = time_parts(config, arguments.repeats, arguments.device)
    whole = sum(seconds for times in parts.values() for seconds in times if seconds)
    rows = [
        dict(
            part=part,
            forward_s=_rounded(forward),
            backward_s=_rounded(backward),
            share=_share(whole, forward, backward),
        )
        for part, (forward, backward) in parts.items()
    ]
    print(f'{arguments.config}, batch of {config.train_dataloader.batch_size}, {whole:.3f} s a step')
    for row in rows:
        print(f'{row["part"]:12}' + ''.join(f'{"-" if x is None else x:>10}' for x in list(row.values())[1:]))
    if arguments.out:
        write(arguments.out, rows, title=f'A training step of {Path(arguments.config).stem}')


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_config_argument(parser)
    parser.add_argument('--repeats', type=int, default=5, help='steps that count, after one that warms up')
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    add_common_options(parser)
    return parser.parse_args()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


def _share(whole: float, *seconds: float | None) -> float:
    return round(sum(filter(None, seconds)) / whole, 3)


if __name__ == '__main__':
    with as_sentences():
        main()
