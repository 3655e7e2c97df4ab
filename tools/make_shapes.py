"""``hiera-mm make-data``: see hiera_mm/commands/make_data.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('make-data')
