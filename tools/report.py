"""``hiera-mm report``: see hiera_mm/commands/report.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('report')
