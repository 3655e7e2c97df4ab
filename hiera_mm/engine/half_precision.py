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

MATRIX_SIDE, REPEATS = 1024, 5
"""Size and number of the matrix products that measure how fast bfloat16 is on a CPU."""


# Under mmengine's own name, so that --amp and its configs mean the same on a CPU.
@OPTIM_WRAPPERS.register_module(name='AmpOptimWrapper', force=True)
class AmpOptimWrapper(PlainAmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper``, which also works on CPUs, in bfloat16 without loss scaling.

    On a CPU it logs how fast bfloat16 is: processors without instructions for it are many times slower.

    Args:
        loss_scale, dtype, use_fsdp: As for mmengine's; on a CPU only ``dtype`` counts, None or ``'bfloat16'``.
        kwargs: Arguments of ``OptimWrapper``.

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
        _log_speed()


def _log_speed() -> None:
    share = _seconds(torch.bfloat16) / _seconds(torch.float32)
    advice, level = ('; train without --amp', 30) if share >= 1 else ('', 20)
    print_log(
        f'A matrix product in bfloat16 takes {share:.2f} times as long as in float32 on this processor{advice}.',
        'current',
        level,
    )


def _seconds(dtype: torch.dtype) -> float:
    """Median time of a matrix product."""
    matrix, times = torch.ones(MATRIX_SIDE, MATRIX_SIDE, dtype=dtype), []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
