"""The kernels for GPUs: by Triton's interpreter against the plain modules, and compiled for an H200."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT

triton = pytest.importorskip('triton')


@pytest.fixture(scope='module')
def interpreted():
    command = [sys.executable, '-m', 'tests.models.interpreted_kernels']
    environment = dict(os.environ, TRITON_INTERPRET='1', OMP_NUM_THREADS='1')
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_rows_of_any_width_and_number_are_those_of_the_plain_modules(interpreted):
    exact = [case for case in interpreted['modules'] if case['dtype'] == 'torch.float32']
    assert len(exact) == 12
    assert all(case['mlp'] < 1e-6 and case['linear'] < 1e-6 for case in exact)


def test_in_half_precision_rows_are_as_near_to_float64_as_those_of_the_plain_modules(interpreted):
    half = [case for case in interpreted['modules'] if case['dtype'] == 'torch.float16']
    assert len(half) == 12
    for case in half:
        assert case['mlp'] < 1.05 * case['plain_mlp'] and case['linear'] < 1.05 * case['plain_linear'], case


def test_a_model_with_them_has_the_maps_of_the_plain_model(interpreted):
    # In each of the first two stages two blocks, with a norm and a linear layer and the second half.
    assert interpreted['model']['kernels'] >= 8
    assert max(interpreted['model']['distances']) < 1e-5


@pytest.mark.parametrize('channels', [96, 112, 144, 192])
@pytest.mark.parametrize('name, wide', [('norm_mlp_kernel', 4), ('norm_linear_kernel', 3), ('norm_linear_kernel', 8)])
def test_they_compile_for_an_h200_without_spilled_registers(name, wide, channels, tmp_path):
    from hiera_mm.models import gpu_kernels

    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia.compiler import get_ptxas
    from triton.compiler import ASTSource

    kernel = getattr(gpu_kernels, name)
    sizes = gpu_kernels.constants(kernel, channels, wide * channels)
    types = {argument: '*bf16' for argument in kernel.arg_names if argument not in sizes} | dict(rows='i32', eps='fp32')
    types |= dict.fromkeys(sizes, 'constexpr')
    warps = gpu_kernels.tile(kernel, channels).warps
    compiled = triton.compile(ASTSource(kernel, types, sizes), GPUTarget('cuda', 90, 32), dict(num_warps=warps))
    (tmp_path / 'kernel.ptx').write_text(compiled.asm['ptx'])
    command = [get_ptxas(90).path, '-v', '-arch=sm_90a', tmp_path / 'kernel.ptx', '-o', tmp_path / 'kernel.cubin']
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert re.search(r'Used \d+ registers', said)
    assert '0 bytes spill stores, 0 bytes spill loads' in said, said
    assert compiled.metadata.shared <= 227 * 1024
