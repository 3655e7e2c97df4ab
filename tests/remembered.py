"""Work of other packages that took a quarter of the tests' time, and that tests do without or share.

- Laying out a config's text in lines (yapf). ``tests/test_config.py`` does it once.
- Finding a config in an installed package, for which mmengine reads 300 files.
- Asking the system for its compilers at each run's start.
- Collecting garbage whenever a data set is built.

What ``tests.helpers.start`` starts has all of it.
"""

import functools
from types import SimpleNamespace

import mmengine.config.utils
import mmengine.dataset.base_dataset
import mmengine.runner.runner
from mmengine.utils.dl_utils import collect_env
from yapf.yapflib import yapf_api

lay_out = yapf_api.FormatCode


def remember_answers() -> None:
    yapf_api.FormatCode = lambda text, style_config: (text, True)
    mmengine.config.utils.load = functools.cache(mmengine.config.utils.load)
    mmengine.runner.runner.collect_env = functools.cache(collect_env)
    mmengine.dataset.base_dataset.gc = SimpleNamespace(collect=lambda: 0)
