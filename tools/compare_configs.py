"""``hiera-mm compare``: see hiera_mm/commands/compare.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('compare')
