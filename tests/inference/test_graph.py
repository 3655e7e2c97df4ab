"""What exported files do beside the model itself: colours, normalisation, padding, sizes."""

from types import SimpleNamespace

from hiera_mm.errors import UserError
from hiera_mm.inference.formats import Exported
from hiera_mm.inference.formats.graph import Normalised, resized_to, zero_padding
from hiera_mm.inference.formats.network import ExportedFrameNetwork

import numpy as np
import pytest
import torch
from mmdet.models import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict

RGB = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('bgr_to_rgb', [True, False])
def test_pixels_are_normalised_as_by_the_preprocessor_whatever_colour_the_model_has_first(bgr_to_rgb):
    preprocessor = DetDataPreprocessor(mean=[10, 20, 30], std=[4, 5, 6], bgr_to_rgb=bgr_to_rgb)
    samples = [DetDataSample(metainfo=dict(img_shape=(4, 6))) for _ in RGB]
    # Pipelines give BGR, files take RGB.
    expected = preprocessor(dict(inputs=list(RGB.flip(1)), data_samples=samples))['inputs']
    torch.testing.assert_close(Normalised(preprocessor, axes=4).normalised(RGB), expected)


def test_what_lies_outside_an_image_is_zero():
    padded = zero_padding(torch.ones(2, 3, 4, 6), torch.tensor([[2, 5], [4, 6]]))
    assert padded[0, :, :2, :5].all() and padded[0].sum() == 3 * 2 * 5
    assert padded[1].all()


class Network(ExportedFrameNetwork):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        raise NotImplementedError


def network(size):
    return Network(Exported(dict(size=list(size)), None))


def test_images_of_a_batch_are_put_into_the_size_of_the_file_in_rgb():
    inputs = [RGB[0].flip(0), RGB[1, :, :3, :2].flip(0)]
    samples = [SimpleNamespace(img_shape=(4, 6)), SimpleNamespace(img_shape=(3, 2))]
    (arrays,) = network((5, 8)).arrays(inputs, samples)
    np.testing.assert_array_equal(arrays['pixels'][0, :, :4, :6], RGB[0])
    np.testing.assert_array_equal(arrays['pixels'][1, :, :3, :2], RGB[1, :, :3, :2])
    assert arrays['pixels'].shape == (2, 3, 5, 8) and not arrays['pixels'][1, :, 3:].any()
    assert arrays['sizes'].tolist() == [[4, 6], [3, 2]]


@pytest.mark.parametrize('size', [(3, 8), (8, 5), (3, 5)])
def test_an_image_that_is_too_high_or_too_wide_is_refused(size):
    with pytest.raises(UserError, match=f'has 4 x 6 pixels .* but the exported file takes {size[0]} x {size[1]}'):
        list(network(size).arrays([RGB[0]], [SimpleNamespace(img_shape=(4, 6))]))


def test_the_size_of_a_file_is_that_of_the_last_resizing():
    steps = [dict(type='Resize', scale=(64, 32)), dict(type='Resize', scale=(96, 48)), dict(type='Pack', scale=(1, 1))]
    assert resized_to([ConfigDict(step) for step in steps], 'model') == (96, 48)
    with pytest.raises(UserError, match="of 'model' does not set the size .*--size HEIGHT WIDTH"):
        resized_to([ConfigDict(steps[-1])], 'model')
