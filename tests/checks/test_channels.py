"""What check-data and training say of channels that don't agree."""

from hiera_mm.errors import UserError
from hiera_mm.setting_values import converted
from hiera_mm.settings import read_config
from hiera_mm.synthetic.bands import make_band_shapes
from hiera_mm.tasks import check_data, faults_of

import numpy as np
import pytest
import tifffile
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

OWN = """_base_ = 'hiera_mm::segformer_hiera_t_ade20k.py'
data_root = '{folder}'
classes = ('background', 'dry', 'wet')
train_data_prefix = dict(img_path='rgb/train', seg_map_path='masks/train')
val_data_prefix = dict(img_path='rgb/val', seg_map_path='masks/val')
test_data_prefix = val_data_prefix
"""
FOUR = "channels = 4\nchannel_files = ('rgb/*.png', 'infrared/*.png')\n"
NORMALISED = 'mean = [128, 128, 128, 130]\nstd = [36, 37, 37, 36]\n'


@pytest.fixture
def folder(tmp_path):
    make_band_shapes(tmp_path / 'set', train=4, val=2)
    return tmp_path / 'set'


def config_of(folder, more):
    path = folder.parent / 'my_config.py'
    path.write_text(OWN.format(folder=folder) + more)
    return read_config(str(path))


def sentences(config):
    return [fault.sentence for fault in faults_of(config)]


def test_channels_that_agree_have_no_fault(folder):
    assert sentences(config_of(folder, FOUR + NORMALISED)) == []
    assert sentences(config_of(folder, '')) == []


@pytest.mark.parametrize(
    'more, part',
    [
        ('model = dict(backbone=dict(in_channels=1))\n', 'loads images of 3 channels, but the model takes 1'),
        (FOUR + NORMALISED + 'model = dict(backbone=dict(in_channels=5))\n', 'channels = 4'),
        (FOUR, 'mean and std have 3 numbers'),
        ('channels = 1\n', 'mean and std have 3 numbers'),
    ],
)
def test_what_would_stop_training_at_its_first_iteration_is_told_before(folder, more, part):
    with pytest.raises(UserError, match=part):
        check_data(config_of(folder, more), ['train_dataloader'])


@pytest.mark.parametrize(
    'more, part',
    [
        ('mean = [1.0]\n', 'mean without'),
        (FOUR + 'mean = [1, 2, 3]\nstd = [1, 2, 3]\n', 'channels = 4, but mean has 3 numbers'),
        (FOUR + 'mean = [1, 2, 3, 4]\nstd = [1, 2, 3, 0]\n', 'std = .* above 0'),
        (FOUR + "mean = 'imagenet'\nstd = [1, 2, 3, 1]\n", 'mean = .*list of numbers'),
        ('channels = 0\n', 'channels = 0'),
        ("channels = 'four'\n", "channels = 'four'"),
        ("channel_files = 'depth/*.png'\n", 'channel_files'),
        ("channel_files = ('depth/*.png',)\n", 'channel_files'),
        ('in_channels = 4\n', 'channels'),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(folder, more, part):
    with pytest.raises(UserError, match=part):
        config_of(folder, more)


@pytest.mark.parametrize('name, value', [('mean', np.full(4, 128)), ('std', [np.float32(1)]), ('mean', (0, 1.5))])
def test_numbers_of_numpy_are_taken(name, value):
    found = converted(name, value, [1.0])
    assert found == [float(number) for number in value] and all(type(number) is float for number in found)


def test_a_grey_image_among_colours_and_other_faults_are_named(folder):
    config = config_of(folder, FOUR + NORMALISED)
    infrared = folder / 'infrared' / 'train'
    Image.open(infrared / '000001.png').convert('RGB').save(infrared / '000001.png')
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(infrared / '000002.png')
    (infrared / '000003.png').unlink()
    (infrared / '000004.png').write_bytes(b'no image')
    found = sentences(config)
    assert len(found) == 4
    for number, part in enumerate(('has 6 channels', 'same size', 'missing', "can't be decoded"), start=1):
        assert part in found[number - 1] and f'00000{number}.png' in found[number - 1]


def test_a_mean_of_other_images_is_noted_with_the_right_one(folder):
    (note,) = sentences(config_of(folder, FOUR + 'mean = [0, 0, 0, 0]\nstd = [1, 1, 1, 1]\n'))
    pixels = []
    for path in sorted((folder / 'rgb' / 'train').iterdir()):
        infrared = np.asarray(Image.open(folder / 'infrared' / 'train' / path.name))
        pixels.append(np.dstack([np.asarray(Image.open(path)), infrared]).reshape(-1, 4))
    pixels = np.concatenate(pixels).astype(float)
    mean, deviation = (', '.join(f'{number:.5g}' for number in of) for of in (pixels.mean(0), pixels.std(0)))
    assert f'mean = [{mean}] and std = [{deviation}]' in note


def test_video_and_volume_models_have_no_channels_of_images(tmp_path):
    for base in ('k400_hiera_b', 'ava_hiera_b'):
        path = tmp_path / f'{base}_own.py'
        path.write_text(f"_base_ = 'hiera_mm::{base}.py'\nchannels = 4\n")
        with pytest.raises(UserError, match='red, green and blue'):
            read_config(str(path))


def test_bands_of_16_bits_are_not_trained_as_bytes(tmp_path):
    """Three channels have the mean of colours unless the config says others."""
    folder = tmp_path / 'set'
    make_band_shapes(folder, train=2, val=1)
    for path in (folder / 'rgb').rglob('*.png'):
        for number, band in enumerate('234'):
            pixels = np.asarray(Image.open(path))[..., number].astype(np.uint16) * 100
            Image.fromarray(pixels).save(path.with_name(f'{path.stem}_B0{band}.png'))
        path.unlink()
    more = "channels = 3\nchannel_files = ('*_B02.png', '*_B03.png', '*_B04.png')\n"
    with pytest.raises(UserError, match='no bytes, but mean and std are those of colours'):
        check_data(config_of(folder, more), ['train_dataloader'])
    config = config_of(folder, more + 'mean = [12000.0] * 3\nstd = [3700.0] * 3\n')
    check_data(config, ['train_dataloader'])
    kinds = [step.type for step in config.train_dataloader.dataset.pipeline]
    assert 'ChannelDistortion' in kinds and 'PhotoMetricDistortion' not in kinds


def test_channels_that_a_model_of_colours_would_leave_out_are_told(tmp_path):
    folder = tmp_path / 'set'
    make_band_shapes(folder, train=2, val=1)
    for path in sorted((folder / 'rgb').rglob('*.png')):
        pixels = np.dstack([np.asarray(Image.open(path))] + [np.asarray(Image.open(path))[..., :1]] * 1)
        tifffile.imwrite(path.with_suffix('.tif'), pixels, photometric='minisblack', planarconfig='contig')
        path.unlink()
    config = config_of(folder, '')
    init_default_scope('mmseg')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    with pytest.raises(UserError, match='has 4 channels, but the config takes it for one in colour; set channels = 4'):
        dataset[0]
