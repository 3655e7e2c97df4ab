"""Images of other channels than red, green and blue, from files to predictions."""

import json
import re

from hiera_mm.readers.channels import decode_channels
from hiera_mm.synthetic.bands import NAMES, make_band_shapes
from hiera_mm.tasks import load

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from tests.helpers import SMALL_DETECTOR, assert_explained

ARCH = 'arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))'
SHORT = 'batch_size = 2\nnum_workers = 0\nweights = None\n'
SEGMENTOR = f"""
_base_ = 'hiera_mm::upernet_hiera_t_shapes.py'
data_root = '{{folder}}/bands'
classes = {NAMES}
train_data_prefix = dict(img_path='rgb/train', seg_map_path='masks/train')
val_data_prefix = dict(img_path='rgb/val', seg_map_path='masks/val')
test_data_prefix = val_data_prefix
image_size = (64, 64)
max_iters = 2
{SHORT}
model = dict(
    backbone=dict({ARCH}),
    decode_head=dict(in_channels=[16, 32, 64, 128], channels=16),
    auxiliary_head=dict(in_channels=64, channels=16),
)
"""
DETECTOR = f"""
{SMALL_DETECTOR.replace('NAME', 'mask_rcnn_hiera_t').replace('(128, 128)', '(64, 64)')}
data_root = '{{folder}}/shapes'
train_ann_file = 'annotations/instances_train.json'
train_data_prefix = dict(img='train')
val_ann_file = 'annotations/instances_val.json'
val_data_prefix = dict(img='val')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix
max_iters = 2
{SHORT}
"""
CLASSIFIER = f"""
_base_ = 'hiera_mm::in1k_hiera_t.py'
data_root = '{{folder}}/classes'
image_size = 64
epochs = 1
{SHORT}
classes = ('a', 'b')
test_data_prefix = dict(img='val')
model = dict(backbone=dict({ARCH}, pos_embed_size=16), cls_head=dict(in_channels=128))
"""
AUTOENCODER = f"""
_base_ = 'hiera_mm::mae_hiera_t.py'
data_root = '{{folder}}/unlabelled'
train_data_prefix = dict(img='images')
image_size = 64
epochs = 1
{SHORT}
model = dict(
    backbone=dict({ARCH}, pos_embed_size=16), input_size=(64, 64),
    decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2,
)
"""
QUERIES = f"""
_base_ = 'hiera_mm::mask2former_hiera_t_shapes.py'
data_root = '{{folder}}/shapes'
max_iters = 2
{SHORT}
"""


def tiff(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric='minisblack', planarconfig='contig')


def sixteen_bits(folder, shapes):
    """COCO's files of the shapes, whose images have five channels of 16 bits."""
    for part in ('train', 'val'):
        content = json.loads((shapes / 'annotations' / f'instances_{part}.json').read_text())
        for image in content['images']:
            pixels = np.asarray(Image.open(shapes / part / image['file_name']))
            image['file_name'] = image['file_name'].replace('.png', '.tif')
            tiff(folder / 'shapes' / part / image['file_name'], pixels[..., [0, 1, 2, 0, 1]].astype(np.uint16) * 40)
        path = folder / 'shapes' / 'annotations' / f'instances_{part}.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return 5


def one_of_class_folders(folder, shapes):
    """Grey images of floating point in class folders."""
    random = np.random.default_rng(0)
    for part, count in (('train', 4), ('val', 2)):
        for number in range(count):
            name = f'classes/{part}/{"ab"[number % 2]}/{number}.tif'
            tiff(folder / name, random.normal(number % 2, 0.1, (70, 80)).astype(np.float32))
    return 1


def two_without_labels(folder, shapes):
    random = np.random.default_rng(0)
    for number in range(5):
        tiff(folder / 'unlabelled' / 'images' / f'{number}.tif', random.integers(0, 999, (70, 80, 2), np.uint16))
    return 2


def bands(folder, shapes):
    make_band_shapes(folder / 'bands', train=4, val=2)
    return 4


TASKS = dict(
    segmentor=(SEGMENTOR, bands, 'bands/rgb/val'),
    detector=(DETECTOR, sixteen_bits, 'shapes/val'),
    classifier=(CLASSIFIER, one_of_class_folders, 'classes/val'),
    autoencoder=(AUTOENCODER, two_without_labels, 'unlabelled/images'),
)
SLOW = dict(queries=(QUERIES, sixteen_bits, 'shapes/val'))


