"""Settings at the top of a user's config mean what they say, and the schedule follows them."""

import json
import os
import re
import tempfile
from functools import cache
from pathlib import Path

from hiera_mm.config import own_files, read_config_file
from hiera_mm.engine.run_length import set_run_length
from hiera_mm.errors import UserError
from hiera_mm.settings import read_config
from hiera_mm.tasks import task_of

import pytest
from mmengine.config import Config

from tests.coloured import draw, write
from tests.helpers import ROOT

TOP = """
_base_ = 'hiera_mm::{base}.py'
data_root = '{folder}/'
classes = ('cat', 'dog')
train_ann_file = 'train.json'
train_data_prefix = 'train/'
val_ann_file = 'val.json'
val_data_prefix = 'val/'
{more}
"""

VALUES = dict(
    classes=('a', 'b', 'c'),
    thing_classes=('a', 'b', 'c'),
    stuff_classes=('d', 'e'),
    image_size=160,
    crop_size=(64, 64, 32),
    batch_size=3,
    learning_rate=0.5,
    epochs=7,
    max_iters=1000,
    data_root='mine',
    train_ann_file='t.json',
    train_data_prefix='pictures',
    val_ann_file='v.json',
    val_data_prefix='others',
    test_ann_file='w.json',
    weights='mine.pth',
    teacher_weights='teacher.pth',
    num_workers=3,
    spacing=(1.0, 1.0, 2.5),
    intensity_range=(0, 10),
    timestamp_start=7,
    seg_map_suffix='_m.png',
    channels=5,
    channel_files=('a/*.png', 'b/*.png'),
    mean=[1.0, 2.0, 3.0, 4.0, 5.0],
    std=[5.0, 4.0, 3.0, 2.0, 1.0],
    ignore_index=11,
    fold=1,
)
TRAIN, VAL, TEST = (f'{part}_dataloader.dataset' for part in ('train', 'val', 'test'))
BATCH = {'train_dataloader.batch_size': 3}
RATE = {'optim_wrapper.optimizer.lr': 0.5}
ITERATIONS = {'train_cfg.max_iters': 1000, 'train_cfg.val_interval': 50, 'default_hooks.checkpoint.interval': 50}
EPOCHS = {'train_cfg.max_epochs': 7, 'param_scheduler.1.end': 7, 'param_scheduler.1.T_max': 6}
NOT = 'at the top of this config has no effect'
NAMED = {f'{part}.metainfo.classes': ('a', 'b', 'c') for part in (TRAIN, VAL, TEST)}
ROOTS = {f'{part}.data_root': 'mine' for part in (TRAIN, VAL, TEST)}
SHARED = dict(
    batch_size=BATCH,
    learning_rate=RATE,
    num_workers={'train_dataloader.num_workers': 3},
    weights={'model.backbone.init_cfg.checkpoint': 'mine.pth'},
)
OF_IMAGES = dict(
    channels={f'{TRAIN}.pipeline.0.channels': 5, f'{VAL}.pipeline.0.channels': 5, 'model.backbone.in_channels': 5},
    channel_files={f'{part}.pipeline.0.channel_files': ('a/*.png', 'b/*.png') for part in (TRAIN, VAL)},
    mean={'model.data_preprocessor.mean': [1.0, 2.0, 3.0, 4.0, 5.0]},
    std={'model.data_preprocessor.std': [5.0, 4.0, 3.0, 2.0, 1.0]},
)
NO_IMAGES = dict(channels=NOT, channel_files=NOT, mean=NOT, std=NOT)
AUTOENCODER = dict(weights={'load_from': 'mine.pth', 'model.backbone.init_cfg': None})
COUNTED = dict(**SHARED, crop_size=NOT, max_iters=ITERATIONS, timestamp_start=NOT, spacing=NOT)
COCO = dict(
    **COUNTED,
    **(OF_IMAGES | dict(mean=OF_IMAGES['mean'] | {'model.data_preprocessor.bgr_to_rgb': False})),
    ignore_index=NOT,
    data_root=ROOTS | {'val_evaluator.ann_file': 'mine/v.json'},
    train_ann_file={f'{TRAIN}.ann_file': 't.json'},
    train_data_prefix={f'{TRAIN}.data_prefix.img': 'pictures'},
    val_ann_file={f'{VAL}.ann_file': 'v.json', 'val_evaluator.ann_file': 'mine/v.json'},
    val_data_prefix={f'{VAL}.data_prefix.img': 'others', f'{TEST}.data_prefix.img': 'others'},
    test_ann_file={f'{TEST}.ann_file': 'w.json', 'test_evaluator.ann_file': 'mine/w.json'},
)
SIDES = {
    f'{TRAIN}.pipeline.3.scale': (160, 160),
    f'{TRAIN}.pipeline.4.crop_size': (160, 160),
    f'{VAL}.pipeline.1.scale': (160, 160),
    f'{TEST}.pipeline.1.scale': (160, 160),
}
PADDED = SIDES | {'model.data_preprocessor.pad_size_divisor': 160}
BOXES, MASKS = 'model.roi_head.bbox_head', 'model.roi_head.mask_head.num_classes'
FOLDER = dict(
    train_ann_file={f'{TRAIN}.ann_file': 't.json'},
    train_data_prefix={f'{TRAIN}.data_prefix': dict(img='pictures')},
    val_ann_file={f'{VAL}.ann_file': 'v.json'},
    val_data_prefix={f'{VAL}.data_prefix': dict(img='others')},
    test_ann_file={f'{TEST}.ann_file': 'w.json'},
)
JOINED = dict(
    data_root={f'{TRAIN}.ann_file': 'mine/t.json', f'{VAL}.ann_file': 'mine/v.json'},
    train_ann_file={f'{TRAIN}.ann_file': 'mine/t.json'},
    train_data_prefix={f'{TRAIN}.data_prefix': dict(video='mine/pictures')},
    val_ann_file={f'{VAL}.ann_file': 'mine/v.json'},
    val_data_prefix={f'{VAL}.data_prefix': dict(video='mine/others'), f'{TEST}.data_prefix': dict(video='mine/others')},
    test_ann_file={f'{TEST}.ann_file': 'mine/w.json'},
)
BY_EPOCHS = dict(**SHARED, epochs=EPOCHS, max_iters=NOT, crop_size=NOT)
ONE_OF_ONE = dict(top_k_accuracy=dict(topk=(1,)))
CLASSES = NAMED | {
    'model.cls_head.num_classes': 3,
    'model.cls_head.topk': (1,),
    'val_evaluator.metric_options': ONE_OF_ONE,
    'test_evaluator.metric_options': ONE_OF_ONE,
}
CLIPS = dict(
    **BY_EPOCHS,
    **NO_IMAGES,
    **JOINED,
    classes=CLASSES,
    image_size={
        f'{TRAIN}.pipeline.2.short_side': 228,
        f'{TRAIN}.pipeline.6.scale': (160, 160),
        f'{VAL}.pipeline.4.crop_size': 160,
        f'{TEST}.pipeline.4.crop_size': 160,
    },
)
VOLUMES = {
    f'{TRAIN}.pipeline.5.spatial_size': (64, 64, 32),
    f'{TRAIN}.pipeline.6.spatial_size': (64, 64, 32),
    'model.backbone.num_frames': 32,
    'model.test_cfg.crop_size': (32, 64, 64),
}

