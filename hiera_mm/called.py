"""How this program was started: so messages name commands in the form that the user knows, and so ``--help`` needs no
torch.
"""

import multiprocessing
import sys
from pathlib import Path

TOOLS = {
    'check-data': 'check_dataset.py',
    'check-env': 'check_env.py',
    'compare': 'compare_configs.py',
    'export': 'export.py',
    'flops': 'get_flops.py',
    'init': 'init_config.py',
    'make-data': 'make_shapes.py',
    'make-video-list': 'make_video_list.py',
    'plan': 'plan.py',
    'plot-log': 'plot_log.py',
    'predict': 'predict.py',
    'probe': 'probe.py',
    'publish': 'publish.py',
    'push': 'push.py',
    'rehearse': 'rehearse.py',
    'report': 'report.py',
    'serve': 'serve.py',
    'test': 'test.py',
    'train': 'train.py',
    'weights': 'convert_weights.py',
}
"""Files in ``tools/`` that run commands."""


def command_line(command: str) -> str:
    """``'hiera-mm check-data'``, ``'python -m hiera_mm check-data'`` or ``'python tools/check_dataset.py'``."""
    program = Path(sys.argv[0])
    if program.name == '__main__.py' and program.parent.name == 'hiera_mm':
        return f'python -m hiera_mm {command}'
    if _is_a_tool(program) and command in TOOLS:
        return f'python tools/{TOOLS[command]}'
    return f'hiera-mm {command}'


def a_command_starts() -> bool:
    """Whether this process is one of the suite's own commands, which reads its arguments before anything heavy."""
    if multiprocessing.parent_process() is not None or not sys.argv:
        return False
    if sys.argv[0] == '-m':
        return 'hiera_mm' in sys.orig_argv[sys.orig_argv.index('-m') + 1 :][:1]
    program = Path(sys.argv[0])
    return program.name in ('hiera-mm', 'hiera-mm.exe') or _is_a_tool(program)


def _is_a_tool(program: Path) -> bool:
    folder = Path(__file__).absolute().parents[1] / 'tools'
    return program.name in TOOLS.values() and program.absolute().parent == folder