@pytest.mark.parametrize('name', [*TASKS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_from_files_to_predictions(name, shapes, tmp_path, run_command, monkeypatch):
    """What check-data prints is what training needs."""
    monkeypatch.chdir(tmp_path)
    text, write, inputs = (TASKS | SLOW)[name]
    channels = write(tmp_path, shapes)
    text = text.format(folder=tmp_path) + f'channels = {channels}\n'
    if name == 'segmentor':
        text += "channel_files = ('rgb/*.png', 'infrared/*.png')\n"
    config = tmp_path / 'my_config.py'
    config.write_text(text)
    assert_explained(run_command('train', config), 'set both at the top of the config', 'check-data')
    code, printed = run_command('check-data', config)
    assert code == 1 and '1 fault' in printed, printed
    found = re.search(r'mean = (\[.*?\]) and std = (\[.*?\])', printed)
    config.write_text(text + f'mean = {found[1]}\nstd = {found[2]}\n')
    np.testing.assert_allclose(json.loads(found[1]), mean_of(tmp_path, name), rtol=1e-3)
    code, printed = run_command('check-data', config)
    assert code == 0 and 'mean and std' not in printed, printed
    sheet = tmp_path / 'work_dirs' / 'my_config' / 'data' / 'train.png'
    assert np.asarray(Image.open(sheet)).std() > 10
    code, printed = run_command('train', config)
    assert code == 0, printed
    run = 'work_dirs/my_config'
    code, printed = run_command('predict', run, inputs, '--out-dir', 'out')
    assert code == 0 and ' inputs; written' in printed, printed
    if name != 'autoencoder':
        code, printed = run_command('report', run)
        assert code == 0, printed
        assert (tmp_path / run / 'report.html').stat().st_size > 10_000
        assert_explained(run_command('export', run, 'model.onnx'), 'other channels than red, green and blue')
    assert_explained(run_command('serve', run), 'other channels') if name in ('segmentor', 'detector') else None


def mean_of(folder, name):
    """Of the training part, by numpy."""
    parts = dict(segmentor='bands/rgb/train', classifier='classes/train', autoencoder='unlabelled/images')
    pixels = []
    for path in sorted((folder / parts.get(name, 'shapes/train')).rglob('*.*')):
        images = [decode_channels(path.read_bytes(), path)]
        if name == 'segmentor':
            images += [np.asarray(Image.open(str(path).replace('rgb', 'infrared')))[..., None]]
        whole = np.concatenate(images, axis=2)
        pixels.append(whole.reshape(-1, whole.shape[2]).astype(np.float64))
    if name in ('detector', 'queries'):
        # Images without objects are not trained.
        content = json.loads((folder / 'shapes/annotations/instances_train.json').read_text())
        used = {entry['image_id'] for entry in content['annotations']}
        pixels = [pixels[place] for place, image in enumerate(content['images']) if image['id'] in used]
    return np.concatenate(pixels).mean(0)


def test_a_trained_model_takes_files_arrays_and_tensors(shapes, tmp_path, run_command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bands(tmp_path, shapes)
    config = tmp_path / 'my_config.py'
    more = "channels = 4\nchannel_files = ('rgb/*.png', 'infrared/*.png')\nmean = [128] * 4\nstd = [40] * 4\n"
    config.write_text(SEGMENTOR.format(folder=tmp_path) + more)
    assert run_command('train', config)[0] == 0
    # The file alone, whose config is not trusted.
    model = load(str(next((tmp_path / 'work_dirs/my_config').glob('iter_2.pth'))))
    path = tmp_path / 'bands/rgb/val/000001.png'
    pixels = np.dstack([np.asarray(Image.open(path)), np.asarray(Image.open(str(path).replace('rgb', 'infrared')))])
    expected = model.predict(path).labels
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for given in (pixels, tensor, Image.fromarray(pixels)):
        np.testing.assert_array_equal(model.predict(given).labels, expected)
    # Resized without rounding.
    assert (model.predict(pixels.astype(np.float32)).labels == expected).mean() > 0.98
    for wrong in (pixels[..., :3], pixels[..., 0], 'bands/infrared/val/000001.png'):
        with pytest.raises(Exception, match='channels|form|an array') as raised:
            model.predict(wrong)
        assert type(raised.value).__name__ == 'UserError'
    (folder,) = [tmp_path / 'bands/infrared/val']
    assert_explained(run_command('predict', 'work_dirs/my_config', folder, '--out-dir', 'out'), 'of the form')
