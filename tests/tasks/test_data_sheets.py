"""check-data draws samples of every task with their annotations, and says how many of each class there are."""

from hiera_mm.commands.make_data import GENERATORS

import numpy as np
import pytest
from PIL import Image

SAID = dict(
    images='objects of each class: ',
    classes='6 images of 3 classes: bar 2, circle 2, triangle 2',
    motion='6 videos of 6 classes: ',
    panoptic='6 images; segments of each class: circle ',
)


BANDS = """
_base_ = 'hiera_mm::upernet_hiera_t_shapes.py'
data_root = 'set/'
classes = ('background', 'dry', 'wet')
train_data_prefix = dict(img_path='rgb/train', seg_map_path='masks/train')
val_data_prefix = dict(img_path='rgb/val', seg_map_path='masks/val')
test_data_prefix = val_data_prefix
channels = 4
channel_files = ('rgb/*.png', 'infrared/*.png')
mean = [127.0, 127.0, 127.0, 129.0]
std = [39.0, 39.0, 39.0, 36.0]
"""


@pytest.mark.parametrize('kind', GENERATORS)
def test_samples_are_drawn_with_their_annotations(run_command, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    code, printed = run_command('make-data', 'set', '--kind', kind, '--train', 6, '--val', 2)
    assert code == 0, printed
    if kind == 'bands':
        # init joins no files.
        (tmp_path / 'my_config.py').write_text(BANDS)
    else:
        code, printed = run_command('init', 'set', '--random-weights')
        assert code == 0, printed
    code, printed = run_command('check-data', 'my_config.py')
    assert code == 0 and SAID.get(kind, '') in printed and 'samples of train_dataloader.dataset' in printed, printed
    for part in ('train', 'val'):
        sheet = np.asarray(Image.open(tmp_path / 'work_dirs' / 'my_config' / 'data' / f'{part}.png').convert('RGB'))
        assert min(sheet.shape[:2]) > 100 and sheet.std() > 10


def test_the_background_stays_as_it_is():
    from hiera_mm.tasks.segmentation.results import Segmentation, draw_regions

    frame = np.full((600, 600, 3), 100, np.uint8)
    labels = np.zeros((600, 600), np.uint8)
    labels[300:] = 1
    drawn = draw_regions(frame, Segmentation(labels, ['background', 'road']))
    assert (drawn[100:299, 100:] == 100).all() and (drawn[310:, 100:] != 100).any(-1).all()
    drawn = draw_regions(frame, Segmentation(labels, ['sky', 'road']))
    assert (drawn[100:299, 200:] != 100).any(-1).all()
