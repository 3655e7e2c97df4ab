"""Objects in pictures: files, arrays and large pictures in tiles, against mmdet's own inferencer."""

from types import SimpleNamespace

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.tasks import load
from hiera_mm.tasks.detection import Detector, Tiles
from hiera_mm.tasks.detection.sure_masks import can_choose_masks

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector
from mmdet.models import roi_heads
from mmengine.registry import init_default_scope
from PIL import Image

from tests.helpers import SMALL_DETECTOR, TINY, save_random_weights


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return save_random_weights(TINY, tmp_path_factory.mktemp('weights') / 'shapes.pth')


@pytest.fixture
def detector(weights):
    return load(weights, device='cpu')


@pytest.fixture(scope='module')
def pictures(shapes):
    return sorted((shapes / 'val').glob('*.png'))


def assert_same(found, expected):
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert found.labels.tolist() == expected.labels.tolist()
    assert (found.masks != expected.masks).sum() <= 1e-4 * expected.masks.size


def test_a_picture_gives_what_mmdet_finds_in_it(detector, pictures):
    found = detector.predict(pictures[0])
    detector.trained.model.cfg = detector.trained.config
    init_default_scope('mmdet')
    expected = inference_detector(detector.trained.model, str(pictures[0])).pred_instances.numpy()
    assert len(found) == len(expected.scores) > 5
    np.testing.assert_allclose(found.boxes, expected.bboxes, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    assert np.array_equal(found.masks, expected.masks)
    assert found.size == found.masks.shape[1:] == Image.open(pictures[0]).size[::-1]


def test_arrays_images_and_batches_give_what_the_file_gives(detector, pictures):
    expected = [detector.predict(picture) for picture in pictures]
    assert expected[0].scores[0] != expected[1].scores[0]
    for together in (pictures, [Image.open(p) for p in pictures], [np.array(Image.open(p)) for p in pictures]):
        for found, alone in zip(detector.predict(together), expected, strict=True):
            assert_same(found, alone)
    assert_same(detector.predict(np.array(Image.open(pictures[0]))), expected[0])


def test_a_tile_as_large_as_the_picture_changes_nothing(detector, pictures):
    side = max(Image.open(pictures[0]).size)
    expected = detector.predict(pictures[0])
    found = detector.predict(pictures[0], Tiles(side))
    # Across tiles there is one more suppression, which can only leave some of the model's boxes out.
    kept = [int(np.abs(expected.boxes - box).sum(1).argmin()) for box in found.boxes]
    assert_same(found, expected.chosen(kept))
    assert len(found) > 5


def test_what_is_found_in_a_tile_lies_where_the_tile_does(detector, pictures):
    part = np.array(Image.open(pictures[0]))[:90, :90]
    whole = np.zeros((180, 270, 3), np.uint8)
    whole[90:, 180:] = part
    alone = detector.predict(part, Tiles(90, 0.0))
    found = detector.predict(whole, Tiles(90, 0.0))
    in_last = found.chosen(np.flatnonzero((found.boxes[:, 0] >= 180) & (found.boxes[:, 1] >= 90)))
    np.testing.assert_allclose(in_last.boxes - [180, 90, 180, 90], alone.boxes, atol=1e-3)
    assert np.array_equal(in_last.masks[:, 90:, 180:], alone.masks) and not in_last.masks[:, :90].any()


def test_tiles_without_objects_are_none(detector):
    detector.trained.model.roi_head.test_cfg.score_thr = 1.1
    found = detector.predict(np.zeros((64, 64, 3), np.uint8), Tiles(32))
    assert len(found) == 0 and found.masks.shape == (0, 64, 64) and found.to_supervision().is_empty()


@pytest.mark.parametrize('tiles', [Tiles(0), Tiles(64, 1.0), Tiles(64, -0.1)])
def test_tiles_that_are_none_are_told(detector, tiles):
    with pytest.raises(UserError, match='A tile needs a side above 0 and an overlap of at least 0 and below 1'):
        detector.predict(np.zeros((64, 64, 3), np.uint8), tiles)


@pytest.mark.parametrize(
    'picture', [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)), None, 3]
)
def test_arrays_of_other_forms_are_refused(detector, picture):
    with pytest.raises(UserError, match='An image must be a path, the content of a file, a Pillow image, or RGB'):
        detector.predict(picture)


def test_supervision_gets_the_same(detector, pictures):
    found = detector.predict(pictures[0])
    theirs = found.to_supervision()
    assert np.array_equal(theirs.xyxy, found.boxes) and np.array_equal(theirs.mask, found.masks)
    assert theirs.data['class_name'].tolist() == [detector.names[label] for label in found.labels]
    few = found.above(float(np.median(found.scores)))
    assert 0 < len(few) < len(found) and few.scores.min() >= np.median(found.scores)


