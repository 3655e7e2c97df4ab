"""Data preprocessors of detectors and segmentors for any number of channels."""

from hiera_mm.models import MultiChannelDetDataPreprocessor
from hiera_mm.models.multi_channel import MultiChannelSegDataPreProcessor

import pytest
import torch
from mmdet.models import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmseg.structures import SegDataSample


def batch(channels):
    sizes = (40, 50), (64, 33)
    return dict(
        inputs=[torch.randint(0, 255, (channels, *size), dtype=torch.uint8) for size in sizes],
        data_samples=[DetDataSample(metainfo=dict(img_shape=size)) for size in sizes],
    )


@pytest.mark.parametrize('channels', [1, 2, 4, 10])
def test_each_channel_is_normalised_and_the_rest_is_zero(channels):
    mean, std = [float(10 * number) for number in range(channels)], [1.0 + number for number in range(channels)]
    given = batch(channels)
    found = MultiChannelDetDataPreprocessor(mean, std, pad_size_divisor=32)(given)['inputs']
    assert found.shape == (2, channels, 64, 64)
    for image, pixels in zip(given['inputs'], found, strict=True):
        height, width = image.shape[1:]
        expected = (image.float() - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        torch.testing.assert_close(pixels[:, :height, :width], expected)
        assert pixels[:, height:].abs().sum() == 0 and pixels[:, :, width:].abs().sum() == 0


def test_three_channels_are_those_of_mmdet():
    settings = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], pad_size_divisor=32, bgr_to_rgb=True)
    given = batch(3)
    same = [preprocessor(**settings)(given) for preprocessor in (MultiChannelDetDataPreprocessor, DetDataPreprocessor)]
    torch.testing.assert_close(same[0]['inputs'], same[1]['inputs'])


def test_an_unknown_argument_is_an_error():
    with pytest.raises(TypeError, match='paddings'):
        MultiChannelDetDataPreprocessor([1.0], [1.0], paddings=3)


@pytest.mark.parametrize('channels', [1, 2, 4, 10])
def test_segmentors_normalise_each_channel_too(channels):
    mean, std = [float(10 * number) for number in range(channels)], [1.0 + number for number in range(channels)]
    given = dict(
        inputs=[torch.randint(0, 255, (channels, 32, 64), dtype=torch.uint8) for _ in range(2)],
        data_samples=[SegDataSample(metainfo=dict(img_shape=(32, 64))) for _ in range(2)],
    )
    found = MultiChannelSegDataPreProcessor(mean, std, test_cfg=dict(size_divisor=32))(given)['inputs']
    expected = (torch.stack(given['inputs']) - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(found, expected)
