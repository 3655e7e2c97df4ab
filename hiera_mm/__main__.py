"""``python -m hiera_mm COMMAND``."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main()
