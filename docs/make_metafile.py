"""Write configs/metafile.yml and the table in docs/configs.md: ``python docs/make_metafile.py``.

Parameters and multiply-accumulates are counted; what the paper reports is read from the configs' first lines, and what
is known of the weights from ``hiera_mm/weights/zoo.py``.
"""

import re
from itertools import groupby
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.config import read_config_file
from hiera_mm.shipped import shipped_configs
from hiera_mm.tasks import task_of
from hiera_mm.weights.zoo import ZOO

import yaml
from mmengine.registry import init_default_scope

ROOT = Path(__file__).parents[1]
METAFILE = ROOT / 'configs' / 'metafile.yml'
PAGE = ROOT / 'docs' / 'configs.md'
BEGIN, END = '<!-- made by docs/make_metafile.py -->\n', '<!-- until here -->\n'
SIZES = ('t', 's', 'b', 'bp', 'l', 'h')
METRICS = {
    'box AP': r'box AP ([\d.]+\d)',
    'mask AP': r'mask AP ([\d.]+\d)',
    'top-1': r'([\d.]+) top-1(?! after)',
    'top-1 after fine-tuning': r'([\d.]+) top-1 after fine-tuning',
    'mAP': r'([\d.]+) mAP',
}


def main() -> None:
    models = [model_of(name, path) for name, path in shipped_configs().items()]
    with atomic_write(METAFILE) as unfinished:
        unfinished.write_text(metafile_of(models))
    with atomic_write(PAGE) as unfinished:
        unfinished.write_text(with_table(PAGE.read_text(), models))


def metafile_of(models: list[dict]) -> str:
    content = dict(Collections=[dict(Name='Hiera', Paper=dict(URL='https://arxiv.org/abs/2306.00989'))], Models=models)
    return yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


def model_of(name: str, path: Path) -> dict:
    """An entry of the metafile, in OpenMMLab's keys."""
    config, words = read_config_file(str(path)), header_of(path)
    init_default_scope(config.default_scope)
    parts, (height, width) = task_of(config).complexity(config.model, None)
    parameters, macs = (sum(column) for column in zip(*parts.values(), strict=True))
    entry = dict(
        Name=name,
        Config=f'configs/{name}.py',
        Task=task_of(config).in_words(config),
        Trains=words.split('. ')[0].rstrip('.'),
        Metadata={
            'Parameters (M)': round(parameters / 1e6, 1),
            'MACs (G)': round(macs / 1e9, 1),
            'Input': f'{height} x {width}',
        },
    )
    entry['In Collection'] = 'Hiera'
    for key, part in {'Starts from': 'backbone', 'Learns from': 'teacher'}.items():
        source = (config.model.get(part, {}).get('init_cfg') or {}).get('checkpoint')
        if source in ZOO:
            entry[key] = dict(Name=source, Weights=ZOO[source].address, Licence=ZOO[source].licence)
    if reported := re.search(r'[Rr]eported in the paper \((table \d+)\): (.*)', words):
        sentence = re.split(r'\.(?: |$)', reported[2])[0]
        found = {metric: re.search(pattern, sentence) for metric, pattern in METRICS.items()}
        metrics = {metric: float(match[1]) for metric, match in found.items() if match}
        entry['Results'] = [dict(Source=f'reported in the paper, {reported[1]}', Metrics=metrics)]
    return entry


def header_of(path: Path) -> str:
    """The comment that a config begins with, in one line."""
    lines = path.read_text(encoding='utf-8').splitlines()
    comment = lines[: next(number for number, line in enumerate(lines) if not line.startswith('#'))]
    return ' '.join(line.lstrip('# ') for line in comment)


def with_table(page: str, models: list[dict]) -> str:
    """The page with the table of these models between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table_of(models) + END + after


def table_of(models: list[dict]) -> str:
    """A row for each family, which differ in size only."""
    lines = [
        '| configs | what the first one trains | reported in the paper | parameters |',
        '| --- | --- | --- | --- |',
    ]
    for family, members in groupby(sorted(models, key=order_of), key=family_of):
        lines.append(row_of(family, list(members)))
    return '\n'.join(lines) + '\n'


def row_of(family: tuple[str, str], members: list[dict]) -> str:
    sizes = ','.join(size_of(member) for member in members)
    name = members[0]['Name'] if len(members) == 1 else f'{family[0]}{{{sizes}}}{family[1]}'
    names = dict.fromkeys(metric for member in members for metric in metrics_of(member))
    values = {metric: ' / '.join(_shown(metrics_of(m).get(metric)) for m in members) for metric in names}
    reported = '; '.join(f'{metric} {value}' for metric, value in values.items())
    parameters = ' / '.join(f'{member["Metadata"]["Parameters (M)"]:.0f}M' for member in members)
    return f'| `{name}` | {_short(members[0]["Trains"])} | {reported} | {parameters} |'


def metrics_of(member: dict) -> dict[str, float]:
    return member['Results'][0]['Metrics'] if 'Results' in member else {}


def family_of(member: dict) -> tuple[str, str]:
    before, _, after = member['Name'].partition('hiera_')
    _, _, variant = after.partition('_')
    return f'{before}hiera_', f'_{variant}' if variant else ''


def size_of(member: dict) -> str:
    return member['Name'].partition('hiera_')[2].partition('_')[0]


def order_of(member: dict) -> tuple:
    return family_of(member), SIZES.index(size_of(member))


def _short(trains: str) -> str:
    return re.split(r', |; |: trained', trains)[0]


def _shown(value: float | None) -> str:
    return '-' if value is None else f'{value:.1f}'


if __name__ == '__main__':
    main()
