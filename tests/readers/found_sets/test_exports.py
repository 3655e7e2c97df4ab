"""The parts, classes and boxes of sets as annotation programs export them."""

import itertools
import shutil

from hiera_mm.readers.found_sets import find_sets, layout_of

import pytest

from tests.exports import CLASSES, EXPORTS, ONE_PART, expected_parts, read_parts, truth
from tests.tools.test_init import MASKS, SMALL


@pytest.fixture
def drawn(tmp_path, request):
    layout, export = EXPORTS[request.param]
    export(tmp_path / 'my set')
    return request.param, layout, tmp_path / 'my set'


def same(found, expected):
    """Whether objects are the same; Pascal VOC's conversion may be off by a pixel."""
    if {stem: len(objects) for stem, objects in found.items()} != {s: len(o) for s, o in expected.items()}:
        return False
    return all(
        a[0] == b[0] and max(abs(x - y) for x, y in zip(a[1:], b[1:], strict=True)) <= 1
        for stem, objects in expected.items()
        for a, b in zip(found[stem], objects, strict=True)
    )


@pytest.mark.parametrize('drawn', EXPORTS, indirect=True)
def test_the_layout_is_told_by_the_files(drawn):
    _, layout, folder = drawn
    assert layout_of(folder) == layout


@pytest.mark.parametrize('drawn', EXPORTS, indirect=True)
def test_init_gives_the_parts_and_boxes_of_the_export(run_command, tmp_path, drawn):
    name, _, folder = drawn
    before = sorted(folder.rglob('*'))
    code, printed = run_command('init', folder, '--out', tmp_path / 'mine.py', '--random-weights')
    assert code == 0, printed
    parts, classes = read_parts(tmp_path / 'mine.py')
    expected = expected_parts(name)
    if name in ONE_PART:
        together = dict(itertools.chain.from_iterable(part.items() for part in parts.values()))
        assert [len(part) for part in parts.values()] == [3, 1] and same(together, expected['train'])
    else:
        assert parts.keys() == expected.keys()
        assert all(same(parts[part], expected[part]) for part in expected), parts
    assert set(CLASSES) <= set(classes) <= {*CLASSES, 'objects'}
    assert sorted(folder.rglob('*')) == before, 'the user’s folder is left as it was'


@pytest.mark.parametrize('drawn', EXPORTS, indirect=True)
def test_every_file_is_accounted_for(tmp_path, drawn):
    name, layout, folder = drawn
    (folder / 'unlabelled.png').write_bytes(next(folder.rglob('*.jpg')).read_bytes())
    (folder / 'thoughts.md').write_text('mine')
    found = find_sets(folder, layout, tmp_path / 'out')
    listed = '\n'.join(found.account)
    if layout == 'yolo' and name == 'label_studio_yolo':
        assert 'unlabelled.png' in '\n'.join(found.notes)
    else:
        assert 'unlabelled.png' in listed
    assert 'thoughts.md' in listed
    assert f'training    {len(found.parts["train"].images)} images' in listed
    if name == 'voc2007':
        assert '8 files that list a class or another selection' not in listed
        assert (
            '1 image that are masks' in listed and 'repeat what other lists name: ImageSets/Main/trainval.txt' in listed
        )
    if name == 'roboflow_coco':
        assert 'README.roboflow.txt' in listed
        assert "'objects') of the classes have no object in any part; Roboflow" in '\n'.join(found.notes)


