"""Measurements as a table, and as CSV, JSON and a picture."""

import argparse
import csv
import json
import os
import platform
import shlex
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hiera_mm.atomic_write import atomic_write

import matplotlib
import torch

from benchmarks.contestants import IN_BFLOAT16
from benchmarks.measure import MODES, Measurement, Setting

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

MIB = 2**20

INSTRUCTIONS = ('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16')

OURS = ('hiera_mm', 'plain', 'kernels', 'masked', 'configs/')
"""How the names of this suite's contestants start."""

WIDTHS = (10, 16, 8, 10, 9, 12, 12, 9, 10, 10, 9)
GPU_COLUMNS = ('queued s', 'busy s', 'kernels')

COLUMNS = ('median s', 'range s', 'speed', 'params M', 'GMACs', 'of ceiling', 'memory MiB', 'first s')


def as_rows(found: Sequence[Measurement], setting: Setting, ceiling: float) -> list[dict[str, object]]:
    """One row for each contestant and scale; ratios are to the first contestant of the scale."""
    first: dict[str, float] = {}
    rows = []
    for one in found:
        first.setdefault(str(one.scale), one.median)
        rows.append(
            dict(
                contestant=one.contestant,
                mode=setting.mode,
                **asdict(one.scale),
                dtype=setting.dtype,
                device=setting.device,
                threads=torch.get_num_threads(),
                compiled=setting.compile,
                median_s=round(one.median, 5),
                fastest_s=round(min(one.times), 5),
                slowest_s=round(max(one.times), 5),
                runs=len(one.times),
                speed=round(first[str(one.scale)] / one.median, 3),
                parameters=one.parameters,
                macs=one.macs,
                share_of_ceiling=round(one.flops / one.median / ceiling, 3),
                peak_memory=one.peak_memory,
                first_run_s=round(one.warm_up, 3),
                **(
                    {}
                    if one.on_gpu is None
                    else dict(
                        graph=setting.graph,
                        queued_s=round(one.on_gpu.queued, 6),
                        busy_s=round(one.on_gpu.busy, 6),
                        kernels=one.on_gpu.kernels,
                    )
                ),
            )
        )
    return rows


def table(rows: Sequence[dict[str, object]]) -> str:
    """The rows for people: GMACs are of the forward pass of the whole batch."""
    wide = max(len(str(row['contestant'])) for row in rows) + 2
    lines = []
    scale = None
    for row in rows:
        if scale != shape_of(row):
            scale = shape_of(row)
            lines.append(f'{MODES[row["mode"]]}, {scale}, {row["dtype"]}, {on_what(row)}')
            lines.append('contestant'.ljust(wide) + _aligned(columns(row)))
        lines.append(str(row['contestant']).ljust(wide) + _aligned(cells(row)))
    return '\n'.join(lines)


def columns(row: dict[str, object]) -> tuple[str, ...]:
    """Headings of a row's table; on a GPU also of what tells its time from the processor's."""
    return (*COLUMNS, *GPU_COLUMNS) if 'busy_s' in row else COLUMNS


def cells(row: dict[str, object]) -> tuple[str, ...]:
    """What stands in a row of a table under its columns."""
    on_gpu = (f'{row["queued_s"]:.4f}', f'{row["busy_s"]:.4f}', str(row['kernels'])) if 'busy_s' in row else ()
    return (
        f'{row["median_s"]:.3f}',
        f'{row["fastest_s"]:.3f}-{row["slowest_s"]:.3f}',
        f'{row["speed"]:.2f}',
        f'{row["parameters"] / 1e6:.1f}',
        f'{row["macs"] / 1e9:.1f}',
        f'{row["share_of_ceiling"]:.0%}',
        '-' if row['peak_memory'] is None else f'{row["peak_memory"] / MIB:.0f}',
        f'{row["first_run_s"]:.2f}',
        *on_gpu,
    )


def is_ours(contestant: str) -> bool:
    """Whether this suite's, in whichever precision."""
    return contestant.removeprefix(IN_BFLOAT16).startswith(OURS)


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Of a benchmark whose rows :func:`write` writes to ``--out``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, metavar='PREFIX', help='write PREFIX.csv and PREFIX.json')
    return parser