TABLE = dict(
    mask_rcnn_hiera_t=dict(**COCO, image_size=PADDED, classes=NAMED | {f'{BOXES}.num_classes': 3, MASKS: 3}),
    faster_rcnn_hiera_t=dict(**COCO, image_size=PADDED, classes=NAMED | {f'{BOXES}.num_classes': 3}),
    cascade_mask_rcnn_hiera_t=dict(
        **COCO,
        image_size=PADDED,
        classes=NAMED | {MASKS: 3} | {f'{BOXES}.{stage}.num_classes': 3 for stage in range(3)},
    ),
    mask2former_hiera_t_coco=dict(
        **COCO,
        image_size=SIDES | {'model.data_preprocessor.batch_augments.0.size': (160, 160)},
        classes=NAMED
        | {
            'model.panoptic_head.num_things_classes': 3,
            'model.panoptic_fusion_head.num_things_classes': 3,
            'model.panoptic_head.loss_cls.class_weight': [1.0, 1.0, 1.0, 0.1],
        },
    ),
    mask2former_hiera_t_coco_panoptic=dict(
        **COUNTED,
        **OF_IMAGES,
        classes=NOT,
        data_root=ROOTS | {'val_evaluator.0.ann_file': 'mine/v.json'},
        train_ann_file=COCO['train_ann_file'],
        train_data_prefix=COCO['train_data_prefix'],
        val_ann_file={f'{VAL}.ann_file': 'v.json', 'val_evaluator.0.ann_file': 'mine/v.json'},
        val_data_prefix=COCO['val_data_prefix'],
        test_ann_file={f'{TEST}.ann_file': 'w.json', 'test_evaluator.0.ann_file': 'mine/w.json'},
        image_size=SIDES | {'model.data_preprocessor.batch_augments.0.size': (160, 160)},
        thing_classes={f'{part}.metainfo.thing_classes': ('a', 'b', 'c') for part in (TRAIN, VAL, TEST)}
        | {
            'model.panoptic_head.num_things_classes': 3,
            'model.panoptic_fusion_head.num_things_classes': 3,
            'model.panoptic_head.loss_cls.class_weight': [1.0] * 5 + [0.1],
        },
        stuff_classes={f'{part}.metainfo.stuff_classes': ('d', 'e') for part in (TRAIN, VAL, TEST)}
        | {'model.panoptic_head.num_stuff_classes': 2, 'model.panoptic_fusion_head.num_stuff_classes': 2},
    ),
    upernet_hiera_b_ade20k=dict(
        **COUNTED,
        **(OF_IMAGES | dict(mean=OF_IMAGES['mean'] | {f'{TRAIN}.pipeline.5.type': 'ChannelDistortion'})),
        ignore_index={f'{part}.ignore_index': 11 for part in (TRAIN, VAL, TEST)},
        seg_map_suffix={f'{part}.seg_map_suffix': '_m.png' for part in (TRAIN, VAL, TEST)},
        data_root=ROOTS,
        train_ann_file={f'{TRAIN}.ann_file': 't.json'},
        val_ann_file={f'{VAL}.ann_file': 'v.json'},
        classes=NAMED
        | {
            f'{TRAIN}.type': 'SegmentationDataset',
            f'{TRAIN}.pipeline.1.reduce_zero_label': None,
            'model.decode_head.num_classes': 3,
            'model.auxiliary_head.num_classes': 3,
        },
        image_size={
            f'{TRAIN}.pipeline.2.scale': (640, 160),
            f'{TRAIN}.pipeline.3.crop_size': (160, 160),
            f'{VAL}.pipeline.1.scale': (640, 160),
            'model.data_preprocessor.size': (160, 160),
            'model.test_cfg.crop_size': (160, 160),
            'model.test_cfg.stride': (106, 106),
        },
    ),
    in1k_hiera_b=dict(
        **BY_EPOCHS,
        **OF_IMAGES,
        **FOLDER,
        data_root=ROOTS,
        classes=CLASSES,
        image_size={f'{TRAIN}.pipeline.1.size': 160, f'{VAL}.pipeline.1.size': 182, f'{TEST}.pipeline.2.size': 160},
    ),
    inat2017_hiera_h_448=dict(
        **BY_EPOCHS,
        **OF_IMAGES,
        data_root=ROOTS,
        image_size={f'{TRAIN}.pipeline.1.size': 160, 'model.backbone.pos_embed_size': 40},
    ),
    k400_hiera_b=CLIPS,
    ssv2_hiera_b=CLIPS,
    k700_hiera_l=dict(**BY_EPOCHS, **JOINED, classes=CLASSES),
    ava_hiera_b=dict(
        **BY_EPOCHS,
        **NO_IMAGES,
        timestamp_start={f'{part}.timestamp_start': 7 for part in (TRAIN, VAL, TEST)},
        classes=NOT,
        data_root={'val_evaluator.label_file': 'mine/annotations/ava_action_list_v2.2_for_activitynet_2019.pbtxt'},
        train_ann_file={f'{TRAIN}.ann_file': 'mine/t.json'},
        val_ann_file={f'{VAL}.ann_file': 'mine/v.json', 'val_evaluator.ann_file': 'mine/v.json'},
        test_ann_file={f'{TEST}.ann_file': 'mine/w.json', 'test_evaluator.ann_file': 'mine/w.json'},
        train_data_prefix={f'{TRAIN}.data_prefix': dict(img='mine/pictures')},
        val_data_prefix={f'{VAL}.data_prefix': dict(img='mine/others')},
        image_size={
            f'{TRAIN}.pipeline.4.scale_range': (182, 228),
            f'{TRAIN}.pipeline.5.size': 160,
            f'{VAL}.pipeline.5.crop_size': 160,
        },
    ),
    unetr_hiera_t_btcv=dict(
        **SHARED,
        epochs=EPOCHS,
        max_iters=NOT,
        image_size=NOT,
        classes=NAMED | {'model.decoder.num_classes': 3},
        crop_size=VOLUMES,
        spacing={f'{TRAIN}.pipeline.2.pixdim': (1.0, 1.0, 2.5), f'{TEST}.pipeline.2.pixdim': (1.0, 1.0, 2.5)},
        intensity_range={f'{TRAIN}.pipeline.3.a_max': 10, f'{VAL}.pipeline.3.a_min': 0},
        channels={
            **{f'{part}.channels': 5 for part in (TRAIN, VAL, TEST)},
            'model.backbone.in_channels': 5,
            'model.decoder.image_channels': 5,
        },
        fold={f'{TRAIN}.fold': 1, f'{VAL}.fold': 1, f'{TEST}.fold': None},
        data_root=ROOTS,
        train_ann_file={f'{TRAIN}.ann_file': 't.json'},
        val_ann_file={f'{VAL}.ann_file': 'v.json'},
        test_ann_file={f'{TEST}.ann_file': 'w.json'},
    ),
    unetr_hiera_b_btcv_128=dict(
        **SHARED, crop_size=VOLUMES, channels={'model.backbone.in_channels': 5, 'model.decoder.image_channels': 5}
    ),
    mae_hiera_t=dict(
        **(BY_EPOCHS | AUTOENCODER),
        **OF_IMAGES,
        classes=NOT,
        data_root={f'{TRAIN}.data_root': 'mine'},
        train_ann_file=FOLDER['train_ann_file'],
        train_data_prefix=FOLDER['train_data_prefix'],
        val_data_prefix={f'{VAL}.data_prefix': dict(img='others'), 'val_evaluator.type': 'FeatureMetric'},
        image_size={f'{TRAIN}.pipeline.1.size': 160, 'model.input_size': (160, 160)},
    ),
    distill_hiera_t_from_l=dict(
        **(BY_EPOCHS | AUTOENCODER),
        **OF_IMAGES,
        classes=NOT,
        data_root={f'{TRAIN}.data_root': 'mine'},
        val_data_prefix={f'{VAL}.data_prefix': dict(img='others'), 'val_evaluator.type': 'FeatureMetric'},
        image_size={f'{TRAIN}.pipeline.1.size': 160},
        teacher_weights={'model.teacher.init_cfg.checkpoint': 'teacher.pth'},
    ),
    mae_hiera_b_k400=dict(
        **(BY_EPOCHS | AUTOENCODER),
        classes=NOT,
        data_root=JOINED['train_ann_file'],
        train_ann_file=JOINED['train_ann_file'],
        train_data_prefix=JOINED['train_data_prefix'],
        val_ann_file=JOINED['val_ann_file'],
        image_size={f'{TRAIN}.pipeline.4.scale': (160, 160), 'model.input_size': (16, 160, 160)},
    ),
    mae_hiera_l_ssv2=dict(
        **(BY_EPOCHS | AUTOENCODER),
        data_root={f'{TRAIN}.data_prefix': dict(video='mine/videos')},
        image_size={'model.input_size': (16, 160, 160)},
    ),
    mae_hiera_t_volumes=dict(
        **(SHARED | AUTOENCODER),
        epochs=EPOCHS,
        classes=NOT,
        image_size=NOT,
        data_root={f'{TRAIN}.data_root': 'mine'},
        train_ann_file={f'{TRAIN}.ann_file': 't.json'},
        crop_size={
            f'{TRAIN}.pipeline.5.spatial_size': (64, 64, 32),
            f'{TRAIN}.pipeline.6.roi_size': (64, 64, 32),
            'model.input_size': (32, 64, 64),
            'model.backbone.num_frames': 32,
        },
        channels={'model.backbone.in_channels': 5, f'{TRAIN}.channels': 5},
        mean=NOT,
    ),
)
"""For each config and setting the places where its value must be, or words of the refusal."""

