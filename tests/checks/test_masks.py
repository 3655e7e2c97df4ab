"""What check-data says of sets with index masks, and what stops a run."""

from hiera_mm.config import read_config_file
from hiera_mm.errors import UserError
from hiera_mm.settings import read_config
from hiera_mm.synthetic.masks import make_mask_shapes
from hiera_mm.tasks import check_data, faults_of

import numpy as np
import pytest
from PIL import Image

OWN = """_base_ = 'hiera_mm::segformer_hiera_t_ade20k.py'
data_root = '{folder}'
classes = {classes}
train_data_prefix = dict(img_path='images/train', seg_map_path='masks/train')
val_data_prefix = dict(img_path='images/val', seg_map_path='masks/val')
"""
NAMES = ('background', 'circle', 'bar', 'triangle')


@pytest.fixture
def folder(tmp_path):
    make_mask_shapes(tmp_path / 'set', train=6, val=3)
    return tmp_path / 'set'


def config_of(folder, classes=NAMES, more=''):
    path = folder.parent / 'my_config.py'
    path.write_text(OWN.format(folder=folder, classes=classes) + more)
    return read_config(str(path))


def change(path, make):
    Image.fromarray(make(np.asarray(Image.open(path)).copy()).astype(np.uint8)).save(path)


def sentences(config):
    return [fault.sentence for fault in faults_of(config)]


def test_own_masks_take_a_few_settings(folder):
    """The published set's numbering must not remain anywhere."""
    config = config_of(folder)
    assert sentences(config) == []
    check_data(config, ['train_dataloader', 'val_dataloader'])
    dataset = config.train_dataloader.dataset
    assert dataset.type == 'SegmentationDataset' and config.model.decode_head.num_classes == 4
    assert all(
        'reduce_zero_label' not in step for step in [*dataset.pipeline, *config.test_dataloader.dataset.pipeline]
    )


@pytest.mark.parametrize(
    'make, said',
    [
        (lambda mask: np.full_like(mask, 4), r'numbers that are not classes: 1 \(4\)'),
        (lambda mask: mask[:-2], 'pixels, but its image'),
        (lambda mask: np.stack([mask] * 3, -1), 'in colour'),
    ],
)
def test_a_faulty_mask_stops_the_run(folder, make, said):
    change(folder / 'masks/train/000002.png', make)
    config = config_of(folder)
    with pytest.raises(UserError, match=f'train_dataloader.dataset: .*000002.png.*{said}'):
        check_data(config, ['train_dataloader'])
    assert any('000002' in sentence for sentence in sentences(config))


def test_masks_of_0_and_255_leave_nothing_to_learn(folder):
    for path in (folder / 'masks/train').glob('*.png'):
        change(path, lambda mask: (mask > 0) * 255)
    with pytest.raises(UserError, match='only 0 and 255.*write 1 for the second class'):
        check_data(config_of(folder, ('background', 'shape')), ['train_dataloader'])


def test_other_faults_have_their_sentences(folder):
    (folder / 'images/val/000001.png').write_bytes(b'no picture')
    assert any('000001.png' in sentence and 'val' in sentence for sentence in sentences(config_of(folder)))
    (folder / 'masks/val/000002.png').unlink()
    assert any('of the masks are missing' in sentence for sentence in sentences(config_of(folder)))
    with pytest.raises(UserError, match='model predicts 7 classes .*, but train_dataloader.dataset has 4'):
        config = config_of(folder)
        config.model.decode_head.num_classes = 7
        check_data(config, ['train_dataloader'])


def test_a_class_without_pixels_is_noted(folder):
    found = sentences(config_of(folder, (*NAMES, 'square')))
    assert len(found) == 2 and all('no mask has the class 1 (square)' in sentence for sentence in found)


def test_a_picture_of_another_ending_than_the_published_set_has_is_not_lost(folder):
    """mmsegmentation's sets would find no picture at all, and train on nothing."""
    config = config_of(folder, more="train_dataloader = dict(dataset=dict(type='BaseSegDataset'))\n")
    with pytest.raises(UserError, match="no images whose names end in '.jpg', but 6"):
        check_data(config, ['train_dataloader'])


def test_a_published_set_is_checked_by_its_own_numbering(folder):
    """ADE20K's masks hold 1 to 150, and 0 for what is ignored."""
    path = folder.parent / 'ade.py'
    path.write_text(f"""_base_ = 'hiera_mm::segformer_hiera_t_ade20k.py'
part = dict(data_root='{folder}', img_suffix='.png', data_prefix=dict(img_path='images/val', seg_map_path='masks/val'))
train_dataloader = dict(dataset=part)
val_dataloader = dict(dataset=part)
test_dataloader = val_dataloader
""")
    config = read_config_file(str(path))
    assert config.train_dataloader.dataset.type == 'ADE20KDataset' and sentences(config) == []
    change(folder / 'masks/val/000001.png', lambda mask: np.full_like(mask, 150))
    assert sentences(config) == []
    change(folder / 'masks/val/000001.png', lambda mask: np.full_like(mask, 151))
    assert any('151' in sentence for sentence in sentences(config))


def test_masks_of_nothing_but_0_are_told_and_trained(folder):
    """Such as the first pictures of a set of rare things."""
    for path in (folder / 'masks/train').glob('*.png'):
        change(path, np.zeros_like)
    config = config_of(folder)
    check_data(config, ['train_dataloader'])
    (found,) = sentences(config)
    assert 'no mask has the class 3 (circle, bar, triangle)' in found