def write(out: Path, rows: Sequence[dict[str, object]], title: str, **facts: object) -> None:
    """``OUT.csv``, and ``OUT.json`` with the title, the command that runs, the machine and ``facts``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(f'{out}.csv') as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    command = shlex.join(['python', '-m', f'benchmarks.{Path(sys.argv[0]).stem}', *sys.argv[1:]])
    everything = dict(title=title, command=command, machine=machine(), **facts, rows=list(rows))
    with atomic_write(f'{out}.json') as unfinished:
        unfinished.write_text(json.dumps(everything, indent=1))


def draw(out: Path, rows: Sequence[dict[str, object]], title: str) -> None:
    """``OUT.png``: bars, or curves where there are several scales."""
    figure = (_draw_bars if len({shape_of(row) for row in rows}) == 1 else _draw_growth)(rows, title)
    with atomic_write(f'{out}.png') as unfinished:
        figure.savefig(unfinished, format='png', dpi=110)
    plt.close(figure)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    facts = dict(
        processor=_processor(),
        instructions=_instructions(),
        cores=str(os.cpu_count()),
        system=platform.system(),
        python=platform.python_version(),
        torch=torch.__version__,
    )
    if torch.cuda.is_available():
        facts['gpu'] = torch.cuda.get_device_name()
    return facts


def shape_of(row: dict[str, object]) -> str:
    sides = (row['batch'], 3, row['frames'], row['height'], row['width'])
    return ' x '.join(str(side) for side in sides if side is not None)


def on_what(row: dict[str, object]) -> str:
    where = f'{row["threads"]} CPU threads' if row['device'] == 'cpu' else str(row['device'])
    how = [how for how, used in (('compiled', row['compiled']), ('as CUDA graphs', row.get('graph'))) if used]
    return ', '.join([where, *how])


def _aligned(texts: Sequence[str]) -> str:
    return ''.join(text.rjust(width) for text, width in zip(texts, WIDTHS[: len(texts)], strict=True))


def _instructions() -> str:
    """Those of the processor on which speed depends most, where Linux names them."""
    try:
        flags = Path('/proc/cpuinfo').read_text().split()
    except OSError:
        return 'unknown'
    return ' '.join(name for name in INSTRUCTIONS if name in flags)


def _processor() -> str:
    information = Path('/proc/cpuinfo')
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def _draw_bars(rows: Sequence[dict[str, object]], title: str) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.5 * len(rows)), layout='constrained')
    names = [row['contestant'] for row in rows]
    medians = [row['median_s'] for row in rows]
    spread = [
        [row['median_s'] - row['fastest_s'] for row in rows],
        [row['slowest_s'] - row['median_s'] for row in rows],
    ]
    colours = ['tab:orange' if is_ours(name) else 'tab:gray' for name in names]
    bars = axes.barh(range(len(rows)), medians, xerr=spread, color=colours)
    axes.bar_label(bars, [f' {row["median_s"]:.3g} s ({row["speed"]:.2f}x)' for row in rows], padding=3)
    axes.set_yticks(range(len(rows)), [_label(name) for name in names])
    axes.invert_yaxis()
    axes.set(title=title, xlabel='seconds, median and range', xlim=(0, 1.35 * max(row['slowest_s'] for row in rows)))
    return figure


def _label(name: str) -> str:
    """A contestant's name in lines that leave room for its bar; of a config the file's name."""
    short = name.rpartition('/')[2] if '.py' in name else name
    return textwrap.fill(short, 34)


def _draw_growth(rows: Sequence[dict[str, object]], title: str) -> plt.Figure:
    figure, (times, memory) = plt.subplots(1, 2, figsize=(11, 4.5), layout='constrained')
    growing, unit = (
        ('frames', 'frames') if len({row['frames'] for row in rows}) > 1 else ('height', 'image side in pixels')
    )
    for name in dict.fromkeys(row['contestant'] for row in rows):
        own = [row for row in rows if row['contestant'] == name]
        scales = [row[growing] for row in own]
        times.plot(scales, [row['median_s'] for row in own], marker='o', label=name)
        if all(row['peak_memory'] is not None for row in own):
            memory.plot(scales, [row['peak_memory'] / MIB for row in own], marker='o', label=name)
    for axes, what in ((times, 'seconds, median'), (memory, 'peak memory in MiB')):
        axes.set(xlabel=unit, ylabel=what, xscale='log', yscale='log')
        ticks = sorted({row[growing] for row in rows})
        axes.set_xticks(ticks, ticks)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    times.legend()
    figure.suptitle(title)
    return figure
