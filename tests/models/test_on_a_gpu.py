"""What models compute on a GPU, against the same on the processor and the official package; skipped without a GPU."""

import contextlib
import copy

from hiera_mm.engine.compiling import can_replay, compile_parts
from hiera_mm.models import Hiera, MaskedAutoencoder
from hiera_mm.models.cpu import plain

import pytest
import torch
import torch.nn as nn

from tests.helpers import assert_same_maps, perturbed
from tests.models.test_hiera import assert_maps_equal, backbone_weights, official

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')

SMALL = dict(embed_dim=16, num_heads=1, depths=(1, 2, 3, 2))
WINDOWED = dict(window_sizes=(8, 4, 14, 7), global_blocks=(12, 16, 20))
TOLERANCE = {None: 1e-4, torch.float16: 1e-2, torch.bfloat16: 6e-2}
"""Of the largest number of a map, by the type of autocast."""


@pytest.fixture(autouse=True)
def exact_float32():
    """Without the rounding to TF32 that cuDNN's convolutions have by default."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@contextlib.contextmanager
def no_waiting():
    """What makes the processor wait for the GPU is an error."""
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize(
    'arguments, shape',
    [
        (dict(arch='b'), (2, 3, 224, 224)),
        (dict(arch='bp', **WINDOWED), (1, 3, 200, 333)),
        (dict(arch='b', num_frames=16), (1, 3, 16, 224, 224)),
        (dict(arch='t', out_norm=True), (1, 3, 512, 512)),
    ],
)
def test_maps_are_those_of_the_processor(arguments, shape, dtype):
    model, pixels = perturbed(Hiera(**arguments)).eval(), torch.randn(shape)
    with torch.no_grad():
        expected = model(pixels)
        model.cuda()
        with torch.autocast('cuda', dtype=dtype, enabled=dtype is not None):
            maps = model(pixels.cuda())
    assert_same_maps([each.float().cpu() for each in maps], expected, TOLERANCE[dtype])


@pytest.mark.parametrize('arguments', [dict(), WINDOWED])
def test_the_faster_code_for_predictions_in_bfloat16_is_as_near_to_float32_as_the_plain_model(arguments):
    model, pixels = perturbed(Hiera('b', **arguments)).eval().cuda(), torch.randn(2, 3, 320, 256, device='cuda')
    half = copy.deepcopy(model).bfloat16()
    with torch.no_grad():
        found = half(pixels.bfloat16())
        with plain():
            expected, other = model(pixels), half(pixels.bfloat16())
    for one, wanted, rounded in zip(found, expected, other, strict=True):
        assert (one - wanted).norm() < 1.1 * (rounded - wanted).norm()


def test_maps_are_those_of_the_official_package_there():
    oracle = perturbed(official('b')).eval().cuda()
    model = Hiera('b').eval()
    model.load_state_dict(backbone_weights(oracle))
    pixels = torch.randn(2, 3, 224, 224, device='cuda')
    with torch.no_grad():
        assert_maps_equal(model.cuda()(pixels), oracle(pixels, return_intermediates=True)[1])


@pytest.mark.parametrize('with_cp', [False, True])
def test_gradients_are_those_of_the_processor(with_cp):
    model, pixels = perturbed(Hiera(SMALL, with_cp=with_cp, window_sizes=(8, 4, 4, 2))), torch.randn(2, 3, 160, 224)
    there = copy.deepcopy(model).cuda()
    sum(each.square().mean() for each in model(pixels)).backward()
    sum(each.square().mean() for each in there(pixels.cuda())).backward()
    for own, other in zip(model.parameters(), there.parameters(), strict=True):
        assert (other.grad.cpu() - own.grad).norm() <= 1e-3 * own.grad.norm()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_more_groups_than_a_grid_takes_give_what_fewer_give(dtype):
    """1,400 pictures have 68,600 mask units."""
    model, pixels = Hiera(SMALL).cuda(), torch.randn(1400, 3, 224, 224, device='cuda')
    with torch.autocast('cuda', dtype=dtype, enabled=dtype != torch.float32):
        last = model(pixels)[-1]
        last.float().square().sum().backward()
        gradient, model.patch_embed.proj.weight.grad = model.patch_embed.proj.weight.grad, None
        few = [model(part)[-1] for part in pixels.split(350)]
        sum(part.float().square().sum() for part in few).backward()
    tolerance = TOLERANCE[None if dtype == torch.float32 else dtype]
    assert (last - torch.cat(few)).abs().max() <= tolerance * last.abs().max()
    assert (gradient - model.patch_embed.proj.weight.grad).norm() <= tolerance * gradient.norm()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('arguments', [dict(), WINDOWED | dict(global_blocks=(3,)), dict(drop_path_rate=0.3)])
def test_nothing_in_the_backbone_waits_for_the_gpu(arguments, dtype):
    model, pixels = Hiera(SMALL, **arguments).cuda(), torch.randn(2, 3, 320, 256, device='cuda')
    with no_waiting(), torch.autocast('cuda', dtype=dtype):
        sum(each.float().mean() for each in model(pixels)).backward()


@pytest.mark.parametrize('frames', [None, 16])
def test_the_loss_of_a_masked_autoencoder_is_that_of_the_processor(frames):
    size = (64, 64) if frames is None else (frames, 64, 64)
    backbone = dict(type='Hiera', arch=SMALL, num_frames=frames)
    model = perturbed(MaskedAutoencoder(backbone, size, decoder_embed_dim=32, decoder_depth=2, decoder_num_heads=4))
    pixels, there = torch.randn(3, 3, *size), copy.deepcopy(model).cuda()
    keep = model.random_keep(3)
    expected, inputs = model.loss(pixels, keep), (pixels.cuda(), keep.cuda())
    torch.testing.assert_close(there.loss(*inputs).cpu(), expected, rtol=1e-5, atol=1e-5)
    with no_waiting(), torch.autocast('cuda', dtype=torch.bfloat16):
        loss = there.loss(*inputs)
        loss.backward()
    torch.testing.assert_close(loss.float().cpu(), expected, rtol=3e-2, atol=1e-2)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.cls_head = Hiera(SMALL), nn.Linear(128, 5)

    def forward(self, pixels):
        return self.cls_head(self.backbone(pixels)[-1].mean(dim=(2, 3)))


def losses_and_scores(model, given):
    """Of training, with predictions between."""
    optimizer, found = torch.optim.SGD(model.parameters(), lr=1e-3), []
    for pixels in given:
        loss = model.train()(pixels).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            found += [loss.detach().clone(), *model.eval()(pixels)]
    return torch.cat([one.flatten() for one in found])


def test_cuda_graphs_train_and_predict_in_turns_as_the_plain_model():
    torch.compiler.reset()
    plain, given = perturbed(Classifier()).cuda(), torch.randn(5, 2, 3, 96, 64, device='cuda')
    replayed = copy.deepcopy(plain)
    compile_parts(replayed, can_replay(replayed))
    expected = losses_and_scores(plain, given)
    torch.testing.assert_close(losses_and_scores(replayed, given), expected, rtol=1e-3, atol=1e-3)
    assert expected.isfinite().all() and not torch._dynamo.utils.counters['inductor']['cudagraph_skips']
