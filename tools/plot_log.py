"""``hiera-mm plot-log``: see hiera_mm/commands/plot_log.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('plot-log')
