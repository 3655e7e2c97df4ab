"""Every field of COCO's panoptic format and every form of its files, absent, twice, of another type, or in conflict
with another: what is loaded is right, or it is refused before training in a sentence that names the file, the item and
the remedy. docs/panoptic.md has the same table."""

import json
import re

from hiera_mm.checks.fault import Severity
from hiera_mm.errors import UserError
from hiera_mm.settings import read_config
from hiera_mm.tasks import check_data, faults_of

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from PIL import Image

from tests.panoptic import NAMES, change, config_of, copied, ids_of, map_path, plain_config_of

LOADERS = ['train_dataloader', 'val_dataloader']


def put(part, key, value):
    """Set a key of every entry of a list."""
    return lambda content: [entry.update({key: value}) for entry in content[part]]


def drop(part, key):
    return lambda content: [entry.pop(key) for entry in content[part]]


def put_first(part, key, value):
    return lambda content: content[part][0].update({key: value})


def segments(content):
    return [segment for annotation in content['annotations'] for segment in annotation['segments_info']]


def put_segments(key, value):
    return lambda content: [segment.update({key: value}) for segment in segments(content)]


def drop_segments(key):
    return lambda content: [segment.pop(key) for segment in segments(content)]


def put_segment(key, value):
    return lambda content: segments(content)[0].update({key: value})


def each_segment(alter):
    return lambda content: [alter(segment) for segment in segments(content)]


def rename(old, new):
    def alter(content):
        (category,) = (category for category in content['categories'] if category['name'] == old)
        category['name'] = new

    return alter


def repeat(part, **other):
    return lambda content: content[part].append(dict(content[part][0], **other))


def as_instances(content):
    content['annotations'] = [
        dict(id=n, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0, segmentation=[[1, 1, 9, 1, 9, 9]])
        for n in range(1, 4)
    ]


