"""How many samples a second one data-loading worker makes: ``python -m benchmarks.data configs/k400_hiera_b.py``.

Uses the training data of the config, and prints what each transform takes. A training step needs
batch_size / (num_workers x samples a second) seconds of data.
"""

import argparse
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.commands.faults import as_sentences
from hiera_mm.commands.options import add_common_options, add_config_argument, read_config
from hiera_mm.config import in_scope
from hiera_mm.tasks import check_data

from mmengine.registry import DATASETS

from benchmarks.data_speed import time_samples
from benchmarks.measure import peak_memory
from benchmarks.report import parser_of, write


def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments)
    check_data(config, ['train_dataloader'])
    with in_scope(config):
        dataset = DATASETS.build(config.train_dataloader.dataset)
    made: list[tuple[float, dict[str, float]]] = []
    peak = peak_memory(lambda: made.append(time_samples(dataset, arguments.seconds)), 'cpu')
    ((rate, transforms),) = made
    rows = [dict(step=step, milliseconds_a_sample=round(1000 * seconds, 2)) for step, seconds in transforms.items()]
    rows.append(dict(step='all', milliseconds_a_sample=round(1000 / rate, 2)))
    print(f'{rate:.2f} samples a second and worker')
    if peak is not None:
        print(f'{peak / 2**30:.3f} GiB more than without data, at most')
    for row in rows:
        print(f'{row["step"]:24}{row["milliseconds_a_sample"]:10.2f} ms')
    if arguments.out:
        title = f'Training samples of {Path(arguments.config).stem}'
        write(arguments.out, rows, title, samples_a_second=round(rate, 2), peak_bytes=peak)


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_config_argument(parser)
    parser.add_argument('--seconds', type=float, default=20, help='for how long to measure')
    add_common_options(parser)
    return parser.parse_args()


if __name__ == '__main__':
    with as_sentences():
        main()
