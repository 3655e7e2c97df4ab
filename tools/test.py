"""``hiera-mm test``: see hiera_mm/commands/test.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('test')
