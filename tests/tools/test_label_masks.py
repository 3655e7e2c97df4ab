"""Masks for boxes, through the tools, by a stand-in that fills ellipses and, once, by SAM 2 with random weights."""

import json
import shutil

from hiera_mm.settings import read_config
from hiera_mm.tasks.detection.mask_labels import label_masks

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from tests.helpers import SMALL_DETECTOR, assert_explained, save_random_weights

CONFIG = "_base_ = 'hiera_mm::faster_rcnn_hiera_t.py'\nclasses = ('circle', 'bar', 'triangle')\nweights = None\n"


class Ellipses:
    """Fills an ellipse in each box; the score is higher for larger ones."""

    def __init__(self, source='ellipses'):
        self.source, self.origins, self.images = source, [dict(source=source, licence='Apache-2.0')], []

    def masks(self, image, boxes):
        self.images.append(image)
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
        masks = []
        for left, top, right, bottom in boxes:
            x, y = (columns - (left + right) / 2) / (right - left), (rows - (top + bottom) / 2) / (bottom - top)
            masks.append(x**2 + y**2 <= 0.25)
        return np.array(masks, bool).reshape(len(boxes), *image.shape[:2]), np.full(len(boxes), 0.9)


@pytest.fixture
def boxes_alone(shapes, tmp_path):
    """The generated set without its masks, and a config."""
    shutil.copytree(shapes, tmp_path / 'set')
    for path in (tmp_path / 'set' / 'annotations').glob('*.json'):
        content = json.loads(path.read_text())
        for annotation in content['annotations']:
            if not annotation['iscrowd']:
                annotation.pop('segmentation')
        path.write_text(json.dumps(content))
    lines = [CONFIG, f'data_root = {str(tmp_path / "set")!r}\n']
    for part, other in dict(train='train', val='val', test='val').items():
        lines.append(f"{part}_ann_file, {part}_data_prefix = 'annotations/instances_{other}.json', '{other}/'\n")
    (tmp_path / 'my_config.py').write_text(''.join(lines))
    return tmp_path


def labelled(folder, maker=None, least_score=0.6):
    config = read_config(str(folder / 'my_config.py'))
    return label_masks(config, maker or Ellipses(), least_score, folder / 'work')


def annotations(folder, part='train', ending='_masks'):
    content = json.loads((folder / 'set' / 'annotations' / f'instances_{part}{ending}.json').read_text())
    return {annotation['id']: annotation for annotation in content['annotations']}


def test_every_object_gets_its_mask_and_all_else_stays(boxes_alone):
    train, val = labelled(boxes_alone)
    before, after = annotations(boxes_alone, ending=''), annotations(boxes_alone)
    objects = {number for number, annotation in before.items() if not annotation['iscrowd']}
    assert train.made == len(objects) > 0 and not train.doubtful and train.sheet.is_file()
    for number, annotation in after.items():
        if number not in objects:
            assert annotation['segmentation'] == before[number]['segmentation'] and 'source' not in annotation
            continue
        assert annotation['source'] == 'ellipses' and annotation['score'] == 0.9
        np.testing.assert_allclose(annotation['bbox'], before[number]['bbox'])
        left, top, width, height = annotation['bbox']
        assert annotation['area'] == coco_masks.area(annotation['segmentation'])
        assert annotation['area'] == pytest.approx(np.pi / 4 * width * height, rel=0.15, abs=8)
    assert [key.partition('_')[0] for key in val.keys] == ['val', 'test'] and val.made
    made = json.loads(train.written.read_text())['info']['masks']
    assert made == dict(source='ellipses', licence='Apache-2.0', least_score=0.6)
    coco = COCO(str(train.written))
    assert coco.annToMask(coco.anns[min(objects)]).any()


def test_a_detector_of_masks_learns_from_it(boxes_alone, run_command):
    labelled(boxes_alone)
    path = boxes_alone / 'my_masks.py'
    text = (
        (boxes_alone / 'my_config.py').read_text().replace('faster_rcnn', 'mask_rcnn').replace('.json', '_masks.json')
    )
    path.write_text(text)
    code, printed = run_command('check-data', path, '--work-dir', boxes_alone / 'checked')
    assert code == 0 and '0 faults' in printed, printed


