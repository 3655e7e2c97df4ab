"""Returns fragmented memory to the system, which inputs of changing sizes leave behind."""

import ctypes
import os
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class ReleaseMemoryHook(Hook):
    """Makes the C library return unused memory to the system every 50 iterations.

    On a CPU, images and regions of changing sizes otherwise leave gaps that later ones don't fit into, and the process
    grows by some hundred MiB. Only glibc can do this; elsewhere nothing is done. oneDNN's cache of compiled code is
    also reduced from 1024 to 256 shapes.
    """

    interval = 50

    def __init__(self) -> None:
        # oneDNN reads this before its first operation.
        os.environ.setdefault('ONEDNN_PRIMITIVE_CACHE_CAPACITY', '256')
        self.trim = getattr(ctypes.CDLL(None), 'malloc_trim', lambda keep: None)

    def _after_iter(self, runner: Runner, batch_idx: int, *_: Any, **__: Any) -> None:
        if self.every_n_inner_iters(batch_idx, self.interval):
            self.trim(0)