CELLS = [(base, name, cell) for base, row in TABLE.items() for name, cell in row.items() if isinstance(cell, dict)]
REFUSED = [(base, name, cell) for base, row in TABLE.items() for name, cell in row.items() if isinstance(cell, str)]


@cache
def with_all_settings(base):
    """A user's config that sets whatever the shipped one has."""
    names = {name for name, cell in TABLE[base].items() if isinstance(cell, dict)}
    return given(base, {name: VALUES[name] for name in names})


def given(base, values):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'mine.py')
        lines = [f"_base_ = 'hiera_mm::{base}.py'", *(f'{name} = {value!r}' for name, value in values.items())]
        path.write_text('\n'.join(lines))
        return read_config(str(path))


def at(config, place):
    """What is at a place of a config, None if there is no such place."""
    for key in place.split('.'):
        config = config[int(key)] if isinstance(config, list) else config.get(key)
    return config


def test_the_padding_is_the_longer_side_in_whole_mask_units(settled):
    assert settled('image_size = (200, 330)').model.data_preprocessor.pad_size_divisor == 352
    assert settled('image_size = (320, 200)').model.data_preprocessor.pad_size_divisor == 320


@pytest.mark.parametrize(
    'base, line, sentence',
    [
        ('mask_rcnn_hiera_t', 'batchsize = 2', "'batchsize' at its top, which nothing reads; did you mean batch_size?"),
        ('k400_hiera_b', 'learning_rates = 1', 'did you mean learning_rate?'),
        ('in1k_hiera_b', 'image_size = (224, 192)', 'image_size = (224, 192) at the top of the config must be one'),
        ('unetr_hiera_t_btcv', 'crop_size = (64, 64)', 'crop_size = (64, 64) at the top of the config needs 3 numbers'),
        ('k400_hiera_b', 'epochs = 3\ntrain_cfg = dict(max_epochs=4)', 'max_epochs = 4, and at its top epochs = 3'),
        ('k400_hiera_b', "classes = ('a',)\nmodel = dict(cls_head=dict(num_classes=4))", 'num_classes = 4, and at its'),
        ('cascade_mask_rcnn_hiera_t', "classes = ('a',)\nnum_classes = 2", "classes = ('a',) and num_classes = 2"),
        ('mask_rcnn_hiera_t', 'epochs = 3\ntrain_cfg = dict(max_iters=4)', 'both epochs and max_iters'),
        ('mask_rcnn_hiera_t', "weights = ''", "weights = '' at the top of the config must be a name, file or address"),
        ('k400_hiera_b', 'weights = 7', 'weights = 7 at the top of the config must be a name, file or address'),
        ('k400_hiera_b', "pretrained = 'a.pth'", 'which nothing reads; did you mean weights?'),
        (
            'in1k_hiera_b',
            "weights = 'a.pth'\nmodel = dict(backbone=dict(init_cfg=dict(checkpoint='b.pth')))",
            'init_cfg.checkpoint = b.pth, and at its top weights = a.pth for the same',
        ),
        ('mae_hiera_t', "weights = 'a.pth'\nload_from = 'b.pth'", 'load_from = b.pth, and at its top weights = a.pth'),
        ('in1k_hiera_b', 'num_workers = -1', 'num_workers = -1 at the top of the config must be a whole number from 0'),
        ('in1k_hiera_b', 'workers = 2', 'which nothing reads; did you mean num_workers?'),
        ('unetr_hiera_t_btcv', 'spacing = (1, 1)', 'spacing = (1, 1) at the top of the config must be 3 numbers'),
        ('unetr_hiera_t_btcv', 'spacing = None', 'must be 3 numbers'),
        ('ava_hiera_b', 'timestamp_start = None', 'must be 1 number, such as 900'),
        ('unetr_hiera_t_btcv', 'spacing = (1, 0, 1)', 'must be millimetres above 0'),
        ('unetr_hiera_t_btcv', 'intensity_range = (9, 3)', 'must be the lower intensity and then the higher one'),
        ('unetr_hiera_t_btcv', "intensity_range = 'ct'", 'must be 2 numbers, such as (-175, 250)'),
        ('unetr_hiera_t_btcv', 'intensity_range = (1, 2, 3)', "None, 'zscore', or a list with one of these for each"),
        ('unetr_hiera_t_btcv', "intensity_range = [(0, 9), 'z']", "intensity_range = 'z' at the top of the config"),
        ('unetr_hiera_t_btcv', 'intensity_range = [(0, 9), (9, 3)]', 'must be the lower intensity and then the higher'),
        ('unetr_hiera_t_btcv', 'intensity_range = (0, True)', 'must be 2 numbers'),
        ('unetr_hiera_t_btcv', 'channels = 0', 'channels = 0 at the top of the config must be a whole number from 1'),
        ('unetr_hiera_t_btcv', 'channels = [1, 2]', 'must be a whole number from 1 on'),
        (
            'unetr_hiera_t_btcv',
            'channels = 2\nmodel = dict(backbone=dict(in_channels=4))',
            'model.backbone.in_channels = 4, and at its top channels = 2 for the same',
        ),
        ('unetr_hiera_t_btcv', 'fold = -1', 'fold = -1 at the top of the config must be a whole number from 0 on'),
        ('unetr_hiera_t_btcv', "fold = '0'", 'must be a whole number from 0 on'),
        ('k400_hiera_b', 'fold = 0', "'fold' at the top of this config has no effect"),
        ('ava_hiera_b', 'timestamp_start = -1', 'must be a whole number of seconds'),
        (
            'mask2former_hiera_t_coco_panoptic',
            "thing_classes = ('a',)",
            'sets thing_classes without stuff_classes, which would stay those of COCO; set both',
        ),
        (
            'mask2former_hiera_t_coco_panoptic',
            "thing_classes = ('a', 'b')\nstuff_classes = ('b', 'c')",
            'classes 1 (b) are in both thing_classes and stuff_classes',
        ),
        ('mask2former_hiera_t_coco_panoptic', 'thing_classes = ()\nstuff_classes = ()', 'but both are empty'),
        ('mask2former_hiera_t_coco_panoptic', "thing_classes = ('a', 'a')", 'name 1 (a) more than once'),
        ('mask2former_hiera_t_coco', "stuff_classes = ('a',)", 'only panoptic segmentation tells things and stuff'),
        ('segformer_hiera_t_ade20k', 'seg_map_suffix = None', "must be the end of the masks' names"),
    ],
)
def test_a_setting_that_can_not_be_meant_is_refused(tmp_path, base, line, sentence):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = 'hiera_mm::{base}.py'\n{line}\n")
    with pytest.raises(UserError, match=re.escape(sentence)):
        read_config(str(path))


