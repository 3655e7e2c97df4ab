"""What a training step in float32 takes in memory on this machine beside what ``hiera-mm plan`` expects.

python -m benchmarks.training_memory in1k_hiera_b k400_hiera_b mask_rcnn_hiera_t --batch 2

Of a GPU, where there is one, what torch allots is read. On a CPU each step runs in a process of its own, whose
largest resident memory is read, less what it was before the model; the C library is told to give freed memory back at
once. Losses of detectors, which depend on the data, are no part of it, as in the plan.
"""

import argparse
import multiprocessing
import os
from collections.abc import Sequence

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.commands.faults import as_sentences
from hiera_mm.commands.options import add_common_options, read_config
from hiera_mm.engine.training_memory import TrainingMemory, train_steps, training_memory
from hiera_mm.engine.training_plan import RECOMPUTED_STAGES
from hiera_mm.tasks import task_of

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from benchmarks.measure import peak_memory
from benchmarks.report import parser_of, write

MIB = 2**20
GIVEN_BACK = dict(MALLOC_MMAP_THRESHOLD_='65536', MALLOC_TRIM_THRESHOLD_='65536')
"""Otherwise glibc keeps what was freed, for a reason of its own."""


def main() -> None:
    arguments = parse_arguments()
    os.environ.update(GIVEN_BACK)
    rows = []
    for name in arguments.configs:
        arguments.config = name
        config = read_config(arguments)
        for with_cp in RECOMPUTED_STAGES:
            case = (config, task_of(config).input_shape(config), with_cp, arguments.batch)
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                expected, measured = pool.apply(_expected, case) / MIB, pool.apply(_measured, case) / MIB
            stages = with_cp if isinstance(with_cp, bool) else 'stages 1 and 2'
            rows.append(
                dict(
                    config=name,
                    batch=arguments.batch,
                    recomputes=stages,
                    expected_mib=round(expected),
                    measured_mib=round(measured),
                    ratio=round(expected / measured, 3),
                )
            )
            print(' '.join(f'{value!s:>16}' for value in rows[-1].values()), flush=True)
    if arguments.out:
        write(arguments.out, rows, title=f'Memory of a training step, float32, on a {get_device().upper()}')


def _expected(config: Config, shape: Sequence[int], with_cp: bool | Sequence[bool], batch: int) -> int:
    init_default_scope(config.default_scope)
    memory: TrainingMemory = training_memory(
        config, task_of(config), shape, False, with_cp, fast_cpu=get_device() == 'cpu'
    )
    return memory.peak(batch)


def _measured(config: Config, shape: Sequence[int], with_cp: bool | Sequence[bool], batch: int) -> int:
    init_default_scope(config.default_scope)
    return peak_memory(lambda: train_steps(config, task_of(config), shape, batch, with_cp, steps=2), get_device())


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument('configs', nargs='+', help='names or paths of configs')
    parser.add_argument('--batch', type=int, default=2, help='(%(default)s)')
    add_common_options(parser)
    return parser.parse_args()


if __name__ == '__main__':
    with as_sentences():
        main()
