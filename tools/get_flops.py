"""``hiera-mm flops``: see hiera_mm/commands/flops.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('flops')