@pytest.mark.parametrize(
    'base, name, text, value',
    [
        ('unetr_hiera_t_btcv', 'intensity_range', 'np.float32(0), np.float32(9)', (0, 9)),
        ('ava_hiera_b', 'timestamp_start', 'np.int64(5)', 5),
    ],
)
def test_numbers_of_numpy_are_numbers(tmp_path, base, name, text, value):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = 'hiera_mm::{base}.py'\nimport numpy as np\n{name} = {text}\n")
    assert read_config(str(path))[name] == value


def test_names_that_a_config_computes_with_itself_are_its_own(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("""_base_ = 'hiera_mm::mask_rcnn_hiera_t.py'
crop_size = (512, 512)
batch_size = 3
train_pipeline = _base_.train_pipeline
train_pipeline[4].update(crop_size=crop_size)
train_dataloader = dict(batch_size=2 * batch_size, dataset=dict(pipeline=train_pipeline))
""")
    config = read_config(str(path))
    assert config.train_dataloader.dataset.pipeline[4].crop_size == (512, 512)
    assert config.train_dataloader.batch_size == 6


def test_a_config_of_another_package_has_no_settings_of_this_suite(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmdet::atss/atss_r50_fpn_1x_coco.py'\nclasses = ('cat', 'dog')\n")
    with pytest.raises(UserError, match="'classes' at the top of this config has no effect"):
        read_config(str(path))
    path.write_text(path.read_text() + 'metainfo = dict(classes=classes)\n')
    assert read_config(str(path)).metainfo.classes == ('cat', 'dog')


def test_mmengine_itself_reads_a_file_with_its_settings(settled, tmp_path):
    settled('batch_size = 3')
    assert Config.fromfile(tmp_path / 'mine.py').train_dataloader.batch_size == 3


@pytest.mark.parametrize(
    'options, batch, length',
    [
        (['batch_size=5'], 5, 100),
        (['train_dataloader.batch_size=6'], 6, 100),
        (['max_iters=50'], 3, 50),
        (['train_cfg.max_iters=40'], 3, 40),
    ],
)
def test_the_command_line_has_the_last_word(tmp_path, options, batch, length):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'hiera_mm::mask_rcnn_hiera_t.py'\nbatch_size = 3\nmax_iters = 100\n")
    config = read_config(str(path), options)
    assert config.train_dataloader.batch_size == batch
    assert config.train_cfg.max_iters == config.param_scheduler[1].end == length


def test_a_run_of_one_iteration_or_epoch_is_warm_up_alone(tmp_path):
    for base, line in (('upernet_hiera_b_ade20k', 'max_iters = 1'), ('k400_hiera_b', 'epochs = 1')):
        path = tmp_path / 'mine.py'
        path.write_text(f"_base_ = 'hiera_mm::{base}.py'\n{line}\n")
        assert [scheduler.end for scheduler in read_config(str(path)).param_scheduler] == [1]


@pytest.mark.parametrize(
    'base, epochs, warm_up, interval',
    [
        ('k400_hiera_b', 150, 10, 2),
        ('in1k_hiera_b', 20, 1, 1),
        ('in1k_hiera_h', 20, 2, 1),
        ('mae_hiera_b', 400, 20, 5),
        ('mae_hiera_b_k400', 1600, 30, 40),
        ('ava_hiera_b', 6, 1, 1),
        ('unetr_hiera_t_btcv', 500, 25, 10),
    ],
)
def test_a_run_by_epochs_keeps_the_places_of_all(tmp_path, base, epochs, warm_up, interval):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = 'hiera_mm::{base}.py'\nepochs = {epochs}\n")
    config = read_config(str(path))
    first, second = config.param_scheduler
    assert (first.end, second.begin, second.end, second.T_max) == (warm_up, warm_up, epochs, epochs - warm_up)
    assert config.default_hooks.checkpoint.interval == interval


@pytest.mark.parametrize('base, name, places', CELLS, ids=[f'{base}-{name}' for base, name, _ in CELLS])
def test_a_setting_reaches_every_place(base, name, places):
    config = with_all_settings(base)
    assert {place: at(config, place) for place in places} == places


@pytest.mark.parametrize('base, name, words', REFUSED, ids=[f'{base}-{name}' for base, name, _ in REFUSED])
def test_a_setting_that_a_task_does_not_have_is_refused(base, name, words):
    with pytest.raises(UserError, match=f"'{name}' {words}"):
        given(base, {name: VALUES[name]})


@pytest.fixture(scope='module')
def coloured(tmp_path_factory):
    folder = tmp_path_factory.mktemp('coloured') / 'set'
    write(folder, draw(folder, pictures=12))
    return folder


@pytest.fixture
def settled(coloured, tmp_path):
    """The config of a user's file, as training gets it."""

    def make(more='', base='mask_rcnn_hiera_t'):
        path = tmp_path / 'mine.py'
        path.write_text(TOP.format(base=base, folder=coloured, more=more))
        config = read_config(str(path))
        set_run_length(config, task_of(config), str(path))
        return config

    return make


@pytest.mark.parametrize(
    'base, heads', [('mask_rcnn_hiera_t', 2), ('cascade_mask_rcnn_hiera_t', 4), ('faster_rcnn_hiera_t', 1)]
)
def test_classes_reach_every_data_set_and_head(settled, base, heads):
    config = settled(base=base)
    roi_head = config.model.roi_head
    boxes = roi_head.bbox_head if isinstance(roi_head.bbox_head, list) else [roi_head.bbox_head]
    found = [*boxes, *([roi_head.mask_head] if roi_head.get('mask_head') else [])]
    assert [head.num_classes for head in found] == [2] * heads
    for part in ('train', 'val', 'test'):
        assert config[f'{part}_dataloader'].dataset.metainfo.classes == ('cat', 'dog')


def test_classes_may_be_a_file_of_names(settled, tmp_path):
    (tmp_path / 'names.txt').write_text('dog\ncat\ncow\n')
    config = settled(f"classes = '{tmp_path}/names.txt'")
    assert config.train_dataloader.dataset.metainfo.classes == ('dog', 'cat', 'cow')
    assert config.model.roi_head.bbox_head.num_classes == 3
    with pytest.raises(UserError, match=r"write classes = \('cat',\)"):
        settled("classes = 'cat'")


def test_files_reach_data_sets_and_evaluators(settled, coloured):
    config = settled()
    assert config.train_dataloader.dataset.ann_file == 'train.json'
    for part in ('val', 'test'):
        dataset = config[f'{part}_dataloader'].dataset
        assert (dataset.data_root, dataset.ann_file, dataset.data_prefix) == (
            f'{coloured}/',
            'val.json',
            dict(img='val/'),
        )
        assert config[f'{part}_evaluator'].ann_file == f'{coloured}/val.json'
    config = settled("test_ann_file = 'train.json'\ntest_data_prefix = 'train/'")
    assert config.test_evaluator.ann_file == f'{coloured}/train.json'
    assert config.val_evaluator.ann_file == f'{coloured}/val.json'


@pytest.mark.parametrize('given', ['256', '(256, 256)'])
def test_image_size_reaches_every_step_and_the_padding(settled, given):
    config = settled(f'image_size = {given}')
    train, val = (config[f'{part}_dataloader'].dataset.pipeline for part in ('train', 'val'))
    assert (train[3].scale, train[4].crop_size, val[1].scale) == ((256, 256),) * 3
    assert config.model.data_preprocessor.pad_size_divisor == 256


def test_an_image_size_without_effect_is_told(settled):
    steps = "[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(99, 99)), dict(type='PackDetInputs')]"
    loaders = f'train_dataloader = dict(dataset=dict(pipeline={steps}))\nval_dataloader = train_dataloader\n'
    with pytest.raises(UserError, match='image_size = .* has no effect'):
        settled(f'image_size = (256, 256)\n{loaders}test_dataloader = train_dataloader')


def test_epochs_give_the_iterations_and_all_that_depends_on_them(settled):
    config = settled('epochs = 100\nbatch_size = 3')
    assert config.train_cfg.max_iters == 400 and config.train_dataloader.batch_size == 3
    warm_up, steps = config.param_scheduler
    assert (warm_up.begin, warm_up.end) == (0, 20)
    assert steps.end == 400 and steps.milestones == [round(400 * m / 184375) for m in (163889, 177546)]
    assert config.train_cfg.val_interval == config.default_hooks.checkpoint.interval == 20
    assert config.train_cfg.dynamic_intervals is None


@pytest.mark.parametrize('more', ['max_iters = 1000', 'train_cfg = dict(max_iters=1000)'])
def test_a_shorter_run_drops_its_rate_in_time(settled, more):
    config = settled(more)
    assert config.train_cfg.max_iters == 1000
    assert config.param_scheduler[1].milestones == [889, 963] and config.param_scheduler[0].end == 50


def test_what_the_user_wrote_in_full_stays(settled):
    config = settled(
        'epochs = 100\nparam_scheduler = []\ntrain_cfg = dict(val_interval=7)\n'
        'default_hooks = dict(checkpoint=dict(interval=9))'
    )
    assert config.param_scheduler == [] and config.train_cfg.val_interval == 7
    assert config.default_hooks.checkpoint.interval == 9 and config.train_cfg.max_iters == 300


@pytest.mark.parametrize('length', ['epochs = 100', 'max_iters = 1000'])
def test_checkpoints_are_saved_as_often_as_the_user_validates(settled, length):
    config = settled(f'{length}\ntrain_cfg = dict(val_interval=7)\n')
    assert config.train_cfg.val_interval == config.default_hooks.checkpoint.interval == 7


def test_the_command_line_settles_what_contradicts_itself_in_the_file(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        "_base_ = 'hiera_mm::mask_rcnn_hiera_t.py'\nbatch_size = 2\ntrain_dataloader = dict(batch_size=5)\n"
    )
    with pytest.raises(UserError, match='train_dataloader.batch_size = 5, and at its top batch_size = 2 for the same'):
        read_config(str(path))
    assert read_config(str(path), ['train_dataloader.batch_size=3']).train_dataloader.batch_size == 3


def test_a_config_without_settings_keeps_the_recipe(settled):
    config = settled()
    inherited = read_config_file('mask_rcnn_hiera_t')
    for key in ('param_scheduler', 'train_cfg', 'default_hooks', 'optim_wrapper'):
        assert config[key] == inherited[key]


@pytest.mark.parametrize(
    'more, sentence',
    [
        ('epochs = 3\nmax_iters = 9', 'both epochs and max_iters'),
        ('max_iters = 9\ntrain_cfg = dict(max_iters=8)', 'train_cfg.max_iters = 8, and at its top max_iters = 9'),
        (
            'batch_size = 2\ntrain_dataloader = dict(batch_size=5)',
            'train_dataloader.batch_size = 5, and at its top batch_size = 2',
        ),
        (
            'learning_rate = 1\noptim_wrapper = dict(optimizer=dict(lr=2))',
            'optimizer.lr = 2, and at its top learning_rate = 1',
        ),
    ],
)
def test_settings_that_contradict_each_other_are_told(settled, more, sentence):
    with pytest.raises(UserError, match=sentence):
        settled(more)


def test_an_epoch_counts_the_pictures_that_are_trained(settled, coloured):
    content = json.loads((coloured / 'train.json').read_text())
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] > 6]
    (coloured / 'half.json').write_text(json.dumps(content))
    config = settled("epochs = 2\nbatch_size = 3\ntrain_ann_file = 'half.json'")
    assert config.train_cfg.max_iters == 4


