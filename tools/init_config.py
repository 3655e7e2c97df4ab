"""``hiera-mm init``: see hiera_mm/commands/init.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('init')
