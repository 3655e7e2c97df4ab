"""``hiera-mm rehearse``: see hiera_mm/commands/rehearse.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('rehearse')
