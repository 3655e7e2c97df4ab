"""Sets as annotation programs export them, drawn from one ground truth."""

import json
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image

SIZE = (128, 96)
CLASSES = ('red car', 'blue')
COUNTS = dict(train=4, val=3, test=2)


def truth(part):
    """``{stem: [(class, x, y, width, height)]}`` of a part; the last image has no object."""
    found = {}
    for i in range(COUNTS[part]):
        found[f'{part} {i}'] = [
            (CLASSES[i % 2], 4 + 3 * i, 5 + 2 * i, 30, 24),
            (CLASSES[(i + 1) % 2], 70, 40 + i, 28, 30),
        ]
    found[f'{part} {COUNTS[part] - 1}'] = []
    return found


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def draw(path, size=SIZE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, (120, 120, 120)).save(path, **options)


def as_coco(found, name='{}.jpg', first=1, dummy=None, **more):
    names = ([dummy] if dummy else []) + list(CLASSES)
    first -= bool(dummy)
    categories = [dict(id=first + i, name=n, supercategory='none') for i, n in enumerate(names)]
    ids = {category['name']: category['id'] for category in categories}
    images, annotations = [], []
    for stem, objects in found.items():
        images.append(dict(id=len(images), file_name=name.format(stem), width=SIZE[0], height=SIZE[1]))
        for label, *box in objects:
            annotation = dict(id=len(annotations), image_id=images[-1]['id'], category_id=ids[label], bbox=box)
            annotations.append(annotation | dict(area=box[2] * box[3], iscrowd=0) | more)
    return dict(info={}, licenses=[], images=images, annotations=annotations, categories=categories)


def as_yolo(objects):
    rows = []
    for label, x, y, w, h in objects:
        box = ((x + w / 2) / SIZE[0], (y + h / 2) / SIZE[1], w / SIZE[0], h / SIZE[1])
        rows.append(' '.join([str(CLASSES.index(label)), *(f'{value:.6f}' for value in box)]))
    return '\n'.join(rows) + '\n'


def as_xml(stem, objects, difficult=0, size=SIZE):
    body = ''.join(
        f'<object><name>{escape(label)}</name><difficult>{difficult}</difficult><bndbox><xmin>{x + 1}</xmin>'
        f'<ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>'
        for label, x, y, w, h in objects
    )
    sides = f'<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>' if size else ''
    return f'<annotation><filename>{stem}.jpg</filename>{sides}{body}</annotation>'


def as_labelme(stem, objects):
    shapes = [
        dict(label=label, points=[[x, y], [x + w, y + h]], group_id=None, shape_type='rectangle', flags={})
        for label, x, y, w, h in objects
    ]
    sides = dict(imageWidth=SIZE[0], imageHeight=SIZE[1])
    return dict(version='5.5.0', flags={}, shapes=shapes, imagePath=f'{stem}.jpg', imageData=None, **sides)


def roboflow_coco(root):
    for part, folder in dict(train='train', val='valid', test='test').items():
        write(root / folder / '_annotations.coco.json', as_coco(truth(part), first=1, dummy='objects', segmentation=[]))
        _images(root / folder, part)
    write(root / 'README.roboflow.txt', 'exported')


def roboflow_yolo(root):
    for part, folder in dict(train='train', val='valid', test='test').items():
        _images(root / folder / 'images', part)
        _labels(root / folder / 'labels', part)
    places = 'train: ../train/images\nval: ../valid/images\ntest: ../test/images\n'
    write(root / 'data.yaml', f'{places}\nnc: 2\nnames: {list(CLASSES)}\nroboflow:\n  project: p\n')


def roboflow_voc(root):
    for part, folder in dict(train='train', val='valid', test='test').items():
        _images(root / folder, part)
        for stem, objects in truth(part).items():
            write(root / folder / f'{stem}.xml', as_xml(stem, objects))


def cvat_coco(root):
    for part, subset in dict(train='Train', val='Validation', test='Test').items():
        write(root / 'annotations' / f'instances_{subset}.json', as_coco(truth(part), segmentation=[]))
        _images(root / 'images' / subset, part)


def cvat_yolo(root):
    """Darknet's; CVAT knows no test part here."""
    for part, subset in dict(train='train', val='valid').items():
        _images(root / f'obj_{subset}_data', part)
        _labels(root / f'obj_{subset}_data', part)
        write(root / f'{subset}.txt', ''.join(f'data/obj_{subset}_data/{stem}.jpg\n' for stem in truth(part)))
    places = 'train = data/train.txt\nvalid = data/valid.txt\n'
    write(root / 'obj.data', f'classes = 2\n{places}names = data/obj.names\nbackup = backup/\n')
    write(root / 'obj.names', '\n'.join(CLASSES) + '\n')


