"""``hiera-mm check-data --near-duplicates`` on sets of each task that has images."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

COPIES = dict(
    the_file=lambda image: image,
    smaller=lambda image: image.resize((image.width * 3 // 4, image.height * 3 // 4)),
    brighter=lambda image: image.point(lambda value: min(255, value * 1.1)),
)


def copy_into(source, target, change):
    COPIES[change](Image.open(source).convert('RGB')).save(target)


def boxes(folder, shapes, change):
    """A validation image that repeats the second one of training."""
    shutil.copytree(shapes, folder / 'set')
    path = folder / 'set' / 'annotations' / 'instances_val.json'
    content = json.loads(path.read_text())
    image, source = content['images'][0], sorted((shapes / 'train').iterdir())[1]
    copy_into(source, folder / 'set' / 'val' / image['file_name'], change)
    with Image.open(folder / 'set' / 'val' / image['file_name']) as copied:
        image['width'], image['height'] = copied.size
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] != image['id']]
    path.write_text(json.dumps(content))
    lines = "_base_ = 'hiera_mm::mask_rcnn_hiera_t.py'\nclasses = ('circle', 'bar', 'triangle')\n"
    lines += f"data_root = '{folder}/set/'\n"
    for part in ('train', 'val', 'test'):
        files = 'val' if part == 'test' else part
        lines += f"{part}_ann_file = 'annotations/instances_{files}.json'\n{part}_data_prefix = '{files}/'\n"
    return lines, image['file_name'], source.name


def classes(folder, shapes, change):
    for part, places in dict(train=slice(0, 6), val=slice(6, 10)).items():
        for place, path in enumerate(sorted((shapes / 'train').iterdir())[places]):
            (folder / part / 'ab'[place % 2]).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / part / 'ab'[place % 2])
    source = sorted((folder / 'train' / 'b').iterdir())[0]
    copy_into(source, folder / 'val' / 'a' / 'again.png', change)
    prefixes = ''.join(
        f"{part}_data_prefix = '{'train' if part == 'train' else 'val'}'\n" for part in ('train', 'val', 'test')
    )
    top = f"_base_ = 'hiera_mm::in1k_hiera_t.py'\nclasses = ('a', 'b')\nweights = None\ndata_root = '{folder}/'\n"
    return top + prefixes, 'again.png', source.name


def areas(folder, shapes, change):
    for part, places in dict(train=slice(0, 6), val=slice(6, 10)).items():
        for kind in ('images', 'masks'):
            (folder / kind / part).mkdir(parents=True)
        for path in sorted((shapes / 'train').iterdir())[places]:
            shutil.copy(path, folder / 'images' / part / f'{path.stem}.png')
    source = sorted((folder / 'images' / 'train').iterdir())[3]
    copy_into(source, folder / 'images' / 'val' / 'again.png', change)
    for path in folder.glob('images/*/*'):
        with Image.open(path) as image:
            Image.fromarray(np.eye(*image.size[::-1], dtype=np.uint8)).save(
                folder / 'masks' / path.parent.name / path.name
            )
    top = "_base_ = 'hiera_mm::segformer_hiera_t_ade20k.py'\nclasses = ('a', 'b')\nweights = None\n"
    top += f"data_root = '{folder}/'\n"
    for part in ('train', 'val', 'test'):
        files = 'train' if part == 'train' else 'val'
        top += f"{part}_data_prefix = dict(img_path='images/{files}', seg_map_path='masks/{files}')\n"
    return top, 'again.png', source.name


@pytest.mark.parametrize('change', COPIES)
@pytest.mark.parametrize('make', [boxes, classes, areas])
def test_an_image_that_repeats_one_of_training_is_told(tmp_path, shapes, run_command, make, change):
    lines, repeating, repeated = make(tmp_path, shapes, change)
    (tmp_path / 'mine.py').write_text(lines)
    command = ('check-data', tmp_path / 'mine.py', '--work-dir', tmp_path / 'work')
    code, printed = run_command(*command, '--near-duplicates')
    assert code == 0, printed
    told = ' '.join(printed.split())
    assert (
        'val_dataloader.dataset: 1 of the ' in told and f"{repeating}' and " in told and f"{repeated}', so that" in told
    )
    with (tmp_path / 'work' / 'data' / 'near_duplicates.csv').open() as file:
        rows = [*csv.DictReader(file)]
    assert [(row['set'], row['file'].rpartition('/')[2], row['repeats'].rpartition('/')[2]) for row in rows] == [
        ('val_dataloader', repeating, repeated)
    ]
    assert 'show the same' not in run_command(*command)[1]


def test_sets_without_images_are_not_looked_at_which_is_said(tmp_path, run_command):
    run_command('make-data', tmp_path / 'set', '--kind', 'motion', '--train', '6', '--val', '6')
    (tmp_path / 'mine.py').write_text(f"_base_ = 'hiera_mm::k400_hiera_t_shapes.py'\ndata_root = '{tmp_path}/set/'\n")
    code, printed = run_command(
        'check-data', tmp_path / 'mine.py', '--near-duplicates', '--work-dir', tmp_path / 'work'
    )
    told = ' '.join(printed.split())
    assert 'train_dataloader.dataset: near-duplicates are looked for among images, not in' in told, printed
    assert code == 0 and 'show the same' not in told


def test_where_images_are_missing_their_fault_is_all_that_is_said(tmp_path, shapes, run_command):
    lines, _, _ = boxes(tmp_path, shapes, 'the_file')
    sorted((tmp_path / 'set' / 'train').iterdir())[0].unlink()
    (tmp_path / 'mine.py').write_text(lines)
    code, printed = run_command(
        'check-data', tmp_path / 'mine.py', '--near-duplicates', '--work-dir', tmp_path / 'work'
    )
    assert code == 1 and 'show the same' not in printed and 'Traceback' not in printed, printed
    assert 'not looked for, as the faults above' in printed


def test_validation_on_the_training_set_itself_is_told(tmp_path, shapes, run_command):
    lines, _, _ = boxes(tmp_path, shapes, 'the_file')
    lines = lines.replace('instances_val.json', 'instances_train.json').replace("prefix = 'val/'", "prefix = 'train/'")
    (tmp_path / 'mine.py').write_text(lines + 'val_dataloader = dict(dataset=_base_.train_dataloader.dataset)\n')
    code, printed = run_command(
        'check-data', tmp_path / 'mine.py', '--near-duplicates', '--work-dir', tmp_path / 'work'
    )
    count = len([*(shapes / 'train').iterdir()])
    assert f'{count} of the {count} images show the same' in ' '.join(printed.split()), printed


def test_that_none_repeats_another_is_said(tmp_path, shapes, run_command):
    lines, _, _ = boxes(tmp_path, shapes, 'the_file')
    shutil.copytree(shapes, tmp_path / 'set', dirs_exist_ok=True)
    (tmp_path / 'mine.py').write_text(lines)
    command = ('check-data', tmp_path / 'mine.py', '--near-duplicates', '--work-dir', tmp_path / 'work')
    code, printed = run_command(*command)
    assert code == 0 and 'none of the ' in ' '.join(printed.split()), printed
    assert (tmp_path / 'work' / 'data' / 'near_duplicates.csv').read_text().split() == ['set,file,repeats']
