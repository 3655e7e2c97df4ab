"""Memory that inputs of changing sizes leave scattered goes back to the system."""

import ctypes
import os
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class ReleaseMemoryHook(Hook):
    """Every 50 iterations has the C library hand back what it holds and nobody uses.

    On a CPU, pictures and regions of changing sizes otherwise leave gaps that later ones don't fit into, and the
    process grows by some hundred MiB. Only GNU's library has such a call; elsewhere nothing is done. Also, oneDNN keeps
    the code that it made for 256 shapes instead of 1024.
    """

    interval = 50

    def __init__(self) -> None:
        # oneDNN looks at it before its first operation.
        os.environ.setdefault('ONEDNN_PRIMITIVE_CACHE_CAPACITY', '256')
        self.trim = getattr(ctypes.CDLL(None), 'malloc_trim', lambda keep: None)

    def _after_iter(self, runner: Runner, batch_idx: int, *_: Any, **__: Any) -> None:
        if self.every_n_inner_iters(batch_idx, self.interval):
            self.trim(0)
