"""Data sets of images: class folders, lists, iNaturalist's JSON, broken files, and the preparation of pixels."""

import json

from hiera_mm.datasets.images import ImageDataset, ReadImage, TorchvisionTransform
from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.image_lists import read_images
from hiera_mm.synthetic.classes import make_class_shapes

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image
from torchvision.datasets import ImageFolder

from tests.helpers import OFFICIAL_PREPARATION, ROOT


@pytest.fixture(scope='module')
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'classes'
    make_class_shapes(folder, train=9, val=6)
    return folder


def test_class_folders_are_read_as_torchvision_reads_them(classes):
    (classes / 'train' / 'bar' / 'notes.txt').write_text('no image')
    expected = ImageFolder(classes / 'train')
    found = read_images(classes / 'train')
    assert found.entries == expected.samples and list(found.classes) == expected.classes == [
        'bar',
        'circle',
        'triangle',
    ]


def test_folders_are_numbered_as_the_classes_of_the_model(classes):
    def read(names):
        return ImageDataset([], data_root=str(classes), data_prefix=dict(img='val'), metainfo=dict(classes=names))

    names = ('triangle', 'square', 'bar', 'Circle')
    dataset = read(names)
    found = {
        dataset.get_data_info(place)['img_path'].split('/')[-2]: dataset.get_data_info(place)['label']
        for place in range(6)
    }
    assert found == dict(bar=2, circle=3, triangle=0) and dataset.metainfo['classes'] == names
    with pytest.raises(UserError, match='1 .triangle. of the 3 classes of .* are not among the 2 classes'):
        read(('bar', 'circle'))


def test_images_without_labels_may_lie_anywhere(classes, tmp_path):
    (tmp_path / 'deep' / 'deeper').mkdir(parents=True)
    for place in ('deep/deeper/b.PNG', 'a.jpg'):
        Image.new('RGB', (8, 8)).save(tmp_path / place)
    found = read_images(tmp_path, with_label=False)
    assert found.entries == [(str(tmp_path / 'a.jpg'), None), (str(tmp_path / 'deep/deeper/b.PNG'), None)]
    assert len(read_images(classes, with_label=False).entries) == 15


def test_a_list_in_the_format_of_places365(tmp_path):
    (tmp_path / 'list.txt').write_text('/a/airfield/00000001.jpg 0\n/z/zen garden/00000002.jpg 364\n')
    found = read_images(tmp_path, tmp_path / 'list.txt')
    assert found.entries == [(f'{tmp_path}/a/airfield/00000001.jpg', 0), (f'{tmp_path}/z/zen garden/00000002.jpg', 364)]
    assert read_images(tmp_path, tmp_path / 'list.txt', with_label=False).entries[1][1] is None


def inaturalist(**changes):
    content = dict(
        images=[
            dict(id=7, file_name='train_val2018/Aves/1/x.jpg'),
            dict(id=9, file_name='train_val2018/Plantae/4/y.jpg'),
        ],
        annotations=[dict(id=1, image_id=7, category_id=4), dict(id=2, image_id=9, category_id=1)],
        categories=[dict(id=4, name='Turdus merula'), dict(id=1, name='Acer')],
    )
    return content | changes


def test_inaturalists_json_numbers_classes_by_their_ids(tmp_path):
    (tmp_path / 'train2018.json').write_text(json.dumps(inaturalist()))
    found = read_images(tmp_path, tmp_path / 'train2018.json')
    assert found.classes == ('Acer', 'Turdus merula')
    assert found.entries == [
        (str(tmp_path / 'train_val2018/Aves/1/x.jpg'), 1),
        (str(tmp_path / 'train_val2018/Plantae/4/y.jpg'), 0),
    ]


@pytest.mark.parametrize(
    'written, said',
    [
        ('no JSON', 'does not list images in JSON'),
        ('[1]', 'does not list images in JSON'),
        (json.dumps(dict(images=[])), "is not in iNaturalist's format: it lacks 'categories'"),
        (json.dumps(inaturalist(annotations=[])), r'gives no class for 2 \(.*x.jpg, .*y.jpg\)'),
        (json.dumps(inaturalist(categories=[dict(id=1, name='Acer')])), 'it lacks 4'),
        (json.dumps(inaturalist(images=[])), 'holds no images'),
    ],
)
def test_another_json_is_refused_with_a_sentence(tmp_path, written, said):
    (tmp_path / 'a.json').write_text(written)
    with pytest.raises(UserError, match=said):
        read_images(tmp_path, tmp_path / 'a.json')


