"""The segmentor of volumes: its loss against the formulas, its windows, and sizes that it refuses."""

from hiera_mm.errors import UserError
from hiera_mm.models import UNETRDecoder, VolumeEncoderDecoder

import pytest
import torch
from mmengine.structures import BaseDataElement

from tests.helpers import perturbed

SMALL = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))


def segmentor(channels=1, classes=3, crop_size=(8, 64, 32), overlap=0.0):
    backbone = dict(type='Hiera', arch=SMALL, num_frames=8, in_channels=channels, out_norm=True)
    decoder = dict(
        type='UNETRDecoder', num_classes=classes, in_channels=[16, 32, 64, 128], channels=4, image_channels=channels
    )
    return VolumeEncoderDecoder(backbone, decoder, dict(crop_size=crop_size, overlap=overlap, batch_size=2))


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize('size', [(4, 32, 32), (8, 64, 96), (6, 32, 64)])
def test_every_voxel_gets_logits_and_every_weight_a_gradient(channels, size):
    model = perturbed(segmentor(channels))
    logits = model(torch.randn(2, 2, channels, *size))
    assert logits.shape == (4, 3, *size)
    logits.square().mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []


def test_the_loss_is_the_mean_of_one_minus_dice_and_cross_entropy():
    model = perturbed(segmentor())
    inputs, labels = torch.randn(1, 2, 1, 8, 32, 32), torch.randint(3, (2, 1, 8, 32, 32), dtype=torch.uint8)
    loss = model(inputs, [BaseDataElement(label=labels)], mode='loss')['loss']
    shares = model(inputs).softmax(dim=1)
    dice = []
    for share, label in zip(shares, labels[:, 0], strict=True):
        for number in range(3):
            truth = (label == number).float()
            overlap = (share[number] * truth).sum()
            dice.append(1 - (2 * overlap + 1e-5) / (share[number].sum() + truth.sum() + 1e-5))
    entropy = -shares.log().gather(1, labels.long()).mean()
    assert loss.item() == pytest.approx((torch.stack(dice).mean() + entropy).item(), rel=1e-5)


def test_windows_beside_each_other_give_what_each_gives_alone():
    model = perturbed(segmentor()).eval()
    volume = torch.randn(1, 1, 1, 16, 64, 64)
    (found,) = model(volume, [BaseDataElement()], mode='predict')
    expected = torch.empty(16, 64, 64)
    for depth in (slice(0, 8), slice(8, 16)):
        for columns in (slice(0, 32), slice(32, 64)):
            expected[depth, :, columns] = model.logits(volume[0, ..., depth, :, columns]).argmax(dim=1)[0]
    assert torch.equal(found.predicted[0].float(), expected)
    assert found.predicted.dtype == torch.uint8


def test_a_volume_smaller_than_a_window_keeps_its_size():
    (found,) = segmentor().eval()(torch.randn(1, 1, 1, 5, 31, 20), [BaseDataElement()], mode='predict')
    assert found.predicted.shape == (1, 5, 31, 20)


@pytest.mark.parametrize('size', [(7, 64, 64), (8, 60, 64), (2, 32, 32), (64, 64)])
def test_windows_and_crops_that_mask_units_do_not_fill_are_refused(size):
    with pytest.raises(UserError, match='model.test_cfg.crop_size is .* multiples of 32'):
        segmentor(crop_size=size)
    if len(size) == 3:
        with pytest.raises(UserError, match='a crop of the pipeline is .* multiples of 32'):
            segmentor()(torch.randn(1, 1, 1, *size))


def test_the_decoder_has_as_many_parameters_as_swin_unetrs_blocks_with_hieras_strides():
    """Counted from the layers of Swin UNETR: residual blocks of two convolutions, and a third where channels change."""

    def block(given, width, strided=False):
        return 27 * width * (given + width) + (given * width if given != width or strided else 0)

    f, maps = 4, [16, 32, 64, 128]
    count = block(1, f) + block(f, f, strided=True)
    count += sum(block(given, f * 2**stage) for stage, given in enumerate(maps, start=1))
    for given, width, step in ((64, 32, 4), (32, 16, 4), (16, 8, 4), (8, 4, 8), (4, 4, 4)):
        count += given * width * step + block(2 * width, width)
    decoder = UNETRDecoder(num_classes=3, in_channels=maps, channels=f)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == count + 3 * (f + 1)
