"""Time mmdet's two COCO metrics, and say whether they agree: ``python -m benchmarks.metric``.

CocoMetric counts with pycocotools, FasterCocoMetric with faster-coco-eval. Annotations and predictions are generated.
"""

import argparse
import contextlib
import io
import tempfile
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.commands.faults import as_sentences
from hiera_mm.errors import UserError

from benchmarks.metric_speed import time_metrics
from benchmarks.report import parser_of, write

TYPES = ('mmdet.CocoMetric', 'mmdet.FasterCocoMetric')


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        found = time_metrics(Path(folder), arguments.images, TYPES)
    (slow, expected), (_, given) = found.values()
    differing = [key for key, value in expected.items() if given.get(key) != value]
    rows = [
        dict(metric=name, images=arguments.images, seconds=round(seconds, 2), speed=round(slow / seconds, 2), **results)
        for name, (seconds, results) in found.items()
    ]
    for row in rows:
        print(f'{row["metric"]:26}{row["seconds"]:8.2f} s{row["speed"]:8.2f}x')
    if differing:
        raise UserError(f'The two metrics differ in {", ".join(differing)}; take CocoMetric.')
    print(f'all {len(expected)} figures are the same')
    if arguments.out:
        write(arguments.out, rows, 'COCO evaluation, boxes and masks')


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument('--images', type=int, default=500, help='with 100 predictions each')
    return parser.parse_args()


if __name__ == '__main__':
    with as_sentences():
        main()
