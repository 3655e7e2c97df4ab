"""Run a tool of mmdet, mmaction2 or mmengine with this package loaded.

hiera-mm run mmdet::analysis_tools/browse_dataset.py hiera_mm::mask_rcnn_hiera_b.py --output-dir drawings
hiera-mm run path/to/tool.py ARGUMENTS

The tool runs unchanged, after this package has registered everything. An argument that begins with hiera_mm:: becomes
the path of that shipped config; settings at the top of a config of your own have the effect that they have in training.
"""

import argparse
import runpy
import sys
from pathlib import Path

from hiera_mm import CONFIGS
from hiera_mm.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('tool', help="a file, or PACKAGE::FILE for one of an installed package's tools")
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help="the tool's own arguments")


def run(arguments: argparse.Namespace) -> None:
    path = _tool_path(arguments.tool)
    sys.argv = [str(path), *map(_expand_config_path, arguments.arguments)]
    _name_seaborn_styles()
    # As python does for a script, which may import modules next to it.
    sys.path.insert(0, str(path.parent))
    runpy.run_path(str(path), run_name='__main__')


def _tool_path(tool: str) -> Path:
    from mmengine.utils import get_installed_path

    package, separator, name = tool.rpartition('::')
    path = Path(get_installed_path(package), '.mim', 'tools', name) if separator else Path(tool)
    if not path.is_file():
        raise UserError(f"The tool '{tool}' does not exist ({path}); give the path of a Python file.")
    return path


def _name_seaborn_styles() -> None:
    """mmdet's analyze_logs asks by default for the style 'dark', which matplotlib calls 'seaborn-v0_8-dark'."""
    import matplotlib.style

    library = matplotlib.style.library
    for name in [name for name in library if name.startswith('seaborn-v0_8-')]:
        library.setdefault(name.removeprefix('seaborn-v0_8-'), library[name])


def _expand_config_path(argument: str) -> str:
    package, _, name = argument.partition('::')
    return str(Path(CONFIGS, name)) if package == 'hiera_mm' else argument
