"""``hiera-mm visualize-mae``: see hiera_mm/commands/visualize_mae.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('visualize-mae')
