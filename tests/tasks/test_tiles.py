"""Objects of a large image cut into tiles: each once, as if there were no tiles.

The network is an exact one, which finds every drawn object as far as a tile shows it.
"""

from hiera_mm.tasks.detection.results import Detections
from hiera_mm.tasks.detection.tiles import Tiles, predict_in_tiles

import numpy as np
import pycocotools.mask
import pytest

SIDE, OVERLAP = 100, 0.3
NAMES = ('a', 'b')


class Scene:
    """Objects of an image, each a box or a mask of its own, drawn as one bit of the red channel."""

    def __init__(self, size, objects, with_masks=True, scores=None):
        self.size, self.with_masks, self.masks, self.labels = size, with_masks, [], []
        self.scores = scores or (lambda whole_share, number: 0.9)
        for label, mask in objects:
            pixels = np.zeros(size, bool)
            if isinstance(mask, tuple):
                x1, y1, x2, y2 = mask
                pixels[y1:y2, x1:x2] = True
            else:
                pixels[:] = mask
            self.masks.append(pixels)
            self.labels.append(label)
        assert len(self.masks) <= 8
        bits = [mask.astype(np.uint8) << number for number, mask in enumerate(self.masks)]
        self.image = np.repeat(np.sum(bits, 0, dtype=np.uint8)[..., None], 3, axis=-1)

    def predict(self, tile):
        boxes, scores, labels, masks = [], [], [], []
        for number, (label, whole) in enumerate(zip(self.labels, self.masks, strict=True)):
            shown = (tile[..., 0] >> number & 1).astype(bool)
            if shown.any():
                masks.append(pycocotools.mask.encode(np.asfortranarray(shown.astype(np.uint8))))
                boxes.append(box_of(shown))
                scores.append(self.scores(shown.sum() / whole.sum(), number))
                labels.append(label)
        found = np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, int)
        return Detections(*found, NAMES, tile.shape[:2], masks if self.with_masks else None)

    def in_tiles(self, side=SIDE, overlap=OVERLAP):
        return predict_in_tiles(self.predict, self.image, Tiles(side, overlap), self.with_masks)

    def assert_all_found_once(self, found):
        expected = sorted([*box_of(mask).tolist(), label] for mask, label in zip(self.masks, self.labels, strict=True))
        assert sorted([*box.tolist(), label] for box, label in zip(found.boxes, found.labels, strict=True)) == expected
        if self.with_masks:
            assert sorted(mask.tobytes() for mask in found.masks) == sorted(mask.tobytes() for mask in self.masks)


def box_of(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


@pytest.mark.parametrize('with_masks', [True, False])
@pytest.mark.parametrize('size', [(90, 300), (250, 260)])
@pytest.mark.parametrize('side', [1, 5, 24, 29, 45, 90])
def test_an_object_at_any_place_is_found_once(side, size, with_masks):
    for left in range(0, size[1] - side, 7):
        top = min(left, size[0] - side)
        scene = Scene(size, [(0, (left, top, left + side, top + side))], with_masks)
        scene.assert_all_found_once(scene.in_tiles())


def test_a_part_with_a_higher_score_than_the_whole_does_not_replace_it():
    for left in range(40, 90):
        scene = Scene((90, 300), [(0, (left, 30, left + 24, 54))], scores=lambda share, _: 1 - share / 2)
        scene.assert_all_found_once(scene.in_tiles())


@pytest.mark.parametrize('with_masks', [True, False])
def test_an_object_inside_another_of_its_class_is_not_lost(with_masks):
    for left in range(30, 160, 3):
        scene = Scene((90, 300), [(0, (left, 10, left + 60, 80)), (0, (left + 20, 30, left + 34, 50))], with_masks)
        scene.assert_all_found_once(scene.in_tiles())


def test_crossing_objects_with_one_box_are_told_apart_by_their_masks():
    for left in range(30, 160, 3):
        rows, columns = np.mgrid[:90, :300]
        inside = (rows >= 20) & (rows < 60) & (columns >= left) & (columns < left + 40)
        falling = inside & (np.abs(rows - 20 - (columns - left)) < 3)
        rising = inside & (np.abs(rows - 20 - (39 - columns + left)) < 3)
        scene = Scene((90, 300), [(0, falling), (0, rising)])
        scene.assert_all_found_once(scene.in_tiles())


def test_neighbours_and_other_classes_stay_apart():
    for left in range(30, 160, 3):
        boxes = [(left, 20, left + 20, 60), (left + 22, 20, left + 42, 60)]
        scene = Scene((90, 300), [(0, boxes[0]), (0, boxes[1]), (1, boxes[0])])
        scene.assert_all_found_once(scene.in_tiles())


def test_an_object_larger_than_a_tile_is_joined():
    scene = Scene((90, 400), [(1, (20, 30, 380, 60)), (0, (0, 0, 400, 20))])
    scene.assert_all_found_once(scene.in_tiles())


def test_a_crowd_is_counted():
    random = np.random.default_rng(0)
    for _ in range(20):
        places = [(int(random.integers(0, 270)), 32 * row) for row in range(8)]
        scene = Scene((256, 300), [(0, (left, top, left + 28, top + 28)) for left, top in places])
        scene.assert_all_found_once(scene.in_tiles(side=64, overlap=0.5))


@pytest.mark.parametrize('overlap', [0.0, 0.5, 0.9])
def test_every_pixel_lies_in_a_tile_of_full_size(overlap):
    seen = np.zeros((130, 250), int)
    shapes = []

    def look(tile):
        shapes.append(tile.shape)
        places = tile[..., 0].astype(int) + 256 * tile[..., 1].astype(int)
        seen.flat[places.ravel()] += 1
        return Detections(np.empty((0, 4)), np.empty(0), np.empty(0, int), NAMES, tile.shape[:2], None)

    numbers = np.arange(130 * 250).reshape(130, 250)
    image = np.stack([numbers % 256, numbers // 256, numbers * 0], -1).astype(np.uint8)
    assert len(predict_in_tiles(look, image, Tiles(SIDE, overlap), False)) == 0
    assert seen.all() and set(shapes) == {(SIDE, SIDE, 3)}
