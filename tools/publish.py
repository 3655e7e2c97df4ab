"""``hiera-mm publish``: see hiera_mm/commands/publish.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('publish')
