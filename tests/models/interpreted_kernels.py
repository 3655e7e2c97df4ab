"""Runs the kernels for GPUs on a CPU and prints how far they are from the plain modules:
TRITON_INTERPRET=1 python -m tests.models.interpreted_kernels

Triton decides when it is imported whether it interprets, so this needs a process of its own.
"""

import copy
import json
from unittest.mock import patch

from hiera_mm.models import Hiera, cpu, gpu, gpu_kernels

import torch

from tests.helpers import perturbed

WIDTHS = (16, 96, 112, 144, 192, 256)
COUNTS = (1, 63, 64, 130)
"""Rows: less than a program's, as many, and more."""


def distance(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def of_modules():
    for width in WIDTHS:
        for count in COUNTS if width in (16, 96) else COUNTS[-1:]:
            model = perturbed(Hiera(dict(embed_dim=width, num_heads=1, depths=(1, 1, 1, 1))))
            block, x = model.blocks[0], torch.randn(count, width)
            with torch.no_grad():
                exact = copy.deepcopy(block).double()
                expected = x.double() + exact.mlp(exact.norm2(x.double()))
                linear = exact.attn.qkv(exact.norm1(x.double()))
                # The interpreter multiplies no bfloat16.
                for dtype in (torch.float32, torch.float16):
                    cast, given = copy.deepcopy(block).to(dtype), x.to(dtype)
                    layer = cast.attn.qkv
                    found = gpu_kernels.norm_mlp(given, cast.norm2, cast.mlp)
                    other = gpu_kernels.norm_linear(given, cast.norm1, layer.weight, layer.bias)
                    plain = given + cast.mlp(cast.norm2(given)), layer(cast.norm1(given))
                    yield dict(
                        **dict(width=width, rows=count, dtype=str(dtype)),
                        mlp=distance(found, expected),
                        linear=distance(other, linear),
                        plain_mlp=distance(plain[0], expected),
                        plain_linear=distance(plain[1], linear),
                    )


def of_a_model():
    """Maps of a whole model whose first two stages are narrow enough, and how many kernels ran."""
    torch.manual_seed(0)
    arch = dict(embed_dim=96, num_heads=1, depths=(2, 2, 1, 1))
    model = perturbed(Hiera(arch)).eval()
    pixels, ran = torch.randn(1, 3, 64, 96), []
    launch = gpu_kernels._launch

    def counted(kernel, *rest):
        ran.append(kernel)
        launch(kernel, *rest)

    with torch.no_grad(), patch.object(gpu, '_can_speed_up', lambda tensor: cpu.is_replaceable()):
        with patch.object(gpu_kernels, '_launch', counted), gpu.own_kernels():
            found = model(pixels)
        with cpu.plain():
            expected = model(pixels)
    return dict(kernels=len(ran), distances=[distance(one, other) for one, other in zip(found, expected, strict=True)])


if __name__ == '__main__':
    torch.manual_seed(0)
    print(json.dumps(dict(modules=list(of_modules()), model=of_a_model())))
