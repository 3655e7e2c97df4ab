"""Draw the loss curve of a work folder and name its results."""

import argparse
import json
from pathlib import Path

from hiera_mm.atomic_write import atomic_write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('folder', type=Path, help='work folder of training and testing')


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.inference.training_log import read_training_log

    folder = arguments.folder
    losses = read_training_log(folder).losses
    curve = folder / 'loss_curve.png'
    draw(losses, curve)
    print(f'Loss curve: {curve}')
    if any((folder / 'predictions').glob('*.png')):
        print(f'Ground truth beside predictions: {folder / "predictions"}')
    for name, value in read_metrics(folder).items():
        print(f'{name}: {value:.3f}')


def read_metrics(folder: Path) -> dict[str, float]:
    """What the latest evaluation of a checkpoint found."""
    results = [path for path in sorted(folder.glob('*/*.json')) if path.stem == path.parent.name]
    if not results:
        return {}
    metrics = json.loads(results[-1].read_text().splitlines()[-1])
    return {name: value for name, value in metrics.items() if 'mAP' in name and value >= 0}


def draw(losses: dict[str, dict[int, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout='constrained')
    for name, values in losses.items():
        steps = sorted(values)
        axes.plot(steps, [values[step] for step in steps], label=name, linewidth=2 if name == 'loss' else 1)
    axes.set(xlabel='iteration', ylabel='loss', ylim=(0, None))
    axes.legend()
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, dpi=120, format=path.suffix[1:] or 'png')
