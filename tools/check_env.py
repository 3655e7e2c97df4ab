"""``hiera-mm check-env``, also where hiera_mm is not installed: see hiera_mm/commands/check_env.py."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from hiera_mm.commands import main  # noqa: E402

if __name__ == '__main__':
    main('check-env')
