"""``hiera-mm predict``: see hiera_mm/commands/predict.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('predict')
