"""``hiera-mm export``: see hiera_mm/commands/export.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('export')
