"""``hiera-mm plan``: see hiera_mm/commands/plan.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('plan')
