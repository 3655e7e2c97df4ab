"""Answers of other packages that tests ask for again and again, remembered as long as the process lives.

Laying out a config's text (yapf) and finding a config in an installed package (300 YAML files) took two thirds
of a short run's time. Both depend only on their arguments and on installed files. What ``tests.helpers.start`` starts
does without.
"""

import functools

import mmengine.config.utils
from yapf.yapflib import yapf_api


def remember_answers() -> None:
    format_code = yapf_api.FormatCode

    @functools.lru_cache(maxsize=100)
    def formatted(text, style):
        return format_code(text, style_config=dict(style))

    yapf_api.FormatCode = lambda text, style_config: formatted(text, tuple(style_config.items()))
    mmengine.config.utils.load = functools.cache(mmengine.config.utils.load)