def colour(number):
    return [number % 256, number // 256 % 256, number // 65536]


def reversed_categories(content):
    content['categories'].reverse()


def other_boxes(content):
    each_segment(lambda s: s.update(bbox=[0, 0, 3, 3]))(content)


def text_ids(content):
    for image in content['images']:
        image['id'] = f'img-{image["id"]}'
    for annotation in content['annotations']:
        annotation['image_id'] = f'img-{annotation["image_id"]}'


def extra_segment(content):
    content['annotations'][0]['segments_info'].append(dict(id=77, category_id=1, area=4, bbox=[0, 0, 2, 2], iscrowd=0))


def no_sizes(content):
    for image in content['images']:
        del image['width'], image['height']


FILE = {
    'the order of categories': (reversed_categories, ''),
    'no list of images': (lambda c: c.pop('images'), 'lacks images'),
    'no annotations': (lambda c: c.pop('annotations'), 'lacks annotations'),
    'annotations as a dict': (lambda c: c.update(annotations={}), 'its annotations are a dict'),
    'no categories': (lambda c: c.update(categories=[]), 'lists no categories'),
    'no image': (lambda c: c['images'].clear(), 'refer by image_id to images that do not exist'),
    'no annotation at all': (lambda c: c['annotations'].clear(), 'has no annotations; give the file that has'),
    'instances given as panoptic': (as_instances, 'holds instances .boxes and masks of objects. instead of panoptic'),
    # Categories
    'category without id': (drop('categories', 'id'), 'of the categories have no usable id'),
    'category id twice': (put_first('categories', 'id', 2), 'of the ids of categories occur more than once'),
    'category without name': (put_first('categories', 'name', None), 'of the categories have no name'),
    'category name twice': (put_first('categories', 'name', 'bar'), "'bar'. of the category names occur more than"),
    'misspelt class': (rename('circle', 'circel'), "lacks 1 .circle. of the 5 .*did you mean 'circel' by 'circle'"),
    'further category': (lambda c: c['categories'].append(dict(id=9, name='sky', isthing=0)), ''),
    'no isthing': (drop('categories', 'isthing'), 'note: do not say by isthing'),
    'isthing as text': (lambda c: [k.update(isthing=str(k['isthing'])) for k in c['categories']], ''),
    'isthing as truth value': (lambda c: [k.update(isthing=bool(k['isthing'])) for k in c['categories']], ''),
    'isthing of another kind': (put_first('categories', 'isthing', 'yes'), 'an isthing other than 1'),
    'thing that the config has as stuff': (
        lambda c: c['categories'][3].update(isthing=1),
        'says by isthing that 1 .stripes. of the classes are things, but the config has them in stuff_classes',
    ),
    'stuff that the config has as a thing': (
        put_first('categories', 'isthing', 0),
        '1 .circle. of the classes are stuff, but the config has them in thing_classes',
    ),
    # Images
    'image without id': (drop('images', 'id'), 'of the images have no usable id'),
    'image id twice': (put_first('images', 'id', 2), 'of the ids of images occur more than once'),
    'image ids as text': (text_ids, ''),
    'image without file_name': (put_first('images', 'file_name', None), 'of the images have no file_name'),
    'image listed twice': (repeat('images', id=99), 'of the images are listed more than once, with different'),
    'image without sizes': (no_sizes, ''),
    'image of another size': (put_first('images', 'width', 50), 'have another width and height than'),
    'width that is no number': (put_first('images', 'width', 'wide'), 'width or height that is not a number'),
    'image without annotation': (lambda c: c['annotations'].pop(0), 'note: 1 .*000001.png.*they are left out'),
    'annotation without segments': (put_first('annotations', 'segments_info', []), 'note: no segment in it'),
    'no segment in any image': (put('annotations', 'segments_info', []), 'has no segment in any image'),
    # Annotations
    'annotation that is no dict': (lambda c: c['annotations'].append(7), 'of the lists are not dicts'),
    'annotation without image_id': (drop('annotations', 'image_id'), 'of the annotations have no usable image_id'),
    'annotation of no image': (put_first('annotations', 'image_id', 99), 'images that do not exist .99.'),
    'annotation twice': (repeat('annotations'), 'note: repeat that of the same image'),
    'annotation twice in different words': (
        repeat('annotations', segments_info=[]),
        'image 1. of the images have several annotations that differ',
    ),
    'no file_name': (drop('annotations', 'file_name'), 'note: the segment map has the name of the image'),
    'file_name that is no text': (put_first('annotations', 'file_name', 3), 'have a file_name that is not text'),
    'one map for two images': (
        put_first('annotations', 'file_name', '000002.png'),
        "'000002.png'. of the segment maps are named by the annotations of several images",
    ),
    'no segments_info': (drop('annotations', 'segments_info'), 'no list of dicts segments_info'),
    'segments_info as a dict': (put('annotations', 'segments_info', {}), 'no list of dicts segments_info'),
    'a file_name that is not there': (
        put_first('annotations', 'file_name', 'x.png'),
        'segment maps named in .* are not',
    ),
    # Segments
    'segment without id': (drop_segments('id'), 'an id that is not a whole number from 1 to 16777215'),
    'segment 0': (put_segment('id', 0), 'an id that is not a whole number from 1'),
    'segment with a negative id': (put_segment('id', -3), 'an id that is not a whole number from 1'),
    'segment with too large an id': (put_segment('id', 256**3), 'an id that is not a whole number from 1'),
    'segment id as a truth value': (put_segment('id', True), 'an id that is not a whole number from 1'),
    'segment ids as text': (each_segment(lambda s: s.update(id=str(s['id']))), 'note: an id that is written as text'),
    'segment ids as colours': (each_segment(lambda s: s.update(id=colour(s['id']))), 'note: have a colour as id'),
    'segment id as a wrong colour': (put_segment('id', [1, 2, 300]), 'an id that is not a whole number from 1'),
    'segment twice': (
        lambda c: c['annotations'][0]['segments_info'].append(dict(c['annotations'][0]['segments_info'][0])),
        'of the segments are listed more than once',
    ),
    'segment without category': (drop_segments('category_id'), 'segment .* of image 1.*have no usable category_id'),
    'segment of no category': (put_segment('category_id', 77), 'categories that do not exist .77.'),
    'segment that is not in the map': (extra_segment, "note: segment 77 of '000001.png'.*have no pixel"),
    'segment that is not in the file': (
        lambda c: c['annotations'][0]['segments_info'].pop(),
        '000001.png. holds 1 .* segments that its annotation does not list',
    ),
    'no iscrowd': (drop_segments('iscrowd'), 'note: of the segments lack iscrowd'),
    'iscrowd of another kind': (put_segment('iscrowd', 'many'), 'an iscrowd other than 0 and 1'),
    'no area': (drop_segments('area'), 'note: have no area and bbox, or others than'),
    'wrong areas': (put_segments('area', 5), 'note: those of the pixels are used'),
    'area of another kind': (put_segments('area', 'big'), 'note: those of the pixels are used'),
    'no bbox': (drop_segments('bbox'), 'note: those of the pixels are used'),
    'bbox of another kind': (put_segments('bbox', [1, 2, 3]), 'note: those of the pixels are used'),
    'boxes elsewhere': (other_boxes, 'lie elsewhere than their pixels'),
}
"""For each change of the training file the words of the refusal or of the note, or nothing where all is as before."""


@pytest.fixture(scope='module')
def before(panoptic):
    return loaded(panoptic)


@pytest.mark.parametrize('name', FILE)
def test_a_change_of_the_file_is_harmless_or_repaired_or_refused(panoptic, before, tmp_path, name):
    alter, words = FILE[name]
    folder = copied(panoptic, tmp_path)
    change(folder, alter)
    config = plain_config_of(folder)
    if words and not words.startswith('note: '):
        with pytest.raises(UserError, match=words) as refusal:
            check_data(config, LOADERS)
        assert str(folder) in str(refusal.value) or 'train_dataloader' in str(refusal.value)
        return
    check_data(config, LOADERS)
    said = [f for f in faults_of(config, LOADERS) if f.severity is not Severity.NOTE or 'segments of each' not in f[1]]
    assert not [fault for fault in said if fault.severity is Severity.BLOCKS]
    if words:
        assert any_matches(words.removeprefix('note: '), said)
    gone = {1} if name in ('image without annotation', 'annotation without segments') else set()
    assert_same(loaded(folder), {number: found for number, found in before.items() if number not in gone})


def any_matches(words, said):
    return any(re.search(words, fault.sentence) for fault in said if fault.severity is Severity.NOTE)


def loaded(folder):
    """What training gets of each image: for each thing its class and box, and the class of each pixel."""
    config = plain_config_of(folder)
    init_default_scope('mmdet')
    steps = [step for step in config.train_dataloader.dataset.pipeline if step.type.startswith('Load')]
    dataset = DATASETS.build(config.train_dataloader.dataset | dict(pipeline=steps, filter_cfg=None))
    found = {}
    for number in range(len(dataset)):
        sample = dataset[number]
        things = zip(sample['gt_bboxes_labels'].tolist(), sample['gt_bboxes'].tensor.tolist(), strict=True)
        found[int(sample['img_path'][-10:-4])] = sorted(things), sample['gt_seg_map'], sample['gt_masks'].masks.sum()
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for number, (things, pixels, covered) in expected.items():
        assert found[number][0] == things and found[number][2] == covered
        assert (found[number][1] == pixels).all()


def save_as(mode, **options):
    def alter(path):
        Image.open(path).convert(mode).save(path, **options)

    return alter


def as_indices(path):
    ids = ids_of(path)
    Image.fromarray(np.unique(ids, return_inverse=True)[1].reshape(ids.shape).astype(np.uint8)).save(path)


def as_16_bits(path):
    Image.fromarray((ids_of(path) % 60000).astype(np.uint16)).save(path)


def with_exchanged_channels(path):
    Image.fromarray(np.asarray(Image.open(path))[..., ::-1]).save(path)


def see_through(path):
    pixels = np.asarray(Image.open(path))
    Image.fromarray(np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])).save(path)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:60])


