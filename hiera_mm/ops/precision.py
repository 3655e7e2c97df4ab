"""What the kernels behind mmcv's operators compute in."""

import torch
from torch import Tensor


def kernel_dtype(tensor: Tensor) -> torch.dtype:
    """fp16 and bf16 go through fp32: torchvision's kernels lack them in part, and boxes lose pixels."""
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype
