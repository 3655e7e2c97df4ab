"""``hiera-mm probe``: see hiera_mm/commands/probe.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('probe')
