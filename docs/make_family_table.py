"""Write the table of mmdet's detectors in docs/detectors.md: ``python docs/make_family_table.py [FAMILY ...]``.

Each is built with a small Hiera, computes a loss, its gradients and predictions, and the loss once more by the
operators that it would call on a GPU (``tests/families.py``). With names only these rows are made anew.
"""

import re
import sys
from multiprocessing import get_context
from pathlib import Path

from hiera_mm.atomic_write import atomic_write

AT_ONCE = 2
ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'detectors.md'
BEGIN, END = '<!-- made by docs/make_family_table.py -->\n', '<!-- until here -->\n'
HEAD = '| config of mmdet | loss | prediction | loss as on a GPU |\n| --- | --- | --- | --- |\n'


def main(names: list[str]) -> None:
    # Imported once for all; each family has a process of its own, as some change what others see.
    from tests.families import FAMILIES

    rows, wanted = read_rows(), names or list(FAMILIES)
    with get_context('fork').Pool(AT_ONCE, maxtasksperchild=1) as pool:
        for name, cells in zip(wanted, pool.imap(cells_of, wanted, chunksize=1), strict=True):
            rows[name] = cells
            print(name, cells, flush=True)
            write_rows({family: rows[family] for family in FAMILIES if family in rows})


def cells_of(name: str) -> list[str]:
    """A cell for each stage: yes, or what it said."""
    from tests.families import STAGES, attempt

    try:
        return [_cell(said) for said in attempt(name).values()]
    except Exception as error:  # Whatever a config that can't be built says belongs into the table.
        return [_cell(f'{type(error).__name__}: {error}')] * len(STAGES)


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