def test_names_of_the_users_own_bases_count(tmp_path, coloured):
    (tmp_path / 'base.py').write_text(TOP.format(base='mask_rcnn_hiera_t', folder=coloured, more='epochs = 5'))
    (tmp_path / 'child.py').write_text("_base_ = './base.py'\nbatch_size = 2\n")
    files = own_files(str(tmp_path / 'child.py'))
    assert {'epochs', 'batch_size', 'classes'} <= files.assigned and files.shipped == {'hiera_mm::mask_rcnn_hiera_t.py'}
    assert own_files('mask_rcnn_hiera_t').assigned == set()


@pytest.mark.parametrize(
    'later', ['batch_size = 8', 'batch_size = 4 * _base_.batch_size', 'batch_size = 2 * _base_.twice']
)
def test_what_a_users_base_computes_follows_the_settings_of_what_inherits_from_it(tmp_path, coloured, later):
    lines = 'batch_size = 2\ntwice = 2 * batch_size'
    (tmp_path / 'base.py').write_text(TOP.format(base='mask_rcnn_hiera_t', folder=coloured, more=lines))
    (tmp_path / 'child.py').write_text(f"_base_ = './base.py'\n{later}\n")
    config = read_config(str(tmp_path / 'child.py'))
    assert config.batch_size == config.train_dataloader.batch_size == 8 and config.twice == 16
    config = read_config(str(tmp_path / 'child.py'), ['batch_size=3'])
    assert config.batch_size == config.train_dataloader.batch_size == 3 and config.twice == 6
    assert read_config(str(tmp_path / 'base.py')).twice == 4


