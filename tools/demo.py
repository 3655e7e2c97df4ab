"""``hiera-mm demo``: see hiera_mm/commands/demo.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('demo')
