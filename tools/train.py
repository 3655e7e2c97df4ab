"""``hiera-mm train``: see hiera_mm/commands/train.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('train')