def test_missing_and_empty_folders_and_files_are_refused_with_a_sentence(tmp_path):
    for arguments, said in (
        ((tmp_path / 'gone',), "gone' does not exist; put the images there or correct data_prefix"),
        ((tmp_path,), 'holds no folders; put the images into one folder for each class'),
        ((tmp_path, '', False), 'holds no images'),
        ((tmp_path, tmp_path / 'gone.txt'), "The image list '.*gone.txt' does not exist"),
        ((tmp_path, tmp_path / 'gone.json'), "annotation file '.*gone.json' does not exist"),
    ):
        with pytest.raises(UserError, match=said):
            read_images(*arguments)


def test_a_data_set_gives_classes_labels_and_pixels(classes):
    init_default_scope('mmaction')
    pipeline = [dict(type='ReadImage'), dict(type='FormatShape', input_format='NCHW'), dict(type='PackActionInputs')]
    dataset = DATASETS.build(
        dict(type='ImageDataset', data_root=str(classes), data_prefix=dict(img='train'), pipeline=pipeline)
    )
    assert len(dataset) == 9 and dataset.metainfo['classes'] == ('bar', 'circle', 'triangle')
    sample = dataset[4]
    expected, label = ImageFolder(classes / 'train')[4]
    assert sample['data_samples'].gt_label.tolist() == [label]
    assert np.array_equal(sample['inputs'][0].permute(1, 2, 0).numpy(), np.asarray(expected))


@pytest.mark.parametrize('content', [b'', b'no image', 'cut'])
def test_broken_images_are_named_and_in_training_replaced(classes, tmp_path, monkeypatch, content):
    whole = next((classes / 'train' / 'bar').glob('*.png'))
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'broken.png').write_bytes(whole.read_bytes()[:900] if content == 'cut' else content)
    (tmp_path / 'a' / 'sound.png').write_bytes(whole.read_bytes())
    said = []
    monkeypatch.setattr('hiera_mm.datasets.skip_broken.print_log', lambda text, **_: said.append(text))
    sample = ImageDataset([ReadImage()], data_root=str(tmp_path))[0]
    assert sample['img_path'].endswith('sound.png')
    assert said and all("broken.png' is damaged, truncated or not an image" in line for line in said)
    with pytest.raises(
        BrokenFileError, match="broken.png' is damaged, truncated or not an image; replace it or take it out"
    ):
        ImageDataset([ReadImage()], data_root=str(tmp_path), test_mode=True)[0]
    with pytest.raises(BrokenFileError, match="gone.png' does not exist"):
        ReadImage().transform(dict(img_path=str(tmp_path / 'gone.png')))


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA', 'CMYK', 'I;16'])
def test_every_kind_of_colour_becomes_rgb(tmp_path, mode):
    path = tmp_path / ('a.jpg' if mode == 'CMYK' else 'a.png')
    Image.new(mode, (9, 5)).save(path)
    (frame,) = ReadImage().transform(dict(img_path=str(path)))['imgs']
    assert frame.shape == (5, 9, 3) and frame.dtype == np.uint8


def test_the_test_pipeline_prepares_images_as_the_official_example(tmp_path):
    """Its README: Resize to 256, bicubic; CenterCrop 224; ToTensor; Normalize."""
    init_default_scope('mmaction')
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (301, 257, 3), dtype=np.uint8)).save(tmp_path / 'a.png')
    config = Config.fromfile(ROOT / 'configs' / 'in1k_hiera_b.py')
    from mmcv.transforms import Compose
    from mmengine.registry import MODELS

    sample = Compose(config.test_pipeline)(dict(img_path=str(tmp_path / 'a.png'), label=3))
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    ours = MODELS.build(config.model.data_preprocessor)(batch)['inputs']
    with Image.open(tmp_path / 'a.png') as image:
        torch.testing.assert_close(ours[0, 0], OFFICIAL_PREPARATION(image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    'settings',
    [dict(name='Resise', size=3), dict(name='Resize', sise=3), dict(name='Resize', size=3, interpolation='cube')],
)
def test_a_transform_that_torchvision_does_not_have_is_refused(settings):
    with pytest.raises(
        UserError, match="pipeline's TorchvisionTransform does not fit torchvision.transforms.v2: .*(se|cu)"
    ):
        TorchvisionTransform(**settings)
