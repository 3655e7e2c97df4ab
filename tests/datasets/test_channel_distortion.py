"""Changes of colour of images with any number of channels."""

from hiera_mm.datasets.channel_distortion import ChannelDistortion

import numpy as np
import pytest


@pytest.mark.parametrize('channels', [1, 2, 4, 9])
@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_each_channel_is_scaled_and_shifted_by_itself(channels, dtype):
    pixels = np.random.default_rng(0).uniform(60, 120, (12, 9, channels)).astype(dtype)
    changed = ChannelDistortion(prob=1.0).transform(dict(img=pixels))['img']
    assert changed.dtype == dtype and changed.shape == pixels.shape
    slopes = []
    for number in range(channels):
        before, after = pixels[..., number].ravel().astype(float), changed[..., number].ravel().astype(float)
        slope, offset = np.polyfit(before, after, 1)
        spread = 255 if dtype == np.uint8 else before.max() - before.min()
        assert 0.49 < slope < 1.51 and abs(offset) < 32 / 255 * spread + 1
        np.testing.assert_allclose(slope * before + offset, after, atol=0.6)
        slopes.append(round(slope, 3))
    assert len(set(slopes)) == channels


def test_all_frames_change_alike_and_nothing_does_without_luck():
    frames = [np.full((4, 5, 2), value, np.uint8) for value in (40, 40, 90)]
    changed = ChannelDistortion(prob=1.0).transform(dict(imgs=frames))['imgs']
    np.testing.assert_array_equal(changed[0], changed[1])
    assert (changed[2] != changed[0]).any()
    same = ChannelDistortion(prob=0.0).transform(dict(imgs=frames))['imgs']
    np.testing.assert_array_equal(same, frames)
