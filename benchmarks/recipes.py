"""Try recipes on a data set by successive halving: ``python -m benchmarks.recipes benchmarks/studies/bccd.yml``.

The file names a config and trials, each the lines that a trial adds to it. All are trained for the epochs of the first
round; the best third for those of the next, and so on, each time from the start, so that every schedule comes to its
end. Results are added to the file beside it (NAME.json), and what stands there isn't trained again: the command can be
stopped at any time, and goes on when it is given again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.commands.faults import as_sentences
from hiera_mm.errors import UserError

import yaml

from benchmarks.compare import last_metrics


def main() -> None:
    arguments = parse_arguments()
    study = yaml.safe_load(arguments.study.read_text())
    record = arguments.study.with_suffix('.json')
    names = list(study['trials'])
    for epochs in study['rounds']:
        found = {name: result(study, record, name, epochs, arguments.seed) for name in names}
        names = sorted(found, key=lambda name: -found[name]['metrics'][study['metric']])
        print(f'{epochs} epochs, {study["metric"]}:')
        for name in names:
            print(f'  {found[name]["metrics"][study["metric"]]:.3f}  {found[name]["minutes"]:5.1f} min  {name}')
        names = names[: max(1, -(-len(names) // 3))]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('study', type=Path, help='file with config, metric, rounds and trials')
    parser.add_argument('--seed', type=int, default=0, help='of all trainings (%(default)s)')
    return parser.parse_args()


def result(study: dict, record: Path, name: str, epochs: int, seed: int) -> dict[str, Any]:
    """The result of a trial, from the record if it is there, else trained."""
    known = json.loads(record.read_text()) if record.is_file() else []
    trial = dict(trial=name, epochs=epochs, seed=seed)
    for one in known:
        if trial.items() <= one.items():
            return one
    began = time.monotonic()
    lines = study.get('common', '') + (study['trials'][name] or '')
    metrics = train(study['config'], lines, epochs, seed)
    found = trial | dict(minutes=round((time.monotonic() - began) / 60, 1), metrics=metrics)
    with atomic_write(record) as unfinished:
        unfinished.write_text(json.dumps([*known, found], indent=1) + '\n')
    return found


def train(config: str, lines: str, epochs: int, seed: int) -> dict[str, float]:
    """The metrics of a training's last validation."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / 'trial.py'
        own.write_text(f'_base_ = {str(Path(config).resolve())!r}\nepochs = {epochs}\n{lines}\n')
        command = [sys.executable, '-m', 'hiera_mm', 'train', own, '--work-dir', Path(folder) / 'run']
        command += ['--cfg-options', f'randomness.seed={seed}', 'default_hooks.checkpoint.max_keep_ckpts=1']
        if subprocess.run([*map(str, command)]).returncode:
            raise UserError(f'The trial of these lines failed; what was wrong is said above:\n{lines or "(none)"}')
        return last_metrics(Path(folder) / 'run')


if __name__ == '__main__':
    with as_sentences():
        main()