BLOCK = 'if batch_size > 4:\n    num_workers = 3\nelse:\n    num_workers = 1'
COMPUTED = {
    'rate': ('batch_size = 4', 'learning_rate = 1e-4 * batch_size', 'batch_size = 8'),
    'branches': ('batch_size = 2', 'num_workers = 3 if batch_size > 4 else 1', 'batch_size = 16'),
    'block': ('batch_size = 2', BLOCK, 'batch_size = 16'),
    'together': ('batch_size, epochs = 4, 10', 'half = batch_size // 2', 'batch_size = 8'),
    'in a block': ('if True:\n    batch_size = 4', 'half = batch_size // 2', 'batch_size = 8'),
    'tried': ('try:\n    batch_size = 4\nfinally:\n    pass', 'half = batch_size // 2', 'batch_size = 8'),
    'two names': ('batch_size = kept = 4', 'val_dataloader = dict(batch_size=kept)', 'batch_size = 8'),
    'added to': ('batch_size = 4\nbatch_size *= 2', 'half = batch_size // 2', 'batch_size = 8'),
    'weights': ("weights = 'm.pth'", 'learning_rate = 1e-3 if weights is None else 1e-4', 'weights = None'),
    'classes': ("classes = ('a', 'b')", 'found = len(classes)', "classes = ('cat', 'dog', 'cow')"),
}


