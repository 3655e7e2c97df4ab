"""Settings as users write them: in branches, imports and other formats, computed from the base, illegal, misspelt, or
in conflict with the command line."""

import json
import math
import re
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.setting_values import converted
from hiera_mm.settings import read_config

import numpy as np
import pytest

SHAPES = 'mask_rcnn_hiera_t_shapes'
"""Three classes, batches of 4, 450 iterations with a rate of 6e-4."""


@pytest.fixture
def written(tmp_path):
    def make(text, base=SHAPES, options=()):
        path = tmp_path / 'mine.py'
        path.write_text(f"_base_ = 'hiera_mm::{base}.py'\n{text}\n")
        return read_config(str(path), options)

    return make


def batch(config):
    return config.train_dataloader.batch_size


def rate(config):
    return config.optim_wrapper.optimizer.lr


def class_count(config):
    return config.model.roi_head.bbox_head.num_classes


# Where a setting can be written


@pytest.mark.parametrize('ending', ['yaml', 'yml', 'json'])
def test_other_formats_have_settings(tmp_path, ending):
    content = dict(_base_=f'hiera_mm::{SHAPES}.py', batch_size=2, classes=['a', 'b'], learning_rate=0.5, max_iters=77)
    path = tmp_path / f'mine.{ending}'
    path.write_text(json.dumps(content))
    config = read_config(str(path))
    assert (batch(config), rate(config), class_count(config)) == (2, 0.5, 2)
    assert config.train_cfg.max_iters == 77 and config.param_scheduler[-1].end == 77
    path.write_text(json.dumps(content | dict(batchsize=2)))
    with pytest.raises(UserError, match='did you mean batch_size'):
        read_config(str(path))


@pytest.mark.parametrize(
    'text',
    [
        'if True:\n    batch_size = 2',
        'for batch_size in (1, 2):\n    pass',
        'try:\n    batch_size = 2\nfinally:\n    pass',
        'with open(__import__("os").devnull):\n    batch_size = 2',
        'batch_size: int = 2',
        'batch_size = other = 2',
        'batch_size, learning_rate = 2, 1e-3',
        '(batch_size := 2)',
        'from math import e\nbatch_size = round(e) - 1',
        'def two():\n    batch_size = 7\n    return 2\nbatch_size = two()',
    ],
)
def test_settings_in_any_statement_count(written, text):
    assert batch(written(text)) == 2


