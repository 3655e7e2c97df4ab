"""``hiera-mm serve``: see hiera_mm/commands/serve.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('serve')