def test_boxes_are_those_of_the_picture_as_it_is_shown_or_was_annotated(detector, pictures, tmp_path):
    """A picture that its EXIF data turn; annotations may be of the stored one."""
    path, exif = tmp_path / 'turned.jpg', Image.Exif()
    exif[274] = 6
    Image.open(pictures[0]).crop((0, 0, 90, 60)).save(path, exif=exif, quality=95)
    shown = detector.predict(path)
    assert shown.size == (90, 60) and detector.decoded(path).shape == (90, 60, 3)
    stored = detector.predict(dict(img_path=str(path), height=60, width=90))
    assert stored.size == (60, 90)
    # Two decoders differ a little.
    np.testing.assert_allclose(stored.boxes[:3], detector.predict(np.array(Image.open(path))).boxes[:3], atol=1)


def test_broken_pictures_are_named(detector, tmp_path):
    (tmp_path / 'broken.jpg').write_bytes(b'none')
    with pytest.raises(BrokenFileError, match="broken.jpg' can't be decoded"):
        detector.predict(tmp_path / 'broken.jpg')
    with pytest.raises(BrokenFileError, match="none.jpg' is missing"):
        detector.predict(tmp_path / 'none.jpg')


def test_mmdets_own_inferencer_goes_on_working(weights, pictures, tmp_path):
    inferencer = DetInferencer(TINY, weights, device='cpu', show_progress=False)
    found = inferencer(str(pictures[0]), no_save_vis=True)['predictions'][0]
    expected = load(weights, device='cpu').predict(pictures[0])
    np.testing.assert_allclose(sorted(found['scores']), sorted(expected.scores), atol=1e-5)


def test_a_detector_without_masks_has_none(tmp_path, pictures):
    config = tmp_path / 'boxes.py'
    config.write_text(f"_base_ = '{TINY}'\nmodel = dict(roi_head=dict(mask_head=None, mask_roi_extractor=None))\n")
    detector = load(save_random_weights(config, tmp_path / 'boxes.pth'), device='cpu')
    assert isinstance(detector, Detector)
    for tiles in (None, Tiles(64)):
        found = detector.predict(pictures[0], tiles)
        assert found.masks is None and len(found) > 0 and found.to_supervision().mask is None
        assert all('segmentation' not in entry for entry in found.to_coco())


@pytest.fixture(scope='module')
def cascade(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cascade')
    (folder / 'small.py').write_text(SMALL_DETECTOR.replace('NAME', 'cascade_mask_rcnn_hiera_t'))
    return load(save_random_weights(folder / 'small.py', folder / 'weights.pth'), device='cpu')


@pytest.mark.parametrize('kind', ['detector', pytest.param('cascade', marks=pytest.mark.slow)])
@pytest.mark.parametrize('share', [0, 0.5, 1])
def test_only_objects_from_a_score_on_get_masks(request, kind, share, pictures):
    detector = request.getfixturevalue(kind)
    every = detector.predict(pictures)
    score = float(np.quantile(np.concatenate([found.scores for found in every]), share)) + (1e-6 if share == 1 else 0)
    for found, expected in zip(detector.predict(pictures, mask_score_thr=score), every, strict=True):
        sure = expected.scores >= np.float32(score)
        assert_same(found.chosen(np.flatnonzero(sure)), expected.chosen(np.flatnonzero(sure)))
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
        assert [mask is not None for mask in found.run_lengths] == sure.tolist()
        assert [len(found) > 5, found.masks[~sure].any()] == [True, False]
        assert ['segmentation' in entry for entry in found.to_coco()] == sure.tolist()
    # The model itself is as before.
    assert_same(detector.predict(pictures[0]), every[0])


@pytest.mark.parametrize(
    'name, can',
    [
        *(('StandardRoIHead', True), ('CascadeRoIHead', True), ('HybridTaskCascadeRoIHead', False)),
        *(('SCNetRoIHead', False), ('SparseRoIHead', False), ('MaskScoringRoIHead', False), ('GridRoIHead', True)),
    ],
)
def test_masks_are_chosen_only_where_each_is_computed_by_itself(name, can):
    head = object.__new__(getattr(roi_heads, name))
    torch.nn.Module.__init__(head)
    assert not can_choose_masks(SimpleNamespace(roi_head=head))
    head.mask_head = torch.nn.Identity()
    assert can_choose_masks(SimpleNamespace(roi_head=head)) == can
    assert not can_choose_masks(SimpleNamespace())
