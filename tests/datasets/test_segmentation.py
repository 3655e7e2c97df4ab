"""Pictures and masks of semantic segmentation as a model gets them; mmsegmentation's own reading is the oracle."""

from hiera_mm.errors import UserError
from hiera_mm.synthetic.masks import NAMES, make_mask_shapes

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from mmseg.datasets.transforms.loading import LoadAnnotations as PlainLoadAnnotations
from mmseg.registry import TRANSFORMS
from PIL import Image

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]


@pytest.fixture(scope='module')
def masks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'masks'
    make_mask_shapes(folder, train=4, val=2)
    return folder


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def built(folder, **settings):
    prefix = dict(img_path='images/train', seg_map_path='masks/train')
    settings = dict(metainfo=dict(classes=NAMES), pipeline=PIPELINE) | settings
    return DATASETS.build(dict(type='SegmentationDataset', data_root=str(folder), data_prefix=prefix, **settings))


def test_the_drawn_set_is_read_as_it_was_drawn(masks):
    dataset = built(masks)
    assert len(dataset) == 4
    held = set()
    for sample in dataset:
        truth = sample['data_samples'].gt_sem_seg.data[0].numpy()
        path = sample['data_samples'].seg_map_path
        assert (truth == np.asarray(Image.open(path))).all()
        assert sample['inputs'].shape[1:] == truth.shape
        held |= set(np.unique(truth))
    assert held == {0, 1, 2, 3}


@pytest.mark.parametrize('reduced', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 1, 1: 0, 2: 255}])
def test_masks_are_those_of_mmsegmentation(tmp_path, reduced, label_map):
    values = np.array([[0, 1, 2, 3], [254, 255, 7, 0]], np.uint8)
    Image.fromarray(values).save(tmp_path / 'mask.png')

    def read(loader):
        sample = dict(seg_map_path=str(tmp_path / 'mask.png'), seg_fields=[], ori_shape=(2, 4))
        return loader(sample | dict(reduce_zero_label=reduced, label_map=label_map))['gt_seg_map']

    ours = TRANSFORMS.build(dict(type='LoadAnnotations'))
    assert type(ours).__module__ == 'hiera_mm.datasets.segmentation'
    np.testing.assert_array_equal(read(ours), read(PlainLoadAnnotations()))


def test_pixels_without_a_class_may_have_any_number(tmp_path):
    """As CamVid's, whose eleven classes are followed by one for all else."""
    values = np.array([[0, 1, 2, 2], [11, 255, 0, 11]], np.uint8)
    for part, pixels in (('images', np.zeros((2, 4, 3), np.uint8)), ('masks', values)):
        (tmp_path / part / 'train').mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / part / 'train' / '1.png')
    sample = built(tmp_path, metainfo=dict(classes=('a', 'b', 'c')), ignore_index=11)[0]
    expected = np.where(values == 11, 255, values)
    np.testing.assert_array_equal(sample['data_samples'].gt_sem_seg.data[0].numpy(), expected)
    with pytest.raises(UserError, match='numbers that are not classes: 1 .11.'):
        built(tmp_path, metainfo=dict(classes=('a', 'b', 'c')))[0]
    with pytest.raises(UserError, match="ignore_index = 2 is the number of the class 'c'"):
        built(tmp_path, metainfo=dict(classes=('a', 'b', 'c')), ignore_index=2)


def test_a_mask_that_would_be_learned_wrongly_is_refused(masks, tmp_path):
    make_mask_shapes(tmp_path / 'set', train=1, val=1)
    path = tmp_path / 'set/masks/train/000001.png'
    good = np.asarray(Image.open(path)).copy()
    for bad, said in [
        (np.where(good == 3, 9, good), '9'),
        (good[:-1], 'pixels, but its image'),
        (np.stack([good] * 3, -1), 'in colour'),
    ]:
        Image.fromarray(bad.astype(np.uint8)).save(path)
        dataset = built(tmp_path / 'set')
        if said == '9' and 3 not in good:
            continue
        with pytest.raises(UserError, match=said):
            dataset[0]


def test_a_picture_that_exif_turns_goes_with_a_mask_as_it_is_displayed(tmp_path):
    for name in ('images/train', 'masks/train'):
        (tmp_path / name).mkdir(parents=True)
    stored = np.zeros((40, 60, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(stored).save(tmp_path / 'images/train/a.jpg', exif=exif)
    Image.fromarray(np.zeros((60, 40), np.uint8)).save(tmp_path / 'masks/train/a.png')
    assert built(tmp_path)[0]['inputs'].shape == (3, 60, 40)
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / 'masks/train/a.png')
    with pytest.raises(UserError, match='60 x 40 pixels, but its image 40 x 60.*EXIF'):
        built(tmp_path)[0]


def test_classes_must_be_named_and_may_lie_in_a_file(masks, tmp_path):
    (tmp_path / 'names.txt').write_text('\n'.join(NAMES))
    assert built(masks, metainfo=dict(classes=str(tmp_path / 'names.txt'))).metainfo['classes'] == NAMES
    with pytest.raises(UserError, match='classes of the masks are not named'):
        built(masks, metainfo=None)