@pytest.mark.parametrize('mask', ['empty', 'outside', 'low'])
def test_doubtful_masks_leave_the_object_a_box_and_are_listed(boxes_alone, mask):
    class Doubtful(Ellipses):
        def masks(self, image, boxes):
            masks, scores = super().masks(image, boxes)
            if mask == 'empty':
                masks[0] = False
            elif mask == 'outside':
                masks[0] = True
            else:
                scores[0] = 0.59
            return masks, scores

    train, _ = labelled(boxes_alone, Doubtful())
    before, after = annotations(boxes_alone, ending=''), annotations(boxes_alone)
    assert len(train.doubtful) == len({a['image_id'] for a in before.values() if not a['iscrowd']})
    reasons = {'empty': 'the mask is empty', 'outside': 'of the mask are outside the box', 'low': 'the score is 0.59'}
    for image, number, name, reason in train.doubtful:
        assert reasons[mask] in reason and name in ('circle', 'bar', 'triangle') and image
        assert 'segmentation' not in after[number] and after[number]['bbox'] == before[number]['bbox']
    listed = (boxes_alone / 'work' / 'instances_train' / 'boxes.csv').read_text().splitlines()
    assert len(listed) == 1 + len(train.doubtful)


def test_masks_that_are_there_stay_but_those_that_are_the_boxes(boxes_alone):
    path = boxes_alone / 'set' / 'annotations' / 'instances_train.json'
    content = json.loads(path.read_text())
    objects = [annotation for annotation in content['annotations'] if not annotation['iscrowd']]

    def rectangle(annotation):
        x, y, width, height = annotation['bbox']
        return [[x, y, x + width, y, x + width, y + height, x, y + height]]

    for annotation in objects:
        annotation['segmentation'] = rectangle(annotation)
    path.write_text(json.dumps(content))
    assert labelled(boxes_alone)[0].made == len(objects)
    x, y, width, height = objects[0]['bbox']
    objects[0]['segmentation'] = [[x, y, x + width, y, x + width / 2, y + height]]
    objects[1].pop('segmentation')
    path.write_text(json.dumps(content))
    train = labelled(boxes_alone)[0]
    # One is of a person's hand, so the rectangles may be too.
    assert train.made == 1 and train.left_alone == len(content['annotations']) - 1
    assert annotations(boxes_alone)[objects[1]['id']]['source'] == 'ellipses'
    assert 'source' not in annotations(boxes_alone)[objects[0]['id']]


def test_an_interrupted_run_goes_on_and_another_model_begins_anew(boxes_alone):
    class Interrupted(Ellipses):
        def masks(self, image, boxes):
            if len(self.images) == 2:
                raise KeyboardInterrupt
            return super().masks(image, boxes)

    first = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        labelled(boxes_alone, first)
    assert not (boxes_alone / 'set' / 'annotations' / 'instances_train_masks.json').exists()
    second = Ellipses()
    labelled(boxes_alone, second)
    whole = Ellipses('others')
    labelled(boxes_alone, whole)
    assert len(second.images) == len(whole.images) - 2


def test_a_broken_image_leaves_its_objects_boxes_and_is_told(boxes_alone):
    path = sorted((boxes_alone / 'set' / 'train').iterdir())[0]
    path.write_bytes(b'nothing')
    train, _ = labelled(boxes_alone)
    assert len(train.broken) == 1 and path.name in train.broken[0]
    names = {image['id']: image['file_name'] for image in json.loads(train.written.read_text())['images']}
    for annotation in annotations(boxes_alone).values():
        if not annotation['iscrowd']:
            assert ('segmentation' in annotation) == (names[annotation['image_id']] != path.name)


def test_images_are_read_as_they_were_annotated(boxes_alone):
    """Turned by EXIF where the file says so."""
    content = json.loads((boxes_alone / 'set' / 'annotations' / 'instances_train.json').read_text())
    image = content['images'][0]
    path = boxes_alone / 'set' / 'train' / image['file_name']
    with Image.open(path) as opened:
        pixels, exif = np.asarray(opened.convert('RGB')), Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(pixels[::-1, ::-1]).save(path, exif=exif)
    maker = Ellipses()
    labelled(boxes_alone, maker)
    assert any(one.shape == pixels.shape and (one == pixels).all() for one in maker.images)


