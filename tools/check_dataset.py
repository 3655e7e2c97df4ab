"""``hiera-mm check-data``: see hiera_mm/commands/check_data.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('check-data')