def smaller(path):
    Image.open(path).resize((64, 64), Image.Resampling.NEAREST).save(path)


MAPS = {
    'RGBA': (see_through, ''),
    'grey': (save_as('L'), 'is grey, but COCO'),
    'indices': (as_indices, 'is grey, but COCO'),
    'grey of 16 bits': (as_16_bits, 'is grey, but COCO'),
    'palette': (save_as('P'), 'in the colours of a palette'),
    'JPEG': (save_as('RGB', format='JPEG'), 'is not a PNG; its colours are the ids'),
    'exchanged channels': (with_exchanged_channels, 'channels in the order blue, green, red'),
    'of another size': (smaller, 'has 64 x 64 pixels, but its image has'),
    'cut off': (cut_off, "can't be decoded"),
    'empty': (lambda path: path.write_bytes(b''), 'is not a PNG'),
    'missing': (lambda path: path.unlink(), 'of the segment maps named in'),
}


@pytest.mark.parametrize('name', MAPS)
def test_a_segment_map_in_another_form_is_read_or_refused(panoptic, before, tmp_path, name):
    alter, words = MAPS[name]
    folder = copied(panoptic, tmp_path)
    alter(map_path(folder))
    if not words:
        check_data(plain_config_of(folder), LOADERS)
        assert_same(loaded(folder), before)
        return
    with pytest.raises(UserError, match=words) as refusal:
        check_data(plain_config_of(folder), LOADERS)
    assert '000001.png' in str(refusal.value)


def test_a_missing_image_or_folder_is_refused(panoptic, tmp_path):
    folder = copied(panoptic, tmp_path)
    (folder / 'train' / '000002.png').unlink()
    with pytest.raises(UserError, match='1 .000002.png. of the images named in'):
        check_data(plain_config_of(folder), LOADERS)
    more = "train_data_prefix = dict(img='train/', seg='nowhere/')"
    with pytest.raises(UserError, match="the folder of the segment maps '.*nowhere' does not exist; set it at the top"):
        check_data(config_of(panoptic, tmp_path, more), LOADERS)


@pytest.mark.parametrize(
    'more, words',
    [
        ('model = dict(panoptic_head=dict(num_things_classes=4))', 'class_weight has 6 weights, but the model has 6'),
        (
            'model = dict(panoptic_head=dict(num_stuff_classes=1, loss_cls=dict(class_weight=[1.0] * 5)))',
            'predicts 1 classes of stuff .model.panoptic_head.num_stuff_classes',
        ),
        (
            'model = dict(panoptic_fusion_head=dict(num_stuff_classes=1))',
            'predicts 1 classes of stuff .model.panoptic_fusion_head',
        ),
        ("val_evaluator = [dict(ann_file='other.json')]", "val_evaluator.ann_file is 'other.json', but"),
    ],
)
def test_heads_and_evaluators_that_do_not_fit_are_refused(panoptic, tmp_path, more, words):
    if 'val_evaluator' in more:
        more = "val_evaluator = [dict(type='CocoPanopticMetric', ann_file='other.json', seg_prefix='maps')]"
    with pytest.raises(UserError, match=words):
        check_data(config_of(panoptic, tmp_path, more), LOADERS)


def test_a_panoptic_file_given_to_a_detector_is_refused(panoptic, tmp_path):
    path = tmp_path / 'objects.py'
    path.write_text(
        "_base_ = 'hiera_mm::mask2former_hiera_t_shapes.py'\n"
        f"data_root = '{panoptic}/'\n"
        "train_ann_file, val_ann_file = 'annotations/panoptic_train.json', 'annotations/panoptic_val.json'\n"
    )
    with pytest.raises(UserError, match='holds panoptic annotations .segments_info.*_coco_panoptic.py'):
        check_data(read_config(str(path)), LOADERS)


def test_what_is_loaded_is_what_was_annotated(panoptic, before):
    """The oracle: Pillow's pixels, and the file's own words."""
    content = json.loads((panoptic / 'annotations' / 'panoptic_train.json').read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    found = before
    assert len(found) == 4
    for annotation in content['annotations']:
        ids = ids_of(map_path(panoptic, annotation['image_id']))
        things, pixels, _ = found[annotation['image_id']]
        expected = []
        for segment in annotation['segments_info']:
            label = NAMES.index(names[segment['category_id']])
            assert (pixels[ids == segment['id']] == label).all() and (ids == segment['id']).sum() == segment['area']
            x, y, width, height = segment['bbox']
            if label < 3:
                expected.append((label, [x, y, x + width, y + height]))
        assert things == sorted(expected)


def test_crowds_and_other_categories_are_not_trained(panoptic, tmp_path):
    folder = copied(panoptic, tmp_path)

    def alter(content):
        by_class = {s['category_id']: s for s in content['annotations'][0]['segments_info']}
        content['categories'].append(dict(id=9, name='sky', isthing=0))
        by_class[4]['category_id'], by_class[5]['iscrowd'] = 9, 1
        content['annotations'][0]['segments_info'][0]['iscrowd'] = 1

    first = change(folder, alter)['annotations'][0]['segments_info']
    ids, (things, pixels, _) = ids_of(map_path(folder)), loaded(folder)[1]
    for segment in first:
        inside = ids == segment['id']
        if segment['category_id'] == 9 or (segment['iscrowd'] and segment['category_id'] > 3):
            assert (pixels[inside] == 255).all()
    assert len(things) == sum(s['category_id'] <= 3 and not s['iscrowd'] for s in first)
    assert any_matches('categories that are no classes', [*faults_of(plain_config_of(folder), LOADERS)])
