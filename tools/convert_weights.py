"""``hiera-mm weights``: see hiera_mm/commands/weights.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('weights')
