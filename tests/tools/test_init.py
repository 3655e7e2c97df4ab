"""hiera-mm init on folders as people have them, and the page of own data, word for word."""

import json
import shutil
import xml.etree.ElementTree as xml

from hiera_mm.commands.init import _fitting_size
from hiera_mm.first_config import KINDS, Machine, config_text
from hiera_mm.readers.found_sets import FoundPart, FoundSets, find_sets
from hiera_mm.settings import read_config
from hiera_mm.synthetic.classes import make_class_shapes
from hiera_mm.synthetic.motions import make_motion_shapes
from hiera_mm.synthetic.shapes import make_coco_shapes

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from tests.coloured import SIZE, draw, worst_agreement, write

SMALL = """
width = 16
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)),
        window_sizes=None,
        global_blocks=(),
    ),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=width),
    rpn_head=dict(in_channels=width, feat_channels=width),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=width),
        bbox_head=dict(in_channels=width, conv_out_channels=width, fc_out_channels=width),
        {masks}
    ),
)
max_iters = 2
num_workers = 0
weights = None
"""
MASKS = 'mask_roi_extractor=dict(out_channels=width), mask_head=dict(in_channels=width, conv_out_channels=width),'


@pytest.fixture
def contents(tmp_path):
    return draw(tmp_path / 'set', pictures=5)


def as_yolo(folder, contents, polygons=False):
    """Ultralytics' layout: images/train, labels/train and data.yaml."""
    for part, content in contents.items():
        (folder / 'images').mkdir(exist_ok=True)
        (folder / part).rename(folder / 'images' / part)
        (folder / 'labels' / part).mkdir(parents=True)
        for image in content['images']:
            lines = []
            for annotation in (a for a in content['annotations'] if a['image_id'] == image['id']):
                x, y, w, h = annotation['bbox']
                box = [(x + w / 2) / SIZE[1], (y + h / 2) / SIZE[0], w / SIZE[1], h / SIZE[0]]
                corners = np.array(annotation['segmentation'][0]).reshape(-1, 2) / SIZE[::-1]
                numbers = corners.flatten() if polygons else box
                lines.append(' '.join(map(str, [annotation['category_id'] - 1, *numbers])))
            (folder / 'labels' / part / f'{image["id"]}.txt').write_text('\n'.join(lines))
    (folder / 'data.yaml').write_text('train: images/train\nval: images/val\nnames: [cat, dog]\n')


def as_voc(folder, contents, listed=True):
    """Pascal VOC's layout: JPEGImages, Annotations and ImageSets."""
    names = {1: 'cat', 2: 'dog'}
    for part in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (folder / part).mkdir(parents=True)
    for part, content in contents.items():
        stems = []
        for image in content['images']:
            stem = f'{part}_{image["id"]}'
            stems.append(stem)
            shutil.move(folder / part / image['file_name'], folder / 'JPEGImages' / f'{stem}.png')
            tree = xml.Element('annotation')
            xml.SubElement(tree, 'filename').text = f'{stem}.png'
            for annotation in (a for a in content['annotations'] if a['image_id'] == image['id']):
                entry = xml.SubElement(tree, 'object')
                xml.SubElement(entry, 'name').text = names[annotation['category_id']]
                x, y, w, h = annotation['bbox']
                box = xml.SubElement(entry, 'bndbox')
                # Pascal VOC counts pixels from 1 and includes the last one.
                for side, value in dict(xmin=x + 1, ymin=y + 1, xmax=x + w, ymax=y + h).items():
                    xml.SubElement(box, side).text = str(value)
            xml.ElementTree(tree).write(folder / 'Annotations' / f'{stem}.xml')
        if listed:
            (folder / 'ImageSets' / 'Main' / f'{part}.txt').write_text('\n'.join(stems))


def trained_set(path):
    """The training set of a written config as the model gets it, pictures as they are, once the run has read it."""
    from hiera_mm.settings import read_config

    dataset = read_config(str(path)).train_dataloader.dataset
    dataset.pipeline = [dataset.pipeline[0], dataset.pipeline[1], dict(type='PackDetInputs')]
    init_default_scope('mmdet')
    return DATASETS.build(dataset)


def box_agreement(dataset):
    """As :func:`worst_agreement`, of boxes alone."""
    for sample in dataset:
        truth = sample['data_samples'].gt_instances
        if 'masks' in truth:
            return worst_agreement(dataset)
    from tests.coloured import COLOURS

    shares = []
    for sample in dataset:
        pixels = sample['inputs'].permute(1, 2, 0).numpy().astype(int)
        truth = sample['data_samples'].gt_instances
        for box, label in zip(truth.bboxes.tensor, truth.labels, strict=True):
            x1, y1, x2, y2 = (round(float(side)) for side in box)
            colour = np.array(COLOURS[dataset.metainfo['classes'][int(label)]])
            shares.append((np.abs(pixels[y1:y2, x1:x2] - colour).max(-1) < 60).mean())
    return min(shares), len(shares)


def layout(kind, folder, contents):
    if kind == 'coco':
        write(folder, contents)
    elif kind == 'coco in roboflow folders':
        for part, content in contents.items():
            (folder / part / '_annotations.coco.json').write_text(json.dumps(content))
    elif kind.startswith('yolo'):
        as_yolo(folder, contents, polygons=kind == 'yolo polygons')
    else:
        as_voc(folder, contents)


@pytest.mark.parametrize(
    'kind, base',
    [
        ('coco', 'mask_rcnn_hiera_t'),
        pytest.param('coco in roboflow folders', 'mask_rcnn_hiera_t', marks=pytest.mark.slow),
        pytest.param('yolo', 'faster_rcnn_hiera_t', marks=pytest.mark.slow),
        pytest.param('yolo polygons', 'mask_rcnn_hiera_t', marks=pytest.mark.slow),
        pytest.param('voc', 'faster_rcnn_hiera_t', marks=pytest.mark.slow),
    ],
)
def test_a_folder_gets_a_config_that_trains(run_command, tmp_path, contents, kind, base):
    layout(kind, tmp_path / 'set', contents)
    path = tmp_path / 'my_config.py'
    option = f'--{kind.split()[0]}'
    code, printed = run_command('init', option, tmp_path / 'set', '--out', path, '--random-weights')
    assert code == 0 and 'training    5 images, 10 objects' in printed and 'validation  5 images' in printed, printed
    assert f"_base_ = 'hiera_mm::{base}.py'" in path.read_text()
    share, objects = box_agreement(trained_set(path))
    assert share > 0.9 and objects == 10
    path.write_text(
        path.read_text().replace('epochs = 50', '') + SMALL.format(masks=MASKS if base.startswith('mask') else '')
    )
    code, printed = run_command('train', path, '--work-dir', tmp_path / 'run')
    assert code == 0 and 'coco/bbox_mAP' in printed and '5 images or clips, 4 per iteration' in printed, printed
    (best,) = (tmp_path / 'run').glob('best_coco_bbox_mAP_iter_2.pth')
    code, printed = run_command('test', path, best, '--show-dir', tmp_path / 'drawn', '--work-dir', tmp_path / 'test')
    assert code == 0 and len(list((tmp_path / 'drawn').glob('*.png'))) == 5, printed


def test_a_fifth_is_put_apart_where_there_is_one_file(run_command, tmp_path, contents):
    (tmp_path / 'set' / 'all.json').write_text(json.dumps(contents['train']))
    code, printed = run_command('init', '--coco', tmp_path / 'set', '--out', tmp_path / 'my_config.py')
    assert code == 0 and 'training    4 images' in printed and 'validation  1 image,' in printed, printed
    files = {
        part: json.loads((tmp_path / 'my_config_annotations' / f'{part}.json').read_text()) for part in ('train', 'val')
    }
    names = [{image['file_name'] for image in content['images']} for content in files.values()]
    assert not names[0] & names[1] and len(names[0] | names[1]) == 5
    share, objects = box_agreement(trained_set(tmp_path / 'my_config.py'))
    assert share > 0.9 and objects == 8


def test_pascal_voc_without_lists_is_split(run_command, tmp_path, contents):
    as_voc(tmp_path / 'set', contents, listed=False)
    code, printed = run_command('init', '--voc', tmp_path / 'set', '--out', tmp_path / 'my_config.py')
    assert code == 0 and 'training    8 images' in printed and 'validation  2 images' in printed, printed


@pytest.mark.parametrize(
    'option, change, sentence',
    [
        ('--coco', lambda folder: None, "holds no annotation file in COCO's format"),
        ('--yolo', lambda folder: None, 'has no data.yaml'),
        ('--voc', lambda folder: None, 'holds no images with XML files'),
        ('--yolo', lambda folder: (folder / 'data.yaml').write_text('a: 1'), 'is not a data.yaml'),
        ('--yolo', lambda folder: (folder / 'data.yaml').write_text('names: [a]\ntrain: x'), "names 'x' as train"),
        ('--coco', lambda folder: shutil.rmtree(folder), 'does not exist'),
    ],
)
def test_a_folder_of_another_kind_is_told(run_command, tmp_path, contents, option, change, sentence):
    change(tmp_path / 'set')
    code, printed = run_command('init', option, tmp_path / 'set', '--out', tmp_path / 'my_config.py')
    assert code == 1 and sentence in printed and 'Traceback' not in printed, printed
    assert not (tmp_path / 'my_config.py').exists()


@pytest.mark.parametrize('gib, size', [(80, 'b'), pytest.param(2, 't', marks=pytest.mark.slow)])
def test_the_size_is_the_one_that_a_gpu_can_train(tmp_path, gib, size):
    make_class_shapes(tmp_path / 'set', train=6, val=3)
    found = find_sets(tmp_path / 'set', 'class-folders', tmp_path / 'out')
    assert _fitting_size(found, KINDS[found.kind], Machine(gib * 2**30, 8), batch_size=16) == size


