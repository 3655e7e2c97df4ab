"""The floating-point type that mmcv's operators are computed in."""

import torch
from torch import Tensor


def kernel_dtype(tensor: Tensor) -> torch.dtype:
    """float32 for fp16 and bf16: some of torchvision's kernels lack these, and boxes would be off by pixels."""
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype
