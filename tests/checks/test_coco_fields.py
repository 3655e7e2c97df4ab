"""Every field of COCO's format, absent, null, empty, of another type, out of range, twice, or in conflict with another:
training and evaluation are right, or are refused before they start in a sentence that names the file, the item and the
remedy. docs/detection.md has the same table."""

import copy
import json
import shutil

from hiera_mm.errors import UserError
from hiera_mm.readers.coco_files import read_annotations
from hiera_mm.tasks import check_data

import numpy as np
import pytest
from mmdet.registry import DATASETS, METRICS
from mmengine.registry import init_default_scope
from PIL import Image
from pycocotools import mask as run_lengths
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.coloured import config_of, draw, perfect_predictions, worst_agreement, write

LOADERS = ['train_dataloader', 'val_dataloader']


def each(part, change):
    """A change of every entry of a list."""

    def change_all(content):
        for number, entry in enumerate(content[part]):
            change(entry, number)

    return change_all


def first(part, change):
    return lambda content: change(content[part][0])


def drop(part, key):
    return each(part, lambda entry, number: entry.pop(key))


def put(part, key, value):
    return each(part, lambda entry, number: entry.update({key: value}))


def put_first(part, key, value):
    return first(part, lambda entry: entry.update({key: value}))


def as_text(entry, number, *keys):
    entry.update({key: str(entry[key]) for key in keys})


def text_ids(content):
    for image in content['images']:
        image['id'] = f'img-{image["id"]}'
    for annotation in content['annotations']:
        annotation['image_id'] = f'img-{annotation["image_id"]}'


def repeat_images(content):
    content['images'].append(copy.deepcopy(content['images'][0]))


def list_a_picture_again(with_objects):
    def change(content):
        content['images'].append(dict(content['images'][0], id=99))
        if with_objects:
            of_first = [a for a in content['annotations'] if a['image_id'] == 1]
            content['annotations'] += [dict(a, id=100 + a['id'], image_id=99) for a in of_first]

    return change


def polygons_as(form):
    def change(annotation, number):
        polygon = annotation['segmentation'][0]
        points = [polygon[i : i + 2] for i in range(0, 8, 2)]
        annotation['segmentation'] = dict(flat=polygon, points=points, nested=[points], extra=[polygon, [1, 2, 3, 4]])[
            form
        ]

    return each('annotations', change)


def runs_of(annotation, compressed):
    runs = run_lengths.merge(run_lengths.frPyObjects(annotation['segmentation'], 96, 128))
    if compressed:
        return dict(size=[96, 128], counts=runs['counts'].decode())
    pixels = np.flatnonzero(np.diff(np.pad(run_lengths.decode(runs).flatten(order='F'), 1, constant_values=0)))
    counts = np.diff(np.concatenate([[0], pixels, [96 * 128]]))
    return dict(size=[96, 128], counts=counts.tolist())


def as_runs(compressed, **wrong):
    return each('annotations', lambda a, number: a.update(segmentation=runs_of(a, compressed) | wrong))


def cut_runs(content):
    for annotation in content['annotations']:
        runs = runs_of(annotation, compressed=True)
        annotation['segmentation'] = dict(runs, counts=runs['counts'][:-2])


def boxes_as(form):
    def change(annotation, number):
        x, y, w, h = annotation['bbox']
        annotation['bbox'] = dict(
            corners=[x, y, x + w, y + h],
            centres=[x + w / 2, y + h / 2, w, h],
            parts=[x / 128, y / 96, w / 128, h / 96],
            text=[str(x), str(y), str(w), str(h)],
            dict=dict(x=x, y=y, w=w, h=h),
            three=[x, y, w],
            nan=[float('nan')] * 4,
            infinite=[x, y, float('inf'), h],
            negative=[x + w, y, -w, h],
        )[form]

    return each('annotations', change)


def parts_without_masks(content):
    drop('annotations', 'segmentation')(content)
    boxes_as('parts')(content)


def add_box(box):
    """One more annotation on the first picture."""
    return lambda content: content['annotations'].append(
        dict(id=99, image_id=1, category_id=1, bbox=box, area=5.0, iscrowd=0, segmentation=[[1, 1, 5, 1, 5, 5]])
    )


def reverse_categories(content):
    content['categories'].reverse()


def sparse_categories(content):
    ids = {1: 90, 2: 0}
    content['categories'] = [dict(id=0, name='dog'), dict(id=55, name='unused'), dict(id=90, name='cat')]
    for annotation in content['annotations']:
        annotation['category_id'] = ids[annotation['category_id']]


def rename(old, new):
    def change(content):
        for category in content['categories']:
            category['name'] = category['name'].replace(old, new)

    return change


def nothing(content):
    pass


RIGHT = dict(
    sound=nothing,
    image_ids_as_text=lambda c: [as_text(i, 0, 'id') for i in c['images']],
    image_ids_of_annotations_as_text=each('annotations', lambda a, n: as_text(a, n, 'image_id')),
    image_ids_with_a_point=each('images', lambda i, n: i.update(id=float(i['id']))),
    image_ids_that_are_names=text_ids,
    image_sizes_absent=lambda c: [(i.pop('width'), i.pop('height')) for i in c['images']],
    image_sizes_null=lambda c: [i.update(width=None, height=None) for i in c['images']],
    image_sizes_as_text=each('images', lambda i, n: as_text(i, n, 'width', 'height')),
    image_listed_twice_with_the_same_objects=list_a_picture_again(with_objects=True),
    annotation_ids_from_zero=each('annotations', lambda a, n: a.update(id=n)),
    annotation_ids_absent=drop('annotations', 'id'),
    annotation_ids_null=put('annotations', 'id', None),
    annotation_ids_all_the_same=put('annotations', 'id', 7),
    annotation_ids_as_text=each('annotations', lambda a, n: as_text(a, n, 'id')),
    annotation_ids_negative=each('annotations', lambda a, n: a.update(id=-n)),
    annotation_repeated_as_a_whole=lambda c: c['annotations'].append(copy.deepcopy(c['annotations'][0])),
    category_ids_as_text=each('annotations', lambda a, n: as_text(a, n, 'category_id')),
    category_ids_as_text_on_both_sides=lambda c: [
        *(as_text(a, 0, 'category_id') for a in c['annotations']),
        *(as_text(k, 0, 'id') for k in c['categories']),
    ],
    categories_in_another_order=reverse_categories,
    categories_with_gaps_and_more_names=sparse_categories,
    bbox_absent=drop('annotations', 'bbox'),
    bbox_null=put('annotations', 'bbox', None),
    bbox_empty=put('annotations', 'bbox', []),
    bbox_that_leaves_a_little=lambda c: c['annotations'][0]['bbox'].__setitem__(
        0, c['annotations'][0]['bbox'][0] - 0.5
    ),
    bbox_without_width=add_box([3, 3, 0, 5]),
    bbox_outside=add_box([500, 3, 4, 5]),
    area_absent=drop('annotations', 'area'),
    area_null=put('annotations', 'area', None),
    area_zero=put('annotations', 'area', 0),
    area_negative=put('annotations', 'area', -3),
    area_as_text=put('annotations', 'area', '12'),
    area_nan=put('annotations', 'area', float('nan')),
    area_too_large=put('annotations', 'area', 1e6),
    iscrowd_absent=drop('annotations', 'iscrowd'),
    iscrowd_null=put('annotations', 'iscrowd', None),
    iscrowd_as_text=put('annotations', 'iscrowd', '0'),
    iscrowd_false=put('annotations', 'iscrowd', False),
    ignore_false=put('annotations', 'ignore', False),
    polygon_flat=polygons_as('flat'),
    polygon_of_points=polygons_as('points'),
    polygons_of_points=polygons_as('nested'),
    polygon_with_a_line_beside=polygons_as('extra'),
    runs_compressed=as_runs(compressed=True),
    runs_uncompressed=as_runs(compressed=False),
)

REFUSED = dict(
    images_absent=(lambda c: c.pop('images'), 'lacks images'),
    images_null=(lambda c: c.update(images=None), 'its images are a NoneType instead of a list'),
    images_a_dict=(lambda c: c.update(images={}), 'its images are a dict instead of a list'),
    image_not_a_dict=(lambda c: c['images'].append('a.png'), r'1 \(entry 4 of images\) of the lists are not dicts'),
    image_id_absent=(first('images', lambda i: i.pop('id')), r'1 \(entry 0\) of the images have no usable id'),
    image_id_null=(put_first('images', 'id', None), 'of the images have no usable id'),
    image_id_a_list=(put_first('images', 'id', [1]), 'of the images have no usable id'),
    image_id_twice=(repeat_images, r'1 \(1\) of the ids of images occur more than once'),
    image_listed_twice_with_other_objects=(list_a_picture_again(False), r"\('1.png'\).* listed more than once, with"),
    file_name_absent=(drop('images', 'file_name'), 'of the images have no file_name'),
    file_name_empty=(put_first('images', 'file_name', ''), r'1 \(image 1\) of the images have no file_name'),
    file_name_of_nothing=(put_first('images', 'file_name', 'x.png'), r'1 \(x.png\) of the images named in .*not in'),
    image_width_zero=(put_first('images', 'width', 0), r"1 \('1.png' with 0 x 96\) of the images have a width"),
    image_width_null=(put_first('images', 'width', None), 'with None x 96'),
    image_width_a_fraction=(put_first('images', 'width', 127.5), 'with 127.5 x 96'),
    image_size_swapped=(put('images', 'width', 96), "'1.png' is 128 x 96, not 96 x 96"),
    annotations_absent=(lambda c: c.pop('annotations'), 'lacks annotations'),
    annotations_null=(lambda c: c.update(annotations=None), 'its annotations are a NoneType'),
    annotation_image_id_absent=(drop('annotations', 'image_id'), 'of the annotations have no usable image_id'),
    annotation_image_id_of_nothing=(
        put_first('annotations', 'image_id', 77),
        r'1 \(1\) .* to images that do not exist '
        r'\(77\)',
    ),
    category_id_absent=(first('annotations', lambda a: a.pop('category_id')), r'1 \(1\) .* no usable category_id'),
    category_id_null=(put_first('annotations', 'category_id', None), 'no usable category_id'),
    category_id_of_nothing=(put_first('annotations', 'category_id', 9), r'to categories that do not exist \(9\)'),
    categories_absent=(lambda c: c.pop('categories'), 'lacks categories'),
    categories_empty=(lambda c: c.update(categories=[]), 'lists no categories'),
    category_without_name=(first('categories', lambda k: k.pop('name')), r'1 \(category 1\) of the categories have no'),
    category_without_id=(drop('categories', 'id'), 'of the categories have no usable id'),
    category_id_twice=(put('categories', 'id', 1), 'of the ids of categories occur more than once'),
    category_name_twice=(put('categories', 'name', 'cat'), r"1 \('cat'\) of the category names occur more than once"),
    category_names_in_capitals=(
        rename('cat', 'Cat'),
        r"the config has \['cat', 'dog'\], the file has \['Cat', "
        r"'dog'\]",
    ),
    category_names_with_blanks=(rename('cat', 'cat '), 'the classes of|The classes of'),
    bbox_corners=(boxes_as('corners'), 'does not match their mask.*boxes are x, y, width, height'),
    bbox_centres=(boxes_as('centres'), 'does not match their mask'),
    bbox_parts=(boxes_as('parts'), 'does not match their mask'),
    bbox_parts_without_masks=(parts_without_masks, 'lie between 0 and 1'),
    bbox_as_text=(boxes_as('text'), 'not four finite numbers'),
    bbox_a_dict=(boxes_as('dict'), 'not four finite numbers'),
    bbox_of_three=(boxes_as('three'), 'not four finite numbers'),
    bbox_nan=(boxes_as('nan'), 'not four finite numbers'),
    bbox_infinite=(boxes_as('infinite'), 'not four finite numbers'),
    bbox_negative=(boxes_as('negative'), 'negative width or height'),
    neither_box_nor_mask=(
        lambda c: [c['annotations'][0].pop(k) for k in ('bbox', 'segmentation')],
        'neither a bbox nor',
    ),
    iscrowd_two=(put_first('annotations', 'iscrowd', 2), r'1 \(1\) .* iscrowd other than 0 and 1'),
    only_crowds=(put('annotations', 'iscrowd', 1), r'no object of the classes \(8 are crowds'),
    all_ignored=(put('annotations', 'ignore', 1), r'no object of the classes \(8 are crowds or marked by ignore'),
    segmentation_absent=(
        drop('annotations', 'segmentation'),
        'No object in .* faster_rcnn_hiera_b.py.*fill_masks_from',
    ),
    segmentation_null=(put('annotations', 'segmentation', None), 'No object in'),
    segmentation_empty=(put('annotations', 'segmentation', []), 'No object in'),
    segmentation_of_some=(
        first('annotations', lambda a: a.pop('segmentation')),
        r'1 \(1\) of the 8 objects have a '
        r'box but',
    ),
    segmentation_a_text=(put_first('annotations', 'segmentation', 'mask.png'), r'1 \(1\) .* neither polygons'),
    polygon_of_text=(put_first('annotations', 'segmentation', [['1', '2', '3', '4', '5', '6']]), 'neither polygons'),
    polygon_of_dicts=(put_first('annotations', 'segmentation', [dict(x=1, y=2)]), 'neither polygons'),
    polygon_odd=(put_first('annotations', 'segmentation', [[1, 2, 3, 4, 5, 6, 7]]), 'neither polygons'),
    polygon_of_two_points=(put_first('annotations', 'segmentation', [[1, 2, 30, 40]]), 'neither polygons'),
    polygon_nan=(put_first('annotations', 'segmentation', [[1, 2, 3, 4, 5, float('nan')]]), 'neither polygons'),
    polygon_parts=(put('annotations', 'segmentation', [[0.1, 0.1, 0.3, 0.1, 0.3, 0.3]]), 'does not match'),
    runs_of_another_size=(as_runs(True, size=[128, 96]), 'run lengths that do not fit their image'),
    runs_without_size=(put_first('annotations', 'segmentation', dict(counts='abc')), 'run lengths that do not fit'),
    runs_without_counts=(put_first('annotations', 'segmentation', dict(size=[96, 128])), 'run lengths that do not fit'),
    runs_too_short=(as_runs(False, counts=[5, 5]), 'run lengths that do not fit'),
    runs_cut_off=(cut_runs, 'run lengths that do not fit'),
    no_objects=(lambda c: c.update(annotations=[]), 'has 4 images, but no object of the classes'),
)


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp('coloured') / 'set'
    return folder, draw(folder)


@pytest.fixture
def changed(drawn, tmp_path):
    """Write a copy of the set whose annotation files are changed; gives its folder, and the sound contents."""

    def make(change, parts=('train', 'val')):
        folder, contents = drawn
        shutil.copytree(folder, tmp_path / 'set')
        spoiled = copy.deepcopy(contents)
        for part in parts:
            change(spoiled[part])
        write(tmp_path / 'set', spoiled)
        return tmp_path / 'set', copy.deepcopy(contents)

    return make


def assert_right(config, contents, masks=True):
    """What is trained has the colour of its class, and one who knows all scores 1 in the classes' own order."""
    init_default_scope('mmdet')
    trained = DATASETS.build(config.train_dataloader.dataset)
    share, objects = worst_agreement(trained)
    assert share > 0.6 and objects >= len(contents['train']['annotations'])
    validated = DATASETS.build(config.val_dataloader.dataset)
    for kind in ('CocoMetric', 'FasterCocoMetric'):
        metric = METRICS.build(dict(config.val_evaluator, type=kind))
        metric.dataset_meta = validated.metainfo
        metric.process({}, list(perfect_predictions(validated, contents['val'])))
        values = metric.evaluate(len(validated))
        assert values['coco/bbox_mAP'] > 0.99 and (not masks or values['coco/segm_mAP'] > 0.9), (kind, values)


@pytest.mark.parametrize('kind', RIGHT)
def test_what_can_be_derived_is_trained_and_scored_rightly(changed, kind):
    folder, contents = changed(RIGHT[kind])
    config = config_of(folder)
    check_data(config, LOADERS)
    assert_right(config, contents)


@pytest.mark.parametrize('kind', REFUSED)
def test_what_cannot_be_derived_is_refused_in_a_sentence(changed, kind):
    change, sentence = REFUSED[kind]
    folder, _ = changed(change)
    with pytest.raises(UserError, match=sentence) as refusal:
        check_data(config_of(folder), LOADERS)
    assert 'train' in str(refusal.value)


@pytest.mark.parametrize('kind', sorted(REFUSED)[::5])
def test_a_validation_file_is_refused_as_well(changed, kind):
    if kind in ('no_objects', 'only_crowds', 'all_ignored'):
        pytest.skip('a validation set may have no objects, and scores -1')
    change, sentence = REFUSED[kind]
    folder, _ = changed(change, parts=('val',))
    with pytest.raises(UserError, match=sentence) as refusal:
        check_data(config_of(folder), LOADERS)
    assert 'val' in str(refusal.value)


def test_ids_from_zero_score_as_pycocotools_scores_ids_from_one(changed):
    """pycocotools, by hand, loses the match with id 0, and gives the score that counts once ids begin at 1."""
    folder, contents = changed(RIGHT['annotation_ids_from_zero'])
    found = [
        dict(image_id=a['image_id'], category_id=a['category_id'], bbox=a['bbox'], score=1.0)
        for a in contents['val']['annotations']
    ]
    scores = {}
    for name, content in dict(sound=contents['val'], zero=json.loads((folder / 'val.json').read_text())).items():
        truth = COCO()
        truth.dataset = dict(content, info={})
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(found)), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        scores[name] = evaluation.stats[0]
    assert scores['zero'] < scores['sound'] == 1.0
    assert_right(config_of(folder), contents)


@pytest.mark.parametrize('factor, kept', [(1.04, True), (1.2, False), (2.5, False)])
def test_an_area_may_exceed_its_box_by_a_twentieth(changed, factor, kept):
    def enlarge(content):
        for annotation in content['annotations']:
            annotation['area'] = factor * annotation['bbox'][2] * annotation['bbox'][3]

    folder, contents = changed(enlarge)
    written = read_annotations(folder / 'train.json', 'train_dataloader.dataset').annotations
    for annotation, sound in zip(written, contents['train']['annotations'], strict=True):
        assert annotation['area'] == pytest.approx(sound['area'] * (factor if kept else 1), rel=0.01)


@pytest.mark.parametrize('pictures, stops', [(4, True), (8, False)])
def test_boxes_beside_their_masks_stop_a_run_from_a_tenth_on(tmp_path, pictures, stops):
    """One of 8 does, one of 16 is told."""
    contents = draw(tmp_path / 'set', pictures)
    box = contents['train']['annotations'][0]['bbox']
    box[0] += 1.5 * box[2] if box[0] < 64 else -1.5 * box[2]
    write(tmp_path / 'set', contents)
    config = config_of(tmp_path / 'set')
    if stops:
        with pytest.raises(UserError, match='does not match their mask'):
            check_data(config, LOADERS)
    else:
        check_data(config, LOADERS)


def test_boxes_stand_for_masks_where_the_user_says_so(changed):
    folder, contents = changed(drop('annotations', 'segmentation'))
    config = config_of(folder)
    for loader in LOADERS:
        config[loader].dataset.fill_masks_from_boxes = True
    check_data(config, LOADERS)
    assert_right(config, contents)


def test_what_is_ignored_is_neither_trained_nor_scored(changed):
    def ignore_dogs(content):
        for annotation in content['annotations']:
            annotation['ignore'] = int(annotation['category_id'] == 2)

    folder, contents = changed(ignore_dogs)
    config = config_of(folder)
    check_data(config, LOADERS)
    init_default_scope('mmdet')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    flags = [i['ignore_flag'] for index in range(len(dataset)) for i in dataset.get_data_info(index)['instances']]
    assert sorted(flags) == [0] * 4 + [1] * 4
    metric = METRICS.build(config.val_evaluator)
    validated = DATASETS.build(config.val_dataloader.dataset)
    metric.dataset_meta = validated.metainfo
    cats = copy.deepcopy(contents['val'])
    cats['annotations'] = [a for a in cats['annotations'] if a['category_id'] == 1]
    metric.process({}, list(perfect_predictions(validated, cats)))
    assert metric.evaluate(len(validated))['coco/bbox_mAP'] == 1.0


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-32'])
def test_other_encodings_are_read(changed, encoding):
    folder, contents = changed(nothing)
    for part in ('train', 'val'):
        path = folder / f'{part}.json'
        path.write_bytes(path.read_text().encode(encoding))
    config = config_of(folder)
    check_data(config, LOADERS)
    assert_right(config, contents)


@pytest.mark.parametrize(
    'content, sentence',
    [
        (b'', 'is not valid JSON'),
        (b'{"images": [', 'is not valid JSON'),
        (b'\xff\xd8\xff\xe0', 'is not valid JSON'),
        (b'[]', 'holds a list instead of a dict'),
        (b'"a"', 'holds a str instead of a dict'),
        (b'[' * 100000, 'is not valid JSON'),
        (b'1' * 100000, 'is not valid JSON'),
    ],
)
def test_a_file_that_is_no_annotation_file_is_refused(changed, content, sentence):
    folder, _ = changed(nothing)
    (folder / 'train.json').write_bytes(content)
    with pytest.raises(UserError, match=f'train.json.*{sentence}'):
        check_data(config_of(folder), LOADERS)


# Classes


@pytest.mark.parametrize('parts', [('train',), ('val',), ('train', 'val')])
def test_the_order_of_categories_does_not_matter(changed, parts):
    folder, contents = changed(reverse_categories, parts)
    for classes in (('cat', 'dog'), ('dog', 'cat')):
        config = config_of(folder, classes)
        check_data(config, LOADERS)
        assert_right(config, contents)


def test_a_validation_file_may_lack_a_class(changed):
    def without_dogs(content):
        content['annotations'] = [a for a in content['annotations'] if a['category_id'] == 1]
        content['categories'] = content['categories'][:1]

    folder, contents = changed(without_dogs, ('val',))
    without_dogs(contents['val'])
    config = config_of(folder)
    check_data(config, LOADERS)
    assert_right(config, contents)


def test_loaders_with_other_classes_are_refused(changed):
    folder, _ = changed(reverse_categories, ('val',))
    config = config_of(folder)
    config.val_dataloader.dataset.metainfo = dict(classes=('dog', 'cat'))
    with pytest.raises(UserError, match='val_dataloader.dataset.*dog.*cat.*train_dataloader.dataset'):
        check_data(config, LOADERS)


def test_classes_may_be_a_file_of_names(changed):
    folder, contents = changed(nothing)
    (folder / 'names.txt').write_text('cat\ndog\n')
    config = config_of(folder)
    for loader in LOADERS:
        config[loader].dataset.metainfo = dict(classes=str(folder / 'names.txt'))
    check_data(config, LOADERS)
    assert_right(config, contents)


def test_one_class_without_a_comma_is_told(changed):
    folder, _ = changed(nothing)
    config = config_of(folder)
    config.train_dataloader.dataset.metainfo = dict(classes='cat')
    with pytest.raises(UserError, match=r"string 'cat'.*classes = \('cat',\)"):
        check_data(config, LOADERS)
    init_default_scope('mmdet')
    with pytest.raises(UserError, match=r"classes = \('cat',\)"):
        DATASETS.build(config.train_dataloader.dataset)


# Pictures


def turned(orientation, annotated_as, square=False):
    """Pictures whose EXIF data turn them; the annotations mean what is displayed, or what is stored."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }

    def change(folder, content):
        for image in content['images']:
            path = folder / image['file_name']
            picture = Image.open(path).convert('RGB')
            if annotated_as == 'displayed':
                picture = picture.transpose(turns[orientation])
            exif = Image.Exif()
            exif[274] = orientation
            image['file_name'] = path.with_suffix('.jpg').name
            picture.save(path.with_suffix('.jpg'), exif=exif, quality=95)
            path.unlink()

    return change


def with_pictures(changed, change, parts=('train', 'val')):
    folder, contents = changed(nothing)
    for part in parts:
        content = json.loads((folder / f'{part}.json').read_text())
        change(folder / part, content)
        (folder / f'{part}.json').write_text(json.dumps(content))
    return folder, contents


@pytest.mark.parametrize('annotated_as', ['displayed', 'stored'])
@pytest.mark.parametrize('orientation', [6, 8])
def test_the_size_tells_whether_annotations_mean_a_turned_picture(changed, orientation, annotated_as):
    folder, contents = with_pictures(changed, turned(orientation, annotated_as))
    config = config_of(folder)
    check_data(config, LOADERS)
    assert_right(config, contents)


@pytest.mark.parametrize('annotated_as', ['displayed', 'stored'])
@pytest.mark.parametrize('orientation', [2, 3])
def test_a_turn_that_the_size_does_not_show_is_asked_for(changed, orientation, annotated_as):
    folder, contents = with_pictures(changed, turned(orientation, annotated_as))
    config = config_of(folder)
    with pytest.raises(UserError, match=r"'1.jpg'.*set exif_orientation='displayed'.*or 'stored'"):
        check_data(config, LOADERS)
    for loader in LOADERS:
        config[loader].dataset.exif_orientation = annotated_as
    check_data(config, LOADERS)
    assert_right(config, contents)


def test_a_picture_of_another_size_is_refused_when_it_is_loaded_too(changed):
    folder, _ = changed(nothing)
    Image.new('RGB', (64, 48)).save(folder / 'train' / '1.png')
    config = config_of(folder)
    with pytest.raises(UserError, match="'1.png' is 64 x 48, not 128 x 96"):
        check_data(config, LOADERS)
    init_default_scope('mmdet')
    with pytest.raises(UserError, match='1.png. has 64 x 48 pixels, but the annotation file says 128 x 96'):
        DATASETS.build(config.train_dataloader.dataset)[0]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def as_cut_jpeg(folder, content):
    path = folder / content['images'][0]['file_name']
    content['images'][0]['file_name'] = '1.jpg'
    Image.open(path).save(folder / '1.jpg', quality=100)
    cut(folder / '1.jpg')


@pytest.mark.parametrize(
    'change, sentence',
    [
        (lambda folder, content: (folder / '1.png').unlink(), r'1 \(1.png\) of the images named in'),
        (lambda folder, content: (folder / '1.png').write_bytes(b''), '1.png. is empty, damaged'),
        (lambda folder, content: (folder / '1.png').write_text('<html>404</html>'), '1.png. is empty, damaged'),
        (lambda folder, content: cut(folder / '1.png'), '1.png. is empty, damaged, truncated'),
        (as_cut_jpeg, '1.jpg. is empty, damaged, truncated'),
    ],
)
@pytest.mark.parametrize('part', ['train', 'val'])
def test_pictures_that_cannot_be_read_are_named_before_training(changed, change, sentence, part):
    folder, _ = with_pictures(changed, change, (part,))
    with pytest.raises(UserError, match=f'{part}_dataloader.*{sentence}'):
        check_data(config_of(folder), LOADERS)


def deepened(bits):
    def change(folder, content):
        for image in content['images']:
            path = folder / image['file_name']
            grey = np.asarray(Image.open(path).convert('L')).astype(np.uint16)
            Image.fromarray(grey << (bits - 8)).save(path)

    return change


def test_depths_over_8_bits_are_read_as_they_are_meant(changed):
    folder, _ = with_pictures(changed, deepened(16))
    check_data(config_of(folder), LOADERS)


def test_12_bits_in_16_are_told_instead_of_read_as_black(changed):
    folder, _ = with_pictures(changed, deepened(12))
    config = config_of(folder)
    with pytest.raises(
        UserError,
        match=r'16 bits a channel, but no value over \d+.*set bit_depth=12 in '
        r'the first step',
    ):
        check_data(config, LOADERS)
    for loader in LOADERS:
        config[loader].dataset.pipeline[0].bit_depth = 12
    check_data(config, LOADERS)
    init_default_scope('mmdet')
    pixels = DATASETS.build(config.train_dataloader.dataset)[0]['inputs']
    assert pixels.float().mean() > 100
