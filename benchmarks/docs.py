"""Write docs/benchmarks.md from what the benchmark tools wrote: ``python -m benchmarks.docs``."""

import argparse
import json
import os
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.atomic_write import atomic_write
from hiera_mm.commands.faults import as_sentences
from hiera_mm.errors import UserError

from benchmarks.contestants import IN_BFLOAT16
from benchmarks.measure import MODES
from benchmarks.report import cells, columns, is_ours, on_what, shape_of

MEASURED_ON = {
    'CPU, float32': ('cpu', 'float32'),
    'CPU, bfloat16': ('cpu', 'bfloat16'),
    'GPU, bfloat16': ('cuda', 'bfloat16'),
}
"""Columns of the summary: device and type."""

START = """# Benchmarks

This page is written by `python -m benchmarks.docs` from the files in `benchmarks/results/`, each of which holds the
command that made it (`bash benchmarks/all.sh` runs all). Weights are random, runs of one table alternate between
its contestants, times are medians of the runs. Compare within a table only: processors differ, and others use those
of a rented machine as well, which the ranges show. Tables of a CPU in bfloat16 are of the one that has instructions for
it.

MACs are multiply-accumulates of matrix products and convolutions in the forward pass of the whole batch, "of ceiling"
is the share of the fastest product of square matrices on the same machine, memory is what a run needs at its peak
beyond weights and input. On a CPU it also depends on what the process freed before, by a quarter and more.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--folder', type=Path, default=Path('benchmarks/results'), help='of results (%(default)s)')
    parser.add_argument('--page', type=Path, default=Path('docs/benchmarks.md'), help='to write (%(default)s)')
    arguments = parser.parse_args()
    folder, page = arguments.folder, arguments.page
    found = {path: json.loads(path.read_text()) for path in sorted(folder.glob('*.json'))}
    if not found:
        raise UserError(f"The folder '{folder}' holds no results; run: bash benchmarks/all.sh")
    parts = [START, machines(found), '## How much faster\n', summary(list(found.values()))]
    parts += [section(path, result, page) for path, result in found.items()]
    with atomic_write(page) as unfinished:
        unfinished.write_text('\n'.join(parts).rstrip() + '\n')
    print(f'Written: {page}')


def machines(found: dict[Path, dict]) -> str:
    """What the results were measured on, and which where, if it was not one machine."""
    named: dict[str, list[str]] = {}
    for path, result in found.items():
        facts = ', '.join(f'{key} {value}' for key, value in result['machine'].items())
        named.setdefault(facts, []).append(path.stem)
    whose = '' if len(named) == 1 else ' ({})'
    return '\n'.join(f'Machine: {facts}{whose.format(", ".join(stems))}.\n' for facts, stems in named.items())


def summary(results: list[dict]) -> str:
    """This suite's models against each other contestant."""
    ratios: dict[tuple[str, str, str], dict[tuple[str, str], float]] = {}
    for rows in (result['rows'] for result in results if 'contestant' in result['rows'][0]):
        if len({shape_of(row) for row in rows}) > 1:
            continue
        for row in rows:
            if (ours := _opponent(row, rows)) is not None:
                work = f'{MODES[row["mode"]]}, {shape_of(row)}{", compiled" if row["compiled"] else ""}'
                key = (row['contestant'], ours['contestant'], work)
                ratios.setdefault(key, {})[row['device'], row['dtype']] = row['median_s'] / ours['median_s']
    lines = [
        [f'`{ours}`', f'`{other}`', work, *(_times(found.get(where)) for where in MEASURED_ON.values())]
        for (other, ours, work), found in ratios.items()
    ]
    return _table(['model', 'against', 'work', *MEASURED_ON], lines)


def section(path: Path, result: dict, page: Path) -> str:
    rows = result['rows']
    lines = [f'## {result["title"]}\n', f'`{result["command"]}`\n']
    if 'contestant' in rows[0]:
        lines.append(f'{MODES[rows[0]["mode"]].capitalize()}, {rows[0]["dtype"]}, {on_what(rows[0])}.\n')
        cells_of_rows = [[f'`{row["contestant"]}`', shape_of(row), *cells(row)] for row in rows]
        lines.append(_table(['contestant', 'input', *columns(rows[0])], cells_of_rows))
    else:
        lines.append(_table(list(rows[0]), [[_plain(value) for value in row.values()] for row in rows]))
    if 'samples_a_second' in result:
        lines.append(f'{result["samples_a_second"]} samples a second and worker.\n')
    picture = path.with_suffix('.png')
    if picture.is_file():
        lines.append(f'![{result["title"]}]({os.path.relpath(picture, page.parent)})\n')
    return '\n'.join(lines)


def _opponent(row: dict, rows: list[dict]) -> dict | None:
    """Our row that a peer's is compared with: in the same precision, of the same size and windows if there is one."""
    precision, settings = _precision_and_settings(row)
    ours = [one for one in rows if is_ours(one['contestant']) and _precision_and_settings(one)[0] == precision]
    if row in ours or not ours:
        return None
    same = [one for one in ours if _precision_and_settings(one)[1] == settings]
    return (same or ours)[0]


def _precision_and_settings(row: dict) -> tuple[bool, str]:
    """Whether a contestant's weights are in bfloat16, and what stands behind its package."""
    name = row['contestant'].removeprefix(IN_BFLOAT16)
    return name != row['contestant'], name.partition(':')[2]


def _times(ratio: float | None) -> str:
    return 'not measured' if ratio is None else f'{ratio:.2f}x'


def _plain(value: object) -> str:
    return '-' if value is None else str(value)


def _table(headings: list[str], lines: list[list[str]]) -> str:
    rows = [headings, ['---'] * len(headings), *lines]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows) + '\n'


if __name__ == '__main__':
    with as_sentences():
        main()
