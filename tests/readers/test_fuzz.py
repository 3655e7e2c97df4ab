"""Whatever stands in a file of the user's, reading it gives its content or an error of the suite's own.

``FUZZ=1000 pytest tests/readers/test_fuzz.py`` tries so many files of each kind instead of a few.
"""

import io
import json
import os
import pickle
import shutil
import warnings
from functools import partial

from hiera_mm.datasets.load_image import LoadImageFromFile
from hiera_mm.errors import UserError
from hiera_mm.readers.ava_files import read_action_list, read_exclusions, read_proposals, read_rows
from hiera_mm.readers.class_names import read_class_names
from hiera_mm.readers.coco_files import read_annotations
from hiera_mm.readers.found_sets import find_sets
from hiera_mm.readers.image_lists import read_images
from hiera_mm.readers.images import read_image_header
from hiera_mm.readers.labelled_lists import read_video_list
from hiera_mm.readers.videos import open_video
from hiera_mm.weights.files import read_checkpoint
from hiera_mm.weights.formats import to_our_names

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as run_lengths

from tests.coded_videos import write_with_pyav

TRIES = int(os.environ.get('FUZZ', 25))
SETTINGS = settings(
    max_examples=TRIES,
    deadline=None,
    derandomize=TRIES <= 25,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def damaged(draw, content):
    """Some bytes of a file other ones, gone, twice, or new; or its end cut off."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(0, len(content) - 1)))
        end = min(len(content), start + draw(st.sampled_from([1, 2, 8, 100])))
        kind = draw(st.sampled_from(['flip', 'remove', 'repeat', 'insert', 'cut', 'zero']))
        if kind == 'flip' and content:
            content[start] ^= 1 << draw(st.integers(0, 7))
        elif kind == 'remove':
            del content[start:end]
        elif kind == 'repeat':
            content[start:start] = content[start:end]
        elif kind == 'insert':
            content[start:start] = draw(st.binary(min_size=1, max_size=20))
        elif kind == 'zero':
            content[start:end] = bytes(end - start)
        else:
            del content[start:]
    return bytes(content)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**400, -1, 1e300, '1', '٣', '', '../x.png', '\ud800', 2**63]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def altered(draw, content):
    """A JSON document with other values, or keys gone, at some places."""
    content = json.loads(json.dumps(content))
    for _ in range(draw(st.integers(1, 3))):
        place, holder, key = content, None, None
        while isinstance(place, dict | list) and len(place) and (holder is None or draw(st.booleans())):
            keys = list(place) if isinstance(place, dict) else range(len(place))
            holder, key = place, draw(st.sampled_from(keys))
            place = holder[key]
        if holder is None:
            return draw(JSON)
        if isinstance(holder, dict) and draw(st.booleans()):
            del holder[key]
        else:
            holder[key] = draw(JSON)
    return content


def only_own_errors(read):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            read()
        except UserError as error:
            assert str(error).strip(), 'says nothing'


def fuzz(path, contents, read, times=1):
    """Read what is drawn for a file, ``times`` as often as most are."""

    @settings(SETTINGS, max_examples=times * TRIES)
    @given(contents)
    def check(content):
        path.write_bytes(content)
        # Another time, as what was read of a video is kept by its size and time.
        os.utime(path, ns=(0, hash(content) % 10**15))
        only_own_errors(read)

    check()


AVA_ROW = 'video,0902,0.1,0.1,0.5,0.5,12,0\nvideo,0903,0.1,0.1,0.5,0.5,12,1\n'
ACTIONS = 'item {\n  name: "bend/bow (at the waist)"\n  id: 1\n}\nitem {\n  name: "crawl"\n  id: 2\n}\n'
TEXTS = dict(
    rows=(read_rows, AVA_ROW),
    actions=(read_action_list, ACTIONS),
    exclusions=(read_exclusions, 'video,0902\nvideo,0904\n'),
    videos=(read_video_list, 'a/b c.mp4 0\n"d.mp4", 1\n'),
    names=(read_class_names, 'walk\nrun\n'),
    images=(lambda path: read_images(path.parent, path), 'a/b c.jpg 0\nd.jpg 1\n'),
)


@pytest.mark.parametrize('kind', TEXTS)
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_lists(tmp_path, kind, encoding):
    read, text = TEXTS[kind]
    path = tmp_path / 'list.txt'
    path.write_bytes(text.encode(encoding))
    read(path)

    fuzz(path, damaged(text.encode(encoding)), partial(read, path))


def test_proposals(tmp_path):
    path = tmp_path / 'proposals.pkl'
    content = {'video,0902': np.ones((2, 5)), 'video,0903': np.ones((1, 5), np.float32)}
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps(content, protocol))
        assert len(read_proposals(path)) == 2

        fuzz(path, damaged(path.read_bytes()), partial(read_proposals, path))


SQUARE = run_lengths.encode(np.asfortranarray(np.arange(50) < np.full((40, 1), 9)).astype(np.uint8))
SQUARE['counts'] = SQUARE['counts'].decode()
COCO = dict(
    images=[dict(id=1, file_name='a.png', width=50, height=40), dict(id=2, file_name='b.png', width=50, height=40)],
    annotations=[
        dict(
            id=1,
            image_id=1,
            category_id=1,
            bbox=[1, 2, 10, 9],
            area=90,
            iscrowd=0,
            segmentation=[[1, 2, 11, 2, 11, 11]],
        ),
        dict(
            id=2, image_id=2, category_id=2, bbox=[0, 0, 9, 40], segmentation=dict(size=[40, 50], counts=[0, 360, 1640])
        ),
        dict(id=3, image_id=2, category_id=2, bbox=[0, 0, 9, 40], segmentation=SQUARE),
    ],
    categories=[dict(id=1, name='cat', supercategory='animal'), dict(id=2, name='dog')],
)


def read_coco(path):
    file = read_annotations(path, 'ann_file')
    # What the reader has accepted, others must be able to use.
    return json.dumps([file.images, file.annotations, file.categories], default=str)


@pytest.mark.parametrize('source', ['values', 'bytes'])
def test_coco_annotations(tmp_path, source):
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(COCO))
    read_coco(path)
    contents = (
        altered(COCO).map(lambda content: json.dumps(content).encode('utf-8', 'replace'))
        if source == 'values'
        else damaged(path.read_bytes())
    )

    fuzz(path, contents, partial(read_coco, path), times=10)


INATURALIST = dict(
    images=[dict(id=1, file_name='a.jpg'), dict(id=2, file_name='b.jpg')],
    annotations=[dict(id=1, image_id=1, category_id=7), dict(id=2, image_id=2, category_id=9)],
    categories=[dict(id=7, name='oak'), dict(id=9, name='fir')],
)


@pytest.mark.parametrize('with_label', [True, False])
def test_inaturalists_annotations(tmp_path, with_label):
    path = tmp_path / 'train.json'

    fuzz(
        path,
        altered(INATURALIST).map(lambda content: json.dumps(content).encode('utf-8', 'replace'))
        | damaged(json.dumps(INATURALIST).encode()),
        partial(read_images, tmp_path, path, with_label),
        times=4,
    )


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'safetensors'])
def test_weights(tmp_path, kind):
    state = {
        'blocks.0.attn.qkv.weight': torch.ones(12, 4),
        'blocks.0.norm1.weight': torch.ones(4),
        'pos_embed': torch.ones(3),
    }
    file = io.BytesIO()
    if kind == 'safetensors':
        file.write(safetensors.torch.save(state))
    else:
        torch.save(dict(model_state=state, epoch=3), file, _use_new_zipfile_serialization=kind == 'zip')
    path = tmp_path / 'weights.pth'

    def read():
        to_our_names(read_checkpoint(path), 'weights.pth')

    path.write_bytes(file.getvalue())
    assert read_checkpoint(path)

    fuzz(path, damaged(file.getvalue()), read, times=4)


@pytest.mark.parametrize('kind', ['png', 'jpeg', 'tiff', 'webp', 'bmp'])
def test_pictures(tmp_path, kind):
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind, **(dict(exif=exif) if kind != 'bmp' else {}))
    path = tmp_path / f'a.{kind}'
    path.write_bytes(file.getvalue())
    assert read_image_header(path).displayed in [(20, 30), (30, 20)]

    def read():
        read_image_header(path)
        LoadImageFromFile()(dict(img_path=str(path)))

    fuzz(path, damaged(file.getvalue()), read)


@pytest.mark.parametrize('codec, ending', [('libx264', 'mp4'), ('mpeg4', 'avi'), ('libvpx-vp9', 'webm')])
def test_videos(tmp_path, codec, ending):
    path = tmp_path / f'a.{ending}'
    write_with_pyav(path, codec, np.arange(12) / 25)
    whole = path.read_bytes()

    def read():
        video = open_video(path)
        video.frames([len(video) - 1, 0])

    read()

    fuzz(path, damaged(whole), read)


def draw_pictures(folder, count=2):
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new('RGB', (50, 40)).save(folder / f'{number}.png')


YOLO_NAMES = 'train: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n'


@pytest.mark.parametrize('changed', ['data.yaml', 'labels/train/0.txt'])
def test_yolos_folders(tmp_path, changed):
    folder = tmp_path / 'set'
    for part in ('train', 'val'):
        draw_pictures(folder / 'images' / part)
        labels = folder / 'labels' / part
        labels.mkdir(parents=True)
        for number in range(2):
            (labels / f'{number}.txt').write_text('0 0.5 0.5 0.2 0.2\n1 0.2 0.2 0.1 0.1\n')
    (folder / 'data.yaml').write_text(YOLO_NAMES)
    find = partial(find_anew, folder, 'yolo', tmp_path / 'out')
    find()

    fuzz(folder / changed, damaged((folder / changed).read_bytes()), find)


def find_anew(folder, layout, out):
    try:
        return find_sets(folder, layout, out)
    finally:
        shutil.rmtree(out, ignore_errors=True)


VOC = """<annotation><folder>a</folder><filename>0.png</filename>
<size><width>50</width><height>40</height><depth>3</depth>
</size><object><name>cat</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>
</annotation>"""


@pytest.mark.parametrize('changed', ['Annotations/0.xml', 'ImageSets/Main/train.txt'])
def test_pascal_vocs_folders(tmp_path, changed):
    folder = tmp_path / 'set'
    draw_pictures(folder / 'JPEGImages')
    (folder / 'Annotations').mkdir()
    (folder / 'ImageSets' / 'Main').mkdir(parents=True)
    for number, part in enumerate(('train', 'val')):
        (folder / 'Annotations' / f'{number}.xml').write_text(VOC.replace('0.png', f'{number}.png'))
        (folder / 'ImageSets' / 'Main' / f'{part}.txt').write_text(f'{number}\n')
    find = partial(find_anew, folder, 'voc', tmp_path / 'out')
    find()

    fuzz(folder / changed, damaged((folder / changed).read_bytes()), find)
