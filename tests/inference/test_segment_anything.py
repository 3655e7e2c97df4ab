"""SAM 2 with this suite's trunk against the package's own predictor."""

from hiera_mm.errors import UserError
from hiera_mm.inference.segment_anything import SegmentAnything
from hiera_mm.models import Hiera

import numpy as np
import pytest
import torch

pytest.importorskip('sam2')

from sam2.build_sam import build_sam2  # noqa: E402
from sam2.sam2_image_predictor import SAM2ImagePredictor  # noqa: E402


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """A file as published, of random weights, with the package's own model."""
    torch.manual_seed(0)
    model = build_sam2('configs/sam2.1/sam2.1_hiera_t.yaml', device='cpu')
    for name, parameter in model.named_parameters():
        if name.startswith('image_encoder.trunk'):
            parameter.data += 0.02 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp('sam2') / 'my_sam2.pt'
    torch.save(dict(model=model.state_dict()), path)
    return model, str(path)


@pytest.fixture(scope='module')
def ours(published):
    return SegmentAnything(published[1], 'cpu')


def test_the_trunk_is_this_suites(ours):
    assert isinstance(ours.predictor.model.image_encoder.trunk, Hiera)


@pytest.mark.parametrize('size, count', [((97, 131), 3), ((256, 64), 1), ((40, 33), 40)])
def test_masks_and_scores_are_the_packages_for_images_of_any_size(published, ours, size, count):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (*size, 3), np.uint8)
    corners = np.sort(random.uniform(0, 1, (count, 2, 2)), axis=1) * size[::-1]
    boxes = corners.reshape(count, 4).astype(np.float32)
    oracle = SAM2ImagePredictor(published[0])
    oracle.set_image(image)
    logits, scores, _ = oracle.predict(box=boxes, multimask_output=False, return_logits=True)
    masks, found = ours.masks(image, boxes)
    assert masks.shape == (count, *size) and masks.dtype == bool
    np.testing.assert_allclose(found, scores.reshape(count), rtol=1e-4, atol=1e-4)
    # Where the sign is beyond rounding.
    clear = np.abs(logits.reshape(masks.shape)) > 1e-3
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(masks[clear], logits.reshape(masks.shape)[clear] > 0)


def test_the_maps_of_the_encoder_are_the_packages(published, ours):
    pixels = torch.randn(1, 3, 1024, 1024)
    with torch.no_grad():
        expected, found = published[0].image_encoder(pixels), ours.predictor.model.image_encoder(pixels)
    for name in ('vision_features',):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-4)
    for one, other in zip(found['backbone_fpn'], expected['backbone_fpn'], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_no_boxes_have_no_masks(ours):
    masks, scores = ours.masks(np.zeros((20, 30, 3), np.uint8), np.zeros((0, 4), np.float32))
    assert masks.shape == (0, 20, 30) and scores.shape == (0,)


@pytest.mark.parametrize('fault, words', [('trunk alone', 'is not a whole SAM 2'), ('other', 'holds no')])
def test_files_that_are_no_whole_sam_2_are_refused(published, tmp_path, fault, words):
    state = published[0].state_dict()
    if fault == 'trunk alone':
        state = {name: tensor for name, tensor in state.items() if name.startswith('image_encoder.trunk.')}
    else:
        state = {'fc.weight': torch.ones(2)}
    torch.save(dict(model=state), tmp_path / 'part.pt')
    with pytest.raises(UserError, match=words):
        SegmentAnything(str(tmp_path / 'part.pt'), 'cpu')
