"""Write the table of mmdet's detectors in docs/detectors.md: ``python docs/make_family_table.py [FAMILY ...]``.

Each is built with a small Hiera, computes a loss, its gradients and predictions, and the loss once more by the
operators that it would call on a GPU (``tests/families.py``). With names only these rows are made anew.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from hiera_mm.atomic_write import atomic_write

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'detectors.md'
BEGIN, END = '<!-- made by docs/make_family_table.py -->\n', '<!-- until here -->\n'
HEAD = '| config of mmdet | loss | prediction | loss as on a GPU |\n| --- | --- | --- | --- |\n'
ONE = 'import json, sys; from tests.families import attempt; print("outcome", json.dumps(attempt(sys.argv[1])))'


def main(names: list[str]) -> None:
    from tests.families import FAMILIES

    rows = read_rows()
    for name in names or FAMILIES:
        rows[name] = outcome_of(name)
        print(name, rows[name], flush=True)
        write_rows({family: rows[family] for family in FAMILIES if family in rows})


def outcome_of(name: str) -> list[str]:
    """A cell for each stage: yes, or what it said. In a process of its own, as some change what others see."""
    command = [sys.executable, '-W', 'ignore', '-c', ONE, name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = re.search(r'^outcome (.*)$', done.stdout, re.MULTILINE)
    if found is None:
        return [_cell(done.stderr.strip().splitlines()[-1])] * 3
    return [_cell(said) for said in json.loads(found[1]).values()]


def _cell(said: str) -> str:
    return re.sub(r'[|\n]', ' ', said)[:120].strip() if said else 'yes'


def write_rows(rows: dict[str, list[str]]) -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    table = HEAD + ''.join(f'| `{family}` | {" | ".join(cells)} |\n' for family, cells in rows.items())
    with atomic_write(PAGE) as unfinished:
        unfinished.write_text(before + BEGIN + table + END + rest.partition(END)[2])


def read_rows() -> dict[str, list[str]]:
    """What the table says of each family."""
    table = re.search(f'{BEGIN}(.*){END}', PAGE.read_text(), re.DOTALL)
    assert table is not None
    cells = [line.strip('| ').split(' | ') for line in table[1].splitlines() if line.startswith('| `')]
    return {name.strip('`'): rest for name, *rest in cells}


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))
    main(sys.argv[1:])