@pytest.mark.parametrize('name', COMPUTED)
@pytest.mark.parametrize('by', ['child', 'grandchild', 'option'])
def test_a_chain_of_files_gives_what_its_lines_in_one_file_do(tmp_path, name, by):
    first, then, later = COMPUTED[name]
    recipe, more = "_base_ = 'hiera_mm::faster_rcnn_hiera_t.py'\n", '' if by == 'option' else 'num_workers = 5\n'
    if 'num_workers' in then:
        more = ''
    (tmp_path / 'one.py').write_text(f'{recipe}{first}\n{later}\n{then}\n{more}')
    (tmp_path / '0.py').write_text(f'{recipe}{first}\n{then}\n')
    (tmp_path / '1.py').write_text("_base_ = '0.py'\n" + more + (later if by == 'child' else ''))
    (tmp_path / '2.py').write_text(f"_base_ = '1.py'\n{later}\n")
    option = [later.replace(' = ', '=').replace(', ', ',').replace("'", '')] if by == 'option' else []
    found = read_config(str(tmp_path / dict(child='1.py', grandchild='2.py', option='0.py')[by]), option)
    assert found.to_dict() == read_config(str(tmp_path / 'one.py')).to_dict()


@pytest.mark.parametrize('depth', [1, 2])
def test_a_base_counts_the_names_of_a_file_that_a_later_config_names(tmp_path, depth):
    (tmp_path / 'names.txt').write_text('x\ny\nz\n')
    (tmp_path / '0.py').write_text(
        "_base_ = 'hiera_mm::faster_rcnn_hiera_t.py'\nclasses = ('a', 'b')\ncounted = len(classes)\n"
        'model = dict(roi_head=dict(bbox_head=dict(num_classes=counted)))\n'
    )
    (tmp_path / '1.py').write_text("_base_ = '0.py'\n" + (f"classes = '{tmp_path}/names.txt'" if depth == 1 else ''))
    (tmp_path / '2.py').write_text(f"_base_ = '1.py'\nclasses = '{tmp_path}/names.txt'")
    config = read_config(str(tmp_path / f'{depth}.py'))
    assert config.counted == config.model.roi_head.bbox_head.num_classes == 3
    found = read_config(str(tmp_path / '0.py'), [f'classes={tmp_path}/names.txt'])
    assert found.model.roi_head.bbox_head.num_classes == 3