@pytest.mark.parametrize('memory, side', [(None, 512), (80 * 2**30, 1024)])
def test_images_are_larger_where_there_is_a_gpu(tmp_path, memory, side):
    parts = dict(train=FoundPart(tmp_path / 'train.json', tmp_path, ['a.jpg'], [4000]))
    found = FoundSets('objects', tmp_path, parts, ('cat',))
    assert f'image_size = ({side}, {side})' in config_text(found, Machine(memory, 8), 't', 4, None, True)


def test_anchors_and_regions_follow_an_image_size_that_is_changed_later(tmp_path):
    parts = dict(train=FoundPart(tmp_path / 'train.json', tmp_path, ['a.jpg'], [4000]))
    text = config_text(FoundSets('objects', tmp_path, parts, ('cat',)), Machine(None, 8), 't', 4, None, True)
    path = tmp_path / 'found.py'

    def regions(text, *options):
        path.write_text(text)
        config = read_config(str(path), options)
        return config.model.rpn_head.anchor_generator.scales, config.model.train_cfg.rcnn.sampler.num

    assert regions(text) == ([8], 512)
    assert regions(text, 'image_size=(256,256)') == ([4], 64)
    assert regions(text.replace('(512, 512)', '(256, 192)')) == ([4], 64)
    assert regions(text.replace('(512, 512)', '[192, 256]')) == ([4], 64)
    assert regions(text.replace('(512, 512)', '256')) == ([4], 64)
    assert regions(text.replace('(512, 512)', '320')) == ([8], 512)


@pytest.mark.parametrize('depth', [1, 2])
@pytest.mark.parametrize(
    'lines', ['image_size = (256, 192)', 'image_size = 256', 'image_size = tuple(s // 2 for s in _base_.image_size)']
)
def test_they_follow_it_in_a_config_that_inherits_from_inits(tmp_path, depth, lines):
    parts = dict(train=FoundPart(tmp_path / 'train.json', tmp_path, ['a.jpg'], [4000]))
    text = config_text(FoundSets('objects', tmp_path, parts, ('cat',)), Machine(None, 8), 't', 4, None, True)
    (tmp_path / '0.py').write_text(text)
    (tmp_path / '1.py').write_text("_base_ = '0.py'\n" + (lines if depth == 1 else ''))
    (tmp_path / '2.py').write_text("_base_ = '1.py'\n" + (lines if depth == 2 else ''))
    config = read_config(str(tmp_path / f'{depth}.py'))
    assert config.model.train_cfg.rcnn.sampler.num == 64
    assert config.image_size in (256, (256, 192), (256, 256))
    # The command line has the last word.
    config = read_config(str(tmp_path / f'{depth}.py'), ['image_size=(640,640)'])
    assert config.model.train_cfg.rcnn.sampler.num == 512 and config.image_size == (640, 640)


def test_a_size_that_the_task_lacks_leaves_nothing_behind(run_command, tmp_path):
    make_motion_shapes(tmp_path / 'set', train=6, val=6)
    code, printed = run_command('init', tmp_path / 'set', '--size', 't', '--out', tmp_path / 'mine.py')
    assert code == 1 and 'there are the sizes b, bp, l, h, but not t' in printed, printed
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    code, printed = run_command('init', tmp_path / 'set', '--size', 'l', '--out', tmp_path / 'mine.py')
    assert code == 0 and 'k400_hiera_l.py' in (tmp_path / 'mine.py').read_text(), printed


def test_an_existing_config_is_not_overwritten(run_command, tmp_path, contents):
    write(tmp_path / 'set', contents)
    (tmp_path / 'my_config.py').write_text('mine')
    code, printed = run_command('init', '--coco', tmp_path / 'set', '--out', tmp_path / 'my_config.py')
    assert code == 1 and 'already exists' in printed and (tmp_path / 'my_config.py').read_text() == 'mine'


def test_pictures_turned_by_exif_are_not_guessed_at(run_command, tmp_path, contents):
    as_yolo(tmp_path / 'set', contents)
    path = tmp_path / 'set' / 'images' / 'train' / '1.png'
    exif = Image.Exif()
    exif[274] = 6
    Image.open(path).convert('RGB').save(path.with_suffix('.jpg'), exif=exif)
    path.unlink()
    code, printed = run_command('init', '--yolo', tmp_path / 'set', '--out', tmp_path / 'my_config.py')
    assert code == 1 and '1 images, such as 1.jpg, are rotated by their EXIF data' in printed, printed


def test_parts_whose_pictures_have_the_same_names_keep_their_own(run_command, tmp_path, monkeypatch):
    """As this suite's generated set: train/000001.png and val/000001.png are two pictures."""
    monkeypatch.chdir(tmp_path)
    make_coco_shapes(tmp_path / 'set', train=4, val=2)
    code, printed = run_command('init', '--coco', tmp_path / 'set')
    assert code == 0, printed
    config = Config.fromfile(tmp_path / 'my_config.py')
    assert (config.train_data_prefix, config.val_data_prefix) == ('train/', 'val/')
    code, printed = run_command('check-data', tmp_path / 'my_config.py')
    assert code == 0, printed
