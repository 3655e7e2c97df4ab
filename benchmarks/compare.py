"""Train configs with several seeds each and compare their results.

Writes WORK_DIR/comparison.md. Runs that are there already are not repeated: name another folder for other options.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.commands.faults import as_sentences
from hiera_mm.errors import UserError


def main() -> None:
    arguments = parse_arguments()
    lines = []
    for config in arguments.configs:
        runs = [
            trained(config, seed, arguments.work_dir / f'{Path(config).stem}_seed{seed}', arguments.options)
            for seed in arguments.seeds
        ]
        lines += [f'| {Path(config).stem} | {row} |' for row in rows(runs)]
    table = '\n'.join(
        ['| config | metric | mean | standard deviation | runs |', '| --- | --- | --- | --- | --- |', *lines]
    )
    with atomic_write(arguments.work_dir / 'comparison.md') as unfinished:
        unfinished.write_text(f'{table}\n')
    print(table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='config files, or names of shipped ones')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='seeds (%(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/comparison'), help='folder (%(default)s)')
    parser.add_argument('--cfg-options', nargs='+', dest='options', default=[], help='as in training, for all runs')
    return parser.parse_args()


def trained(config: str, seed: int, folder: Path, options: list[str]) -> dict[str, float]:
    """The metrics of the last evaluation of a run in ``folder``, which is made if it isn't there."""
    result = folder / 'metrics.json'
    if not result.is_file():
        command = [sys.executable, '-m', 'hiera_mm', 'train', config, '--work-dir', folder]
        command += ['--cfg-options', f'randomness.seed={seed}']
        if subprocess.run([*map(str, command), *options]).returncode:
            raise UserError(f"Training '{config}' with seed {seed} failed; what was wrong is said above.")
        with atomic_write(result) as unfinished:
            unfinished.write_text(json.dumps(last_metrics(folder)))
    return json.loads(result.read_text())


def last_metrics(folder: Path) -> dict[str, float]:
    log = max(folder.glob('*/vis_data/scalars.json'))
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    evaluations = [entry for entry in entries if 'loss' not in entry]
    if not evaluations:
        raise UserError(f"The run in '{folder}' was never evaluated; give its config a val_dataloader.")
    return {key: value for key, value in evaluations[-1].items() if '/' in key}


def rows(runs: list[dict[str, float]]) -> list[str]:
    return [f'{key} | {summary([run[key] for run in runs])}' for key in runs[0]]


def summary(values: list[float]) -> str:
    """Cells of a table: mean, standard deviation, each value."""
    spread = statistics.stdev(values) if len(values) > 1 else float('nan')
    return f'{statistics.mean(values):.3f} | {spread:.3f} | {", ".join(f"{value:.3f}" for value in values)}'


if __name__ == '__main__':
    with as_sentences():
        main()
