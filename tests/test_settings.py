"""Settings at the top of a user's config mean what they say, and the schedule follows them."""

import json
import re

from hiera_mm.config import own_files, read_config_file
from hiera_mm.engine.run_length import set_run_length
from hiera_mm.errors import UserError
from hiera_mm.settings import read_config

import pytest

from tests.coloured import draw, write

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
        set_run_length(config, str(path))
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
    assert {'epochs', 'batch_size', 'classes'} <= files.assigned and files.shipped[0].endswith('mask_rcnn_hiera_t.py')
    assert own_files(files.shipped[0]).assigned == set()


def test_a_dict_for_the_heads_of_a_cascade_is_told_without_advice_that_drops_them(settled):
    heads = 'model = dict(roi_head=dict(bbox_head=dict(num_classes=2)))'
    with pytest.raises(UserError, match=r'list.*set classes = \(...\) at the top.*_delete_=True would drop'):
        settled(heads, base='cascade_mask_rcnn_hiera_b')


@pytest.mark.parametrize(
    'base, option, said',
    [
        ('mask_rcnn_hiera_t', 'optimwrapper.optimizer.lr=1', 'did you mean optim_wrapper.optimizer.lr?'),
        ('mask_rcnn_hiera_t', 'zzzz=1', "nothing reads 'zzzz'; correct its spelling"),
        ('mask_rcnn_hiera_t', 'train_pipeline.0.type=A', "'train_pipeline' is a name that only the config file itself"),
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