def test_another_file_of_the_new_ones_name_is_refused(boxes_alone, monkeypatch, run_command):
    (boxes_alone / 'set' / 'annotations' / 'instances_train_masks.json').write_text('{}')
    monkeypatch.setattr('hiera_mm.inference.segment_anything.SegmentAnything', lambda *_: Ellipses())
    result = run_command('label-masks', boxes_alone / 'my_config.py')
    assert_explained(result, 'instances_train_masks.json', 'another file has this name')


@pytest.mark.parametrize('base', ['in1k_hiera_t', 'segformer_hiera_t_ade20k'])
def test_sets_without_boxes_are_refused(tmp_path, monkeypatch, run_command, base):
    monkeypatch.setattr('hiera_mm.inference.segment_anything.SegmentAnything', lambda *_: Ellipses())
    (tmp_path / 'mine.py').write_text(f"_base_ = 'hiera_mm::{base}.py'\n")
    assert_explained(run_command('label-masks', tmp_path / 'mine.py'), "is not a set of COCO's format")


def test_the_command_says_what_to_set(boxes_alone, monkeypatch, run_command):
    pytest.importorskip('sam2')
    from sam2.build_sam import build_sam2

    torch.manual_seed(0)
    model = build_sam2('configs/sam2.1/sam2.1_hiera_t.yaml', device='cpu')
    torch.save(dict(model=model.state_dict()), boxes_alone / 'sam2.pt')
    for part in ('train', 'val'):
        path = boxes_alone / 'set' / 'annotations' / f'instances_{part}.json'
        content = json.loads(path.read_text())
        content['images'] = content['images'][:1]
        content['annotations'] = [a for a in content['annotations'] if a['image_id'] == content['images'][0]['id']]
        path.write_text(json.dumps(content))
    code, printed = run_command(
        *('label-masks', boxes_alone / 'my_config.py', '--model', boxes_alone / 'sam2.pt', '--least-score', '-100'),
        *('--work-dir', boxes_alone / 'work'),
    )
    assert code == 0, printed
    assert "train_ann_file = 'annotations/instances_train_masks.json'" in printed
    assert "val_ann_file = 'annotations/instances_val_masks.json'" in printed and 'test_ann_file = ' in printed


def test_a_detectors_labels_are_what_it_predicts(shapes, tmp_path, run_command):
    model = save_random_weights(detector_config(tmp_path), tmp_path / 'model.pth')
    options = ('--pred-score-thr', '0', '--no-save-vis')
    code, printed = run_command('label', model, shapes / 'val', '--out-dir', tmp_path / 'labels', *options)
    assert code == 0, printed
    found = COCO(str(tmp_path / 'labels' / 'labels.json'))
    assert {image['file_name'] for image in found.imgs.values()} == {path.name for path in (shapes / 'val').iterdir()}
    predictions = json.loads((tmp_path / 'labels' / 'predictions.json').read_text())
    assert [a['score'] for a in found.anns.values()] == [p['score'] for p in predictions] and predictions


def test_only_detectors_label(tmp_path, run_command):
    path = tmp_path / 'mine.py'
    tiny = 'dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))'
    path.write_text(
        f"_base_ = 'hiera_mm::in1k_hiera_t.py'\nclasses = ('a', 'b')\nweights = None\n"
        f'model = dict(backbone=dict(arch={tiny}), cls_head=dict(in_channels=128))\n'
    )
    model = save_random_weights(path, tmp_path / 'model.pth')
    Image.new('RGB', (40, 40)).save(tmp_path / 'a.png')
    assert_explained(run_command('label', model, tmp_path / 'a.png'), 'objects are labelled by a detector')


def detector_config(folder):
    path = folder / 'detector.py'
    path.write_text(SMALL_DETECTOR.replace('NAME', 'mask_rcnn_hiera_t'))
    return path


def test_files_of_one_name_in_two_folders_have_a_sheet_each(boxes_alone):
    for part in ('train', 'val'):
        path = boxes_alone / 'set' / 'annotations' / f'instances_{part}.json'
        path.rename(boxes_alone / 'set' / part / '_annotations.coco.json')
    config = boxes_alone / 'my_config.py'
    text = config.read_text()
    for part in ('train', 'val'):
        text = text.replace(f'annotations/instances_{part}.json', f'{part}/_annotations.coco.json')
    config.write_text(text)
    train, val = labelled(boxes_alone)
    assert train.made and val.made and train.sheet != val.sheet
    assert train.sheet.is_file() and val.sheet.is_file()