def cvat_ultralytics(root):
    for part in COUNTS:
        _images(root / 'images' / part, part)
        _labels(root / 'labels' / part, part)
        write(root / f'{part}.txt', ''.join(f'images/{part}/{stem}.jpg\n' for stem in truth(part)))
    places = 'path: ./\ntrain: train.txt\nval: val.txt\ntest: test.txt\n'
    write(root / 'data.yaml', f'{places}names:\n' + ''.join(f'  {i}: {name}\n' for i, name in enumerate(CLASSES)))


def label_studio_coco(root):
    """One part; Windows' separators, as its converter writes them there."""
    write(root / 'result.json', as_coco(truth('train'), 'images\\{}.jpg', first=0, segmentation=[], ignore=0))
    _images(root / 'images', 'train')


def label_studio_yolo(root):
    _images(root / 'images', 'train')
    _labels(root / 'labels', 'train')
    write(root / 'classes.txt', '\n'.join(CLASSES))
    write(root / 'notes.json', dict(categories=[dict(id=i, name=n) for i, n in enumerate(CLASSES)], info={}))


def label_studio_voc(root):
    _images(root / 'images', 'train')
    for stem, objects in truth('train').items():
        write(root / 'Annotations' / f'{stem}.xml', as_xml(stem, objects))


def voc2007(root):
    """VOC2007: trainval is train and val together; each class has lists of its own."""
    lists = dict(train=['train'], val=['val'], trainval=['train', 'val'], test=['test'])
    for part in COUNTS:
        _images(root / 'JPEGImages', part)
        for stem, objects in truth(part).items():
            write(root / 'Annotations' / f'{stem}.xml', as_xml(stem, objects))
    for name, parts in lists.items():
        stems = [stem for part in parts for stem in truth(part)]
        write(root / 'ImageSets' / 'Main' / f'{name}.txt', ''.join(f'{stem}\n' for stem in stems))
        write(root / 'ImageSets' / 'Main' / f'blue_{name}.txt', ''.join(f'{stem} -1\n' for stem in stems))
        write(root / 'ImageSets' / 'Segmentation' / f'{name}.txt', ''.join(f'{stem}\n' for stem in stems[:1]))
    stem = next(iter(truth('train')))
    draw(root / 'SegmentationClass' / f'{stem}.png')


def labelme(root):
    for part in COUNTS:
        _images(root / part, part)
        for stem, objects in truth(part).items():
            write(root / part / f'{stem}.json', as_labelme(stem, objects))


EXPORTS = dict(
    roboflow_coco=('coco', roboflow_coco),
    roboflow_yolo=('yolo', roboflow_yolo),
    roboflow_voc=('voc', roboflow_voc),
    cvat_coco=('coco', cvat_coco),
    cvat_yolo=('yolo', cvat_yolo),
    cvat_ultralytics=('yolo', cvat_ultralytics),
    label_studio_coco=('coco', label_studio_coco),
    label_studio_yolo=('yolo', label_studio_yolo),
    label_studio_voc=('voc', label_studio_voc),
    voc2007=('voc', voc2007),
    labelme=('labelme', labelme),
)
"""The layout of each program's export, and the function that draws it into a folder."""

ONE_PART = ('label_studio_coco', 'label_studio_yolo', 'label_studio_voc')
WITHOUT_TEST = ('cvat_yolo', *ONE_PART)


def expected_parts(name):
    if name in ONE_PART:
        return dict(train=truth('train'))
    return {part: truth(part) for part in COUNTS if part != 'test' or name not in WITHOUT_TEST}


def read_parts(config: Path):
    """What a written config's parts hold: ``{part: {stem: [(class, x, y, width, height)]}}``."""
    settings = {}
    exec(config.read_text(), settings)  # noqa: S102, a config that the test has made
    parts = {}
    for part in COUNTS:
        if f'{part}_ann_file' in settings:
            root = Path(settings['data_root'])
            content = json.loads((root / settings[f'{part}_ann_file']).read_bytes())
            parts[part] = objects_in(content, root / settings[f'{part}_data_prefix'])
    return parts, settings['classes']


def objects_in(content, folder):
    names = {category['id']: category['name'] for category in content['categories']}
    objects = {}
    for image in content['images']:
        path = folder / image['file_name'].replace('\\', '/')
        assert path.is_file(), path
        objects[path.stem] = [
            (names[a['category_id']], *(round(float(side), 2) for side in a['bbox']))
            for a in content['annotations']
            if a['image_id'] == image['id']
        ]
    return objects


def _images(folder, part):
    for stem in truth(part):
        draw(folder / f'{stem}.jpg')


def _labels(folder, part):
    for stem, objects in truth(part).items():
        write(folder / f'{stem}.txt', as_yolo(objects))