def test_imported_settings_count(written, tmp_path, monkeypatch):
    (tmp_path / 'my_names_of_classes.py').write_text("classes = ('a', 'b')\nsize = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = written('from my_names_of_classes import classes, size as batch_size')
    assert class_count(config) == batch(config) == 2


def test_names_inside_functions_are_no_settings(written):
    config = written(
        'def double(x):\n    batch_size = 2 * x\n    return batch_size\nvalue = [batch_size for batch_size in (9,)]'
    )
    assert batch(config) == 4


@pytest.mark.parametrize(
    'text, read, value',
    [
        ('batch_size = _base_.batch_size * 2', batch, 8),
        ('batch_size = _base_.batch_size * 2\ntrain_dataloader = dict(batch_size=batch_size)', batch, 8),
        ('learning_rate = _base_.learning_rate * 0.1', rate, 6e-5),
        (
            'learning_rate = _base_.learning_rate * 0.1\noptim_wrapper = dict(optimizer=dict(lr=learning_rate))',
            rate,
            6e-5,
        ),
        ("classes = (*_base_.classes, 'star')", class_count, 4),
        ('max_iters = _base_.max_iters // 2', lambda config: config.param_scheduler[-1].end, 225),
        (
            'max_iters = _base_.max_iters // 2\ntrain_cfg = dict(max_iters=max_iters)',
            lambda config: (config.train_cfg.max_iters, config.param_scheduler[-1].end),
            (225, 225),
        ),
    ],
)
def test_what_is_computed_from_the_base_is_computed_once(written, text, read, value):
    assert read(written(text)) == pytest.approx(value)


def test_what_follows_from_a_setting_is_seen_in_the_base(written):
    config = written(
        'image_size = (64, 64)\nsteps = _base_.train_pipeline\ntrain_dataloader = dict(dataset=dict(pipeline=steps))'
    )
    assert [step.scale for step in config.train_dataloader.dataset.pipeline if 'scale' in step][0] == (64, 64)


def test_a_child_computes_from_its_parent(tmp_path):
    (tmp_path / 'parent.py').write_text(f"_base_ = 'hiera_mm::{SHAPES}.py'\nbatch_size = 3\n")
    (tmp_path / 'child.py').write_text("_base_ = './parent.py'\nbatch_size = _base_.batch_size * 2\n")
    assert batch(read_config(str(tmp_path / 'child.py'))) == 6


# The command line


@pytest.mark.parametrize(
    'text, option, read, value',
    [
        (
            'learning_rate = 0.5\noptim_wrapper = dict(optimizer=dict(lr=learning_rate))',
            'learning_rate=0.25',
            rate,
            0.25,
        ),
        ('batch_size = 2\ntrain_dataloader = dict(batch_size=batch_size)', 'batch_size=7', batch, 7),
        (
            'max_iters = 50\ntrain_cfg = dict(max_iters=max_iters)',
            'max_iters=70',
            lambda config: (config.train_cfg.max_iters, config.param_scheduler[-1].end),
            (70, 70),
        ),
        (
            "classes = ('a', 'b', 'c')\ntrain_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))",
            "classes=['x','y']",
            class_count,
            2,
        ),
        ('', 'train_data_prefix.img=new/', lambda config: config.train_dataloader.dataset.data_prefix.img, 'new/'),
        ('', 'val_data_prefix.img=new/', lambda config: config.val_dataloader.dataset.data_prefix.img, 'new/'),
    ],
)
def test_options_reach_what_a_file_computes(written, text, option, read, value):
    assert read(written(text, options=[option])) == value


@pytest.mark.parametrize(
    'text, options, length',
    [
        ('train_cfg = dict(max_epochs=7)', [], 7),
        ('', ['train_cfg.max_epochs=7'], 7),
        ('epochs = 20', ['train_cfg.max_epochs=7'], 7),
        ('epochs = 20', ['epochs=7'], 7),
        ('epochs = 7', [], 7),
    ],
)
def test_the_schedule_follows_the_epochs_however_they_are_set(written, text, options, length):
    config = written(text, 'k400_hiera_b', options)
    assert config.train_cfg.max_epochs == config.param_scheduler[-1].end == length


def test_an_option_below_a_setting_that_has_no_such_key_is_refused(written):
    with pytest.raises(
        UserError, match='train_data_prefix = .* must be a folder, or a dict of folders with the keys img'
    ):
        written('', options=['train_data_prefix.video=new/'])


# Values that can't be meant


@pytest.mark.parametrize(
    'name, shipped, wanted, values',
    [
        ('batch_size', 4, 'must be a whole number from 1 on', (0, -1, 2.0, '4', None, True, [2])),
        ('max_iters', 450, 'must be a whole number from 1 on', (0, -5, 2.5, True, '9', None)),
        ('num_classes', 80, 'must be a whole number from 1 on', (0, 3.0, None, '3')),
        ('epochs', None, 'must be a number above 0', (0, -3, True, [1], '5', None, math.nan, math.inf)),
        ('epochs', 50, 'must be a whole number, since this run counts epochs', (0.5, 2.5)),
        ('learning_rate', 6e-4, 'must be a number above 0', (0, -1.0, '1e-3', None, math.inf)),
        ('image_size', (64, 64), 'must be whole numbers of pixels', (0, -64, None, 128.0, (64, 0), '64', True)),
        ('image_size', (64, 64), 'needs 2 numbers', ((1, 2, 3), [64])),
        ('image_size', 224, 'must be one number', ((224, 192),)),
        ('crop_size', (96, 96, 96), 'needs 3 numbers', ((64, 64),)),
    ],
)
def test_numbers_that_can_not_be_meant_are_refused(name, shipped, wanted, values):
    for value in values:
        with pytest.raises(UserError, match=f'{name} = .* {wanted}'):
            converted(name, value, shipped)


@pytest.mark.parametrize(
    'name, shipped, value, meant',
    [
        ('epochs', None, 0.5, 0.5),
        ('epochs', 50, 3.0, 3),
        ('image_size', (64, 64), 128, (128, 128)),
        ('image_size', (64, 64), [128, 96], (128, 96)),
        ('image_size', 224, [192, 192], 192),
        ('batch_size', 4, np.int64(3), 3),
        ('image_size', (64, 64), np.array([96, 64]), (96, 64)),
        ('spacing', (1.0, 1.0, 1.0), np.array([1, 2, 3]), (1, 2, 3)),
        ('learning_rate', 1.0, np.float32(0.5), 0.5),
        ('train_ann_file', 'a.json', Path('b.json'), 'b.json'),
        ('train_exclude_file', 'a.csv', None, None),
        ('train_data_prefix', dict(img='a', seg='b'), 'c', dict(img='c')),
        ('classes', None, ['a', 'b'], ('a', 'b')),
    ],
)
def test_values_take_the_form_of_the_constant(name, shipped, value, meant):
    assert converted(name, value, shipped) == meant


@pytest.mark.parametrize(
    'line, sentence',
    [
        ('batch_size = 0', 'batch_size = 0 at the top of the config must be a whole number'),
        ('epochs = -3', 'epochs = -3 .* must be a number above 0'),
        ('image_size = None', 'image_size = None .* must be whole numbers of pixels'),
        ('classes = None', 'the names of the classes'),
        ('classes = 5', 'the names of the classes'),
        ('classes = ()', 'the names of the classes'),
        ("classes = ''", 'the names of the classes'),
        ("classes = ('a', 'b', 'a')", r'name 1 \(a\) more than once'),
        ('classes = (0, 1)', r'names, but 2 \(0, 1\) are not text'),
        ("classes = ('a', ' ')", 'are not text'),
        ('train_ann_file = 5', 'train_ann_file = 5 .* must be a path'),
        ("train_ann_file = ['a', 'b']", 'must be a path'),
        ('data_root = None', 'data_root = None .* must be a path'),
        ('train_data_prefix = None', 'must be a folder'),
        ("train_data_prefix = ['a']", 'must be a folder'),
        ("train_data_prefix = dict(image='x')", 'a dict of folders with the keys img'),
        *(
            (f'{name} = 1', f"'{name}' at its top.*did you mean {meant}")
            for name, meant in dict(
                lr='learning_rate',
                base_lr='learning_rate',
                max_epochs='epochs',
                num_epochs='epochs',
                iters='max_iters',
                train_batch_size='batch_size',
                samples_per_gpu='batch_size',
                img_scale='image_size',
                CLASSES='classes',
                class_names='classes',
                metainfo='classes',
            ).items()
        ),
        *(
            (f'{name} = 1', f"'{name}' at its top, which has no effect")
            for name in ('warm_up', 'val_interval', 'padded_side')
        ),
        (
            "val_ann_file = 'a.json'\nval_dataloader = dict(dataset=dict(ann_file='b.json'))",
            "ann_file = 'b.json', and at",
        ),
        ("data_root = '/a'\nval_dataloader = dict(dataset=dict(data_root='/b'))", "data_root = '/b', and at its top"),
    ],
)
def test_what_can_not_be_meant_is_refused(written, line, sentence):
    with pytest.raises(UserError, match=sentence):
        written(line)


@pytest.mark.parametrize(
    'base, line, sentence',
    [
        ('k400_hiera_b', 'epochs = 2.5', 'whole number, since this run counts epochs'),
        ('k400_hiera_b', 'epochs = 0', 'above 0'),
        ('ava_hiera_b', "label_file = 'a'\nval_evaluator = dict(label_file='b')", "label_file = 'b', and at its top"),
        ('in1k_hiera_b', 'classes = (0, 1, 2)', 'are not text'),
    ],
)
def test_other_families_refuse_the_same(written, base, line, sentence):
    with pytest.raises(UserError, match=sentence):
        written(line, base)


@pytest.mark.parametrize(
    'line, read, value',
    [
        ('import numpy as np\nbatch_size = np.int64(3)', batch, 3),
        ('import numpy as np\nlearning_rate = np.float32(0.5)', rate, 0.5),
        (
            'import numpy as np\nimage_size = tuple(np.array([64, 64]))',
            lambda config: config.model.data_preprocessor.pad_size_divisor,
            64,
        ),
        (
            "from pathlib import Path\ndata_root = Path('/x')",
            lambda config: config.train_dataloader.dataset.data_root,
            '/x',
        ),
        ('batch_size = 4', batch, 4),
        ("classes = ['a', 'b']", class_count, 2),
        ("note = 'mine'\nauthor = 'me'", batch, 4),
    ],
)
def test_what_can_be_meant_is_taken(written, line, read, value):
    assert read(written(line)) == value
    assert np.float32(0.5).item() == 0.5


def test_the_sentences_name_what_was_written(written):
    with pytest.raises(UserError, match=re.escape("batch_size = '4' at the top of the config must be a whole number")):
        written("batch_size = '4'")


@pytest.mark.parametrize(
    'base', ['mask2former_hiera_t_shapes', 'mask2former_hiera_t_coco', 'mask2former_hiera_t_coco_panoptic']
)
def test_sides_are_in_the_order_of_each_step(written, base):
    """Scales are width and height, the padding of a batch is height and width."""
    config = written('image_size = (256, 128)', base)
    assert tuple(config.model.data_preprocessor.batch_augments[0].size) == (128, 256)
    steps = config.train_dataloader.dataset.pipeline
    assert {tuple(step[key]) for step in steps for key in ('scale', 'crop_size') if key in step} == {(256, 128)}


def test_action_detection_takes_whole_videos_in_place_of_frames(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        "_base_ = 'hiera_mm::ava_hiera_b.py'\ndata_root = '/data/'\n"
        "train_data_prefix = dict(_delete_=True, video='train')\nval_data_prefix = dict(_delete_=True, video='val')\n"
    )
    config = read_config(str(path))
    assert config.train_dataloader.dataset.data_prefix == dict(video='/data/train')
    assert config.val_dataloader.dataset.data_prefix == dict(video='/data/val')
