"""``hiera-mm push``: see hiera_mm/commands/push.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('push')
