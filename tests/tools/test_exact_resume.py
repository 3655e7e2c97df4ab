"""A run that is told to end in the middle of an epoch and resumed equals the uninterrupted one to the bit."""

import os
import signal

from hiera_mm.synthetic.actions import make_acting_shapes
from hiera_mm.synthetic.classes import make_class_shapes
from hiera_mm.synthetic.motions import make_motion_shapes
from hiera_mm.synthetic.shapes import make_coco_shapes
from hiera_mm.synthetic.volumes import make_volume_shapes

import pytest
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tests.helpers import ROOT, assert_same_weights, start_two

TINY = ROOT / 'tests' / 'data'
DROP_PATH = 'model = dict(backbone=dict(drop_path_rate=0.3))\n'


@HOOKS.register_module()
class TellToEndHook(Hook):
    """Sends the signal once, after ``at`` iterations."""

    def __init__(self, at):
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        # The last one, where there are several.
        if runner.iter == self.at and get_rank() == get_world_size() - 1:
            os.kill(os.getpid(), signal.SIGUSR1)


def detection(folder):
    make_coco_shapes(folder, train=8, val=4, seed=3)
    files = f"ann_file='{folder}/annotations/instances_val.json'"
    return 'tiny_mask_rcnn.py', (
        f"train_dataloader = dict(dataset=dict(data_root='{folder}'))\n"
        f"val_dataloader = dict(dataset=dict(data_root='{folder}'))\ntest_dataloader = val_dataloader\n"
        f'val_evaluator = dict({files})\ntest_evaluator = val_evaluator\n'
        f'train_cfg = dict(max_iters=6, val_interval=2)\n{DROP_PATH}'
    )


def images(folder):
    """Of classes, blended by mixup and cutmix."""
    make_class_shapes(folder, train=12, val=3)
    roots = ''.join(
        f"{part}_dataloader = dict(batch_size=4, dataset=dict(data_root='{folder}'))\n" for part in ('train', 'val')
    )
    return 'tiny_in1k.py', f'{roots}test_dataloader = val_dataloader\ntrain_cfg = dict(max_epochs=2)\n{DROP_PATH}'


def masked_images(folder):
    make_coco_shapes(folder, train=12, val=2, seed=3)
    return 'tiny_mae.py', f"train_dataloader = dict(dataset=dict(data_root='{folder}'))\n{DROP_PATH}"


def videos(folder):
    """Each clip twice, and blended by mixup and cutmix."""
    make_motion_shapes(folder, train=12, val=6)
    lists = ''.join(
        f"{part}_dataloader = dict(dataset=dict(ann_file='{folder}/{name}.txt', data_prefix=dict(video='{folder}')))\n"
        for part, name in (('train', 'train'), ('val', 'val'), ('test', 'val'))
    )
    size = 'train_dataloader.update(batch_size=4)\n'
    return 'tiny_k400.py', f'{lists}{size}train_cfg = dict(max_epochs=2, val_interval=9)\n{DROP_PATH}'


def actions(folder):
    make_acting_shapes(folder, train=3, val=1)
    parts = ''.join(
        f"{part} = dict(label_file='{folder}/actions.pbtxt', ann_file='{folder}/{part}.csv', "
        f"proposal_file='{folder}/{part}_proposals.pkl', data_prefix=dict(video='{folder}/{part}'))\n"
        for part in ('train', 'val')
    )
    metric = f"dict(type='AVAMetric', ann_file='{folder}/val.csv', exclude_file=None, num_classes=8, "
    return '../../configs/ava_hiera_t_shapes.py', (
        f'{parts}train_dataloader = dict(batch_size=4, dataset=train)\nval_dataloader = dict(dataset=val)\n'
        f"test_dataloader = val_dataloader\nval_evaluator = [{metric}label_file='{folder}/actions.pbtxt')]\n"
        'test_evaluator = val_evaluator\ntrain_cfg = dict(max_epochs=2, val_begin=9)\n'
        'model = dict(backbone=dict(arch=dict(embed_dim=16), drop_path_rate=0.3), '
        'roi_head=dict(bbox_head=dict(in_channels=128, dropout_ratio=0.5)))\n'
    )


def volumes(folder):
    make_volume_shapes(folder, train=6, val=1)
    roots = ''.join(f"{part}_dataloader = dict(dataset=dict(data_root='{folder}'))\n" for part in ('train', 'val'))
    return 'tiny_unetr.py', f'{roots}test_dataloader = val_dataloader\n{DROP_PATH}'


QUICK = (masked_images, 2, 2)
CASES = [
    *(
        (task, workers, 1)
        for task in (detection, images, masked_images, videos, actions, volumes)
        for workers in (0, 2)
    ),
    # After the last iteration of an epoch.
    *((masked_images, 2, 2), (videos, 0, 2)),
]


@pytest.mark.parametrize(
    'task, workers, at', [pytest.param(*case, marks=() if case == QUICK else pytest.mark.slow) for case in CASES]
)
def test_a_run_is_interrupted_and_goes_on_to_the_bit(run_command, tmp_path, task, workers, at):
    write_configs(tmp_path, task, workers, at)
    for name, arguments, expected in RUNS:
        folder = tmp_path / ('resumed' if expected or arguments else 'straight')
        code, printed = run_command('train', tmp_path / f'{name}.py', '--work-dir', folder, *arguments)
        assert code == expected, printed
    assert 'SIGUSR1' not in printed and 'starts from the beginning' not in printed
    assert_same_end(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('task', [images, masked_images, videos, actions, volumes])
def test_two_processes_are_interrupted_and_go_on_to_the_bit(tmp_path, task):
    """One of them is told to end, and both do."""
    write_configs(tmp_path, task, 0, 0)
    for name, arguments, expected in RUNS:
        folder = tmp_path / ('resumed' if expected or arguments else 'straight')
        process = start_two('train', [tmp_path / f'{name}.py', '2', '--work-dir', folder, *arguments])
        printed, _ = process.communicate(timeout=200)
        assert (process.returncode == 0) == (expected == 0), printed
        assert ('SIGUSR1 ended the run at iteration 1;' in printed) == bool(expected)
    assert_same_end(tmp_path)


RUNS = (('straight', [], 0), ('told', [], 128 + signal.SIGUSR1), ('straight', ['--resume'], 0))


def write_configs(folder, task, workers, at):
    base, settings = task(folder / 'data')
    settings = (
        f"_base_ = '{TINY / base}'\n{settings}train_dataloader.update(num_workers={workers}, "
        f'persistent_workers={workers > 0})\ndefault_hooks = dict(logger=dict(interval=1))\n'
        # Drawn anew for each run otherwise, and then the checkpoint's.
        'randomness = dict(seed=3)\n'
    )
    (folder / 'straight.py').write_text(settings)
    (folder / 'told.py').write_text(
        f"{settings}custom_hooks = [dict(type='TellToEndHook', at={at})]\n"
        f"custom_imports = dict(imports=['hiera_mm', '{__name__}'], allow_failed_imports=False)\n"
    )


def assert_same_end(folder):
    (last,) = (path.name for path in (folder / 'straight').glob('*.pth') if path.stem in ('epoch_2', 'iter_6'))
    tolerance = 1e-3 if torch.cuda.is_available() else 0.0
    assert_same_weights(folder / 'straight' / last, folder / 'resumed' / last, tolerance)
