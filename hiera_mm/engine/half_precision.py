"""Training in half precision, on a CPU as well."""

import statistics
import time

from hiera_mm.errors import UserError

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper as PlainAmpOptimWrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch.amp import GradScaler

SIDE, TIMES = 1024, 5
"""Of the matrices, and how often they are multiplied, to see how fast a processor is in bfloat16."""


# Under mmengine's own name, so that --amp and its configs mean the same on a CPU.
@OPTIM_WRAPPERS.register_module(name='AmpOptimWrapper', force=True)
class AmpOptimWrapper(PlainAmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper``, which also serves CPUs: there in bfloat16, whose loss needs no scaling.

    On a CPU it says how fast bfloat16 is there: processors without instructions for it are many times slower.

    Args:
        loss_scale, dtype, use_fsdp: As for mmengine's; on a CPU only ``dtype`` counts, None or ``'bfloat16'``.
        kwargs: Of ``OptimWrapper``.

    Raises:
        UserError: for another ``dtype`` on a CPU.
    """

    def __init__(
        self,
        loss_scale: str | float | dict = 'dynamic',
        dtype: str | torch.dtype | None = None,
        use_fsdp: bool = False,
        **kwargs,
    ) -> None:
        if get_device() != 'cpu':
            super().__init__(loss_scale, dtype, use_fsdp, **kwargs)
            return
        if dtype not in (None, 'bfloat16', torch.bfloat16):
            raise UserError(
                f"Half precision on a CPU is bfloat16, but optim_wrapper.dtype is '{dtype}'; leave it out or train "
                'without --amp.'
            )
        OptimWrapper.__init__(self, **kwargs)
        self.loss_scaler = GradScaler('cpu', enabled=False)
        self._scale_update_param = None
        self.cast_dtype = torch.bfloat16
        _tell_speed()


def _tell_speed() -> None:
    share = _seconds(torch.bfloat16) / _seconds(torch.float32)
    advice, level = ('; train without --amp', 30) if share >= 1 else ('', 20)
    print_log(
        f'A matrix product in bfloat16 takes {share:.2f} times as long as in float32 on this processor{advice}.',
        'current',
        level,
    )


def _seconds(dtype: torch.dtype) -> float:
    """The median of some matrix products."""
    matrix, times = torch.ones(SIDE, SIDE, dtype=dtype), []
    for _ in range(TIMES + 1):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