@pytest.mark.parametrize('name', ['roboflow_yolo', 'roboflow_voc', 'cvat_ultralytics', 'voc2007'])
def test_boxes_equal_those_that_supervision_reads(tmp_path, name):
    supervision = pytest.importorskip('supervision')
    layout, export = EXPORTS[name]
    export(tmp_path / 'set')
    found = find_sets(tmp_path / 'set', layout, tmp_path / 'out')
    places = dict(
        roboflow_yolo=('train/images', 'train/labels'),
        roboflow_voc=('train', 'train'),
        cvat_ultralytics=('images/train', 'labels/train'),
        voc2007=('JPEGImages', 'Annotations'),
    )[name]
    images, labels = (str(tmp_path / 'set' / place) for place in places)
    if layout == 'yolo':
        oracle = supervision.DetectionDataset.from_yolo(images, labels, str(tmp_path / 'set' / 'data.yaml'))
    else:
        oracle = supervision.DetectionDataset.from_pascal_voc(images, labels)
    ours = supervision.DetectionDataset.from_coco(
        str(found.parts['train'].folder), str(tmp_path / 'out' / 'train.json')
    )
    by_stem = {path.rsplit('/', 1)[-1]: found for path, _, found in ours}
    compared = 0
    for path, _, theirs in oracle:
        mine = by_stem.get(path.rsplit('/', 1)[-1])
        if mine is not None:
            assert [ours.classes[i] for i in mine.class_id] == [oracle.classes[i] for i in theirs.class_id]
            assert abs(mine.xyxy - theirs.xyxy).max(initial=0) < 0.01
            compared += len(mine)
    assert compared == sum(map(len, truth('train').values()))


@pytest.mark.parametrize('part', ['val', 'test'])
@pytest.mark.parametrize('name', ['roboflow_coco', 'roboflow_yolo', 'roboflow_voc', 'cvat_coco', 'voc2007', 'labelme'])
def test_without_a_part_the_others_stay_apart(tmp_path, name, part):
    """Without validation images, some of training are put apart, and the test part is left alone."""
    layout, export = EXPORTS[name]
    export(tmp_path / 'set')
    for path in list((tmp_path / 'set').rglob('*')):
        words = {'val': ('valid', 'Validation', 'val', 'instances_Validation', 'trainval'), 'test': ('test', 'Test')}[
            part
        ]
        if path.stem in (*words, f'instances_{part.title()}') and path.exists():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if layout == 'yolo':
        text = (tmp_path / 'set' / 'data.yaml').read_text().splitlines()
        (tmp_path / 'set' / 'data.yaml').write_text('\n'.join(line for line in text if not line.startswith(part)))
    found = find_sets(tmp_path / 'set', layout, tmp_path / 'out')
    counts = {name: len(part.images) for name, part in found.parts.items()}
    assert counts == (dict(train=3, val=1, test=2) if part == 'val' else dict(train=4, val=3))


@pytest.mark.slow
@pytest.mark.parametrize('drawn', EXPORTS, indirect=True)
def test_the_config_of_an_export_trains_and_tests(run_command, tmp_path, drawn):
    """On its own parts: the test part, where there is one, is the one that is tested."""
    name, _, folder = drawn
    path = tmp_path / 'mine.py'
    code, printed = run_command('init', folder, '--out', path, '--random-weights')
    assert code == 0, printed
    text = path.read_text().replace('model = dict(backbone', 'ignored = dict(backbone').replace('epochs = 50', '')
    masks = MASKS if 'mask_rcnn' in text else ''
    path.write_text(text + SMALL.format(masks=masks).replace('test_dataloader = val_dataloader', ''))
    code, printed = run_command('check-data', path, '--work-dir', tmp_path / 'checked')
    assert code == 0 and '0 faults' in printed, printed
    code, printed = run_command('train', path, '--work-dir', tmp_path / 'run')
    assert code == 0 and 'coco/bbox_mAP' in printed, printed
    options = ['--work-dir', tmp_path / 'test', '--show-dir', tmp_path / 'drawn']
    code, printed = run_command('test', path, tmp_path / 'run' / 'iter_2.pth', *options)
    assert code == 0, printed
    parts = expected_parts(name)
    tested = 1 if name in ONE_PART else len(parts.get('test', parts.get('val')))
    assert len(list((tmp_path / 'drawn').rglob('*.jpg'))) == tested
