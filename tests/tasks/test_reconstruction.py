"""What an autoencoder's picture of a volume shows, whatever its intensities are scaled to."""

from types import SimpleNamespace

from hiera_mm.tasks.autoencoding.reconstruction import Reconstructor

import numpy as np
import pytest
import torch


def reconstructor(mean, deviation, volumes=True):
    made = Reconstructor.__new__(Reconstructor)
    preprocessor = SimpleNamespace(mean=torch.tensor([mean]), std=torch.tensor([deviation]))
    made.model, made.takes_volumes = SimpleNamespace(data_preprocessor=preprocessor), volumes
    return made


@pytest.mark.parametrize(
    'values, mean, deviation, black, white',
    [
        ([0.2, 0.4, 0.8], 0.45, 0.225, 0, 1),
        ([-1.5, 0.0, 2.5], 0.0, 1.0, -1.5, 2.5),
        ([0.0, 0.5, 3.0], 0.0, 1.0, 0, 3),
    ],
    ids=['a window', 'deviations', 'deviations above the mean'],
)
def test_intensities_are_drawn_from_black_to_white(values, mean, deviation, black, white):
    made = reconstructor(mean, deviation)
    pixels = torch.tensor(values).reshape(1, 1, 1, 1, 3)
    normalised = (pixels - mean) / deviation
    assert made._scale(normalised) == pytest.approx((black, white), abs=1e-6)
    drawn = made._bytes(normalised, *made._scale(normalised))
    expected = np.round((np.array(values) - black) / (white - black) * 255)
    np.testing.assert_allclose(drawn[0, 0, :, 0], expected, atol=1)
    assert drawn.shape == (1, 1, 3, 3)


def test_images_keep_their_bytes():
    made = reconstructor(120.0, 60.0, volumes=False)
    pixels = torch.tensor([3.0, 100.0, 250.0]).reshape(1, 1, 1, 1, 3)
    normalised = (pixels - 120) / 60
    np.testing.assert_array_equal(made._bytes(normalised, *made._scale(normalised))[0, 0, :, 0], [3, 100, 250])
