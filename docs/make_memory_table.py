"""Write docs/memory.md: ``python docs/make_memory_table.py`` (ten minutes).

What fits follows from the plan of each config (``hiera-mm plan``).
"""

from pathlib import Path

import hiera_mm.registration  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.atomic_write import atomic_write
from hiera_mm.config import read_config_file
from hiera_mm.engine.training_plan import CUDA_OVERHEAD, USABLE_SHARE, training_setups
from hiera_mm.shipped import shipped_configs
from hiera_mm.tasks import task_of

from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

PAGE = Path(__file__).with_name('memory.md')
GPUS = (12, 24, 40, 80)
GIB = 2**30
SAME = ('inat', 'places', 'k600', 'k700', 'ava_kinetics')
"""Beginnings of configs that differ from another one in the classes alone."""

START = f"""# What fits on a GPU

Written by `python docs/make_memory_table.py` from `hiera-mm plan`, which counts what a training step allots on torch's
fake tensors: weights, gradients, the optimizer's states, and activations. {CUDA_OVERHEAD / GIB:g} GiB and
{1 - USABLE_SHARE:.0%} of a GPU are left to CUDA, its libraries and fragmentation. How near the count comes was
measured on a CPU (`python -m benchmarks.training_memory`, [benchmarks.md](benchmarks.md)) and for ten configs on an
H200 ([scaling.md](scaling.md#what-fits)); the batches of this table were not tried. The assignment of boxes to anchors,
which depends on how many objects an image has, is not counted.

Cells: the largest `train_dataloader.batch_size` of a process in half precision (`--amp`), without recomputing, with
`model.backbone.with_cp="(True,True,False,False)"`, and with `with_cp=True`. Batches of Kinetics count videos, of which
each gives several clips. Configs for other classes (iNaturalist, Places, Kinetics-600 and -700) take what the ones for
ImageNet and Kinetics-400 take. For a model of which none fits: `runner_type = 'FullyShardedRunner'`
([scaling.md](scaling.md)).

"""


def main() -> None:
    # Otherwise each optimizer tells its groups.
    MMLogger.get_current_instance().setLevel('ERROR')
    rows = ['| config | input | batch of the recipe | ' + ' | '.join(f'{gpu} GiB' for gpu in GPUS) + ' |']
    rows.append('| --- | --- | --- | ' + ' | '.join('---' for _ in GPUS) + ' |')
    for name, path in shipped_configs().items():
        if name.endswith('448') or not name.startswith(SAME) and '_shapes' not in name:
            rows.append(_row(name, path))
            print(rows[-1], flush=True)
    with atomic_write(PAGE) as unfinished:
        unfinished.write_text(START + '\n'.join(rows) + '\n')


def _row(name: str, path: Path) -> str:
    config = read_config_file(str(path))
    with DefaultScope.overwrite_default_scope(config.default_scope):
        shape = task_of(config).input_shape(config)
        ways = list(training_setups(config, task_of(config), shape, gpus=1, precisions=[True]))
    cells = [' / '.join(str(way.largest_batch(gpu * GIB)) for way in ways) for gpu in GPUS]
    frames = config.model.backbone.get('num_frames')
    pixels = f'{frames} x ' * bool(frames) + f'{shape[0]} x {shape[1]}'
    return f'| `{name}` | {pixels} | {config.train_dataloader.batch_size} | ' + ' | '.join(cells) + ' |'


if __name__ == '__main__':
    main()
