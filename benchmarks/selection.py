"""Whether images that ``hiera-mm select`` chooses are worth more than random ones: ``python -m benchmarks.selection``.

For each seed a detector learns from some random images of a set, and chooses as many of the others; then one learns
from both, and one from the first ones and as many at random, from the start and with the same iterations. Writes
WORK_DIR/selection.md. What was trained is not trained again. The set is made by
``hiera-mm make-data data/shapes --train 500 --val 100``.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.commands.faults import as_sentences
from hiera_mm.errors import UserError
from hiera_mm.tasks.detection.selection import LIST

from benchmarks.compare import summary, trained

METRICS = ('coco/bbox_mAP', 'coco/segm_mAP')


def main() -> None:
    arguments = parse_arguments()
    found = [of_seed(arguments, seed) for seed in arguments.seeds]
    lines = ['| metric | images | mean | standard deviation | runs |', '| --- | --- | --- | --- | --- |']
    for metric in METRICS:
        for kind in found[0]:
            lines.append(f'| {metric} | {kind} | {summary([one[kind][metric] for one in found])} |')
    table = '\n'.join(lines)
    with atomic_write(arguments.work_dir / 'selection.md') as unfinished:
        unfinished.write_text(f'{table}\n')
    print(table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default='mask_rcnn_hiera_t_shapes', help='a shipped config (%(default)s)')
    parser.add_argument('--data', type=Path, default=Path('data/shapes'), help='generated set (%(default)s)')
    parser.add_argument('--count', type=int, default=50, help='images in each step (%(default)s)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2, 3, 4], help='seeds (%(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/selection'), help='folder (%(default)s)')
    parser.add_argument('--cfg-options', nargs='+', dest='options', default=[], help='as in training, for all runs')
    return parser.parse_args()


def of_seed(arguments: argparse.Namespace, seed: int) -> dict[str, dict[str, float]]:
    """The metrics after learning the first images, these and random ones, these and chosen ones."""
    folder, count = arguments.work_dir / f'seed{seed}', arguments.count
    annotations = json.loads((arguments.data / 'annotations' / 'instances_train.json').read_text())
    names = sorted(image['file_name'] for image in annotations['images'])
    if len(names) < 2 * count:
        raise UserError(
            f"'{arguments.data}' has {len(names)} images to learn from, fewer than twice {count}; make more."
        )
    drawn = random.Random(seed).sample(names, 2 * count)
    first, others = drawn[:count], drawn[count:]
    found = {f'{count} at random': learn(arguments, seed, folder / 'first', annotations, first)}
    chosen = select(folder, arguments.data / 'train', first, count)
    found[f'{2 * count} at random'] = learn(arguments, seed, folder / 'random', annotations, [*first, *others])
    found[f'{count} at random, {count} chosen'] = learn(
        arguments, seed, folder / 'chosen', annotations, [*first, *chosen]
    )
    return found


def learn(
    arguments: argparse.Namespace, seed: int, folder: Path, annotations: dict, names: Collection[str]
) -> dict[str, float]:
    """The metrics of a training on some images of the set."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [image for image in annotations['images'] if image['file_name'] in names]
    ids = {image['id'] for image in images}
    objects = [annotation for annotation in annotations['annotations'] if annotation['image_id'] in ids]
    (folder / 'train.json').write_text(json.dumps(annotations | dict(images=images, annotations=objects)))
    config = folder / 'config.py'
    config.write_text(
        f"_base_ = 'hiera_mm::{arguments.config}.py'\n"
        f"data_root = '{arguments.data.resolve()}/'\ntrain_ann_file = '{folder.resolve()}/train.json'\n"
    )
    return trained(str(config), seed, folder / 'run', arguments.options)


def select(folder: Path, pool: Path, labelled: Collection[str], count: int) -> list[str]:
    """The names of the images that the first detector chooses."""
    command = [sys.executable, '-m', 'hiera_mm', 'select', folder / 'first' / 'run', pool, '-n', count]
    command += ['--labelled', *(pool / name for name in labelled), '--out-dir', folder / 'selected']
    if not (folder / 'selected' / LIST).is_file() and subprocess.run([*map(str, command)]).returncode:
        raise UserError(f"Selecting from '{pool}' failed; what was wrong is said above.")
    return [Path(line).name for line in (folder / 'selected' / LIST).read_text().splitlines()]


if __name__ == '__main__':
    with as_sentences():
        main()