def test_a_config_of_others_is_read_as_mmengine_does(tmp_path):
    (tmp_path / '0.py').write_text('batch_size = 2\ntwice = 2 * batch_size\n')
    (tmp_path / '1.py').write_text("_base_ = '0.py'\nbatch_size = 8\n")
    assert read_config(str(tmp_path / '1.py')).twice == 4


TWICE = {
    'tuple': ("classes = ('a', 'b')\nclasses += ('c',)\nheads = len(classes)", dict(classes=('a', 'b', 'c'), heads=3)),
    'list': ("classes = ['a', 'b']\nclasses.append('c')", dict(classes=['a', 'b', 'c'])),
    'number': ('batch_size = 4\nbatch_size *= 2\nhalf = batch_size // 2', dict(batch_size=8, half=4)),
    'before': ('batch_size = 8\nearlier = batch_size\nbatch_size = 2', dict(batch_size=2, earlier=8)),
    'folder': ("data_root = 'd/'\nother = data_root + 'a'\ndata_root += 'sub/'", dict(other='d/a', data_root='d/sub/')),
}


@pytest.mark.parametrize('name', TWICE)
@pytest.mark.parametrize('inherited', [False, True])
def test_a_setting_that_one_file_states_twice_is_read_as_python_does(tmp_path, name, inherited):
    lines, expected = TWICE[name]
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = 'hiera_mm::faster_rcnn_hiera_t.py'\n{lines}\n")
    if inherited:
        (tmp_path / 'child.py').write_text("_base_ = 'mine.py'\nepochs = 3\n")
        path = tmp_path / 'child.py'
    config = read_config(str(path))
    assert {key: config[key] for key in expected} == expected
    if 'classes' in expected:
        assert config.model.roi_head.bbox_head.num_classes == 3
        assert list(config.train_dataloader.dataset.metainfo.classes) == ['a', 'b', 'c']


def test_a_dict_for_the_heads_of_a_cascade_is_told_without_advice_that_drops_them(settled):
    heads = 'model = dict(roi_head=dict(bbox_head=dict(num_classes=2)))'
    with pytest.raises(UserError, match=r'list.*set classes = \(...\) at the top.*_delete_=True would drop'):
        settled(heads, base='cascade_mask_rcnn_hiera_b')


@pytest.mark.parametrize(
    'base, option, said',
    [
        ('mask_rcnn_hiera_t', 'optimwrapper.optimizer.lr=1', 'did you mean optim_wrapper.optimizer.lr?'),
        ('mask_rcnn_hiera_t', 'zzzz=1', "nothing reads 'zzzz'; correct its spelling"),
        ('mask_rcnn_hiera_t', 'train_pipeline.0.type=A', "only the config file itself uses 'train_pipeline'"),
    ],
)
def test_an_option_that_nothing_reads_is_refused(base, option, said):
    with pytest.raises(UserError, match=re.escape(said)):
        read_config(base, [option])


@pytest.mark.parametrize(
    'base, option',
    [
        ('mask_rcnn_hiera_t', 'batch_size=2'),
        ('mask_rcnn_hiera_t', 'find_unused_parameters=True'),
        ('mask_rcnn_hiera_t', 'model.backbone.drop_path_rate=0.3'),
        ('k400_hiera_b', 'batch_size=2'),
        ('mae_hiera_b', 'load_from=weights.pth'),
    ],
)
def test_an_option_that_something_reads_is_taken(base, option):
    read_config(base, [option])


def test_settings_that_are_assigned_together_or_with_a_type_count(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("""_base_ = 'hiera_mm::mask_rcnn_hiera_t.py'
batch_size, learning_rate = 3, 2e-5
data_root: str = 'elsewhere/'
""")
    config = read_config(str(path))
    assert config.train_dataloader.batch_size == 3 and config.optim_wrapper.optimizer.lr == 2e-5
    assert config.train_dataloader.dataset.data_root == 'elsewhere/'


def test_a_config_named_from_its_own_folder_inherits_by_a_relative_path(tmp_path, monkeypatch):
    """As a user in a clone has it: cd my_project && hiera-mm train my_config.py, with _base_ = '../configs/...'."""
    base = os.path.relpath(ROOT / 'configs' / 'faster_rcnn_hiera_t.py', tmp_path)
    (tmp_path / 'my_config.py').write_text(f"_base_ = '{base}'\nbatch_size = 3\n")
    monkeypatch.chdir(tmp_path)
    assert read_config('my_config.py').train_dataloader.batch_size == 3
