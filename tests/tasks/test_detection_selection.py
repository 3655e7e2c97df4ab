"""Which images a detector chooses to be labelled next."""

from hiera_mm.tasks.detection.selection import candidates_of, spread, uncertainty

import numpy as np
import pytest
from scipy.stats import entropy


def test_uncertainty_is_the_sum_of_entropies_in_bits():
    scores = np.array([0.9, 0.5, 0.05], np.float32)
    expected = sum(entropy([score, 1 - score], base=2) for score in scores.astype(float))
    assert uncertainty(scores) == pytest.approx(expected)


@pytest.mark.parametrize('scores', [[], [0.0], [1.0], [1.0, 0.0]])
def test_a_detector_that_is_sure_has_none(scores):
    assert uncertainty(np.array(scores, np.float32)) == 0


@pytest.fixture
def thumbnails():
    """Six images that have nothing in common."""
    return np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)


def test_candidates_are_the_most_uncertain(thumbnails):
    assert candidates_of(np.array([1.0, 5, 3, 4, 0, 2]), thumbnails, 3) == ([1, 3, 2], [])


def test_what_repeats_a_more_uncertain_or_a_labelled_image_is_left_out(thumbnails):
    thumbnails[2] = thumbnails[1] // 2
    thumbnails[0] = thumbnails[5]
    found, repeated = candidates_of(np.array([9.0, 5, 3, 4]), thumbnails, 4)
    assert found == [1, 3] and repeated == [(0, 5), (2, 1)]


def test_chosen_images_are_far_from_each_other_and_from_labelled_ones():
    angles = np.radians([0, 5, 90, 180, 185, 270])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    places, distances = zip(*spread(features, [1, 0, 4, 2], [], 3), strict=True)
    # The first candidate; the one across; then the right angle.
    assert places == (1, 4, 2) and distances[0] is None and distances[1] > 1.9 > distances[2] > 1.3
    places, distances = zip(*spread(features, [1, 0, 4, 2], [0, 3], 1), strict=True)
    assert places == (2,) and distances[0] == pytest.approx(2**0.5, abs=0.1)


@pytest.mark.parametrize('count', [1, 3, 4, 50])
def test_no_image_is_chosen_twice_even_among_equals(count):
    places = [place for place, _ in spread(np.ones((4, 8)), [3, 1, 0, 2], [], count)]
    assert places == [3, 1, 0, 2][:count]
