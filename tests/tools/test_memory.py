"""Long runs hold no more memory or open files at their end than after their beginning."""

import gc
import os
from pathlib import Path

from hiera_mm.synthetic.motions import make_motion_shapes
from hiera_mm.synthetic.shapes import make_coco_shapes

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tests.helpers import ROOT, TINY

LENGTH, SETTLED = 300, 50
"""Iterations of a run, and after how many its memory is looked at first."""

LARGEST_GROWTH = 1.02


@HOOKS.register_module()
class MeasureHook(Hook):
    """Notes the resident memory and the open files of this process after some iterations."""

    noted: list[tuple[int, int]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.note(batch_idx)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.note(batch_idx)

    def note(self, batch_idx):
        if batch_idx + 1 in (SETTLED, LENGTH):
            gc.collect()
            pages = int(Path('/proc/self/statm').read_text().split()[1])
            self.noted.append((pages, len(os.listdir('/proc/self/fd'))))


def detection(folder):
    make_coco_shapes(folder, train=20, val=LENGTH, seed=3)
    files = f"ann_file='{folder}/annotations/instances_val.json'"
    return TINY, (
        f"train_dataloader = dict(num_workers=2, persistent_workers=True, dataset=dict(data_root='{folder}'))\n"
        f"val_dataloader = dict(dataset=dict(data_root='{folder}'))\ntest_dataloader = val_dataloader\n"
        f'val_evaluator = dict({files})\ntest_evaluator = val_evaluator\n'
        f'train_cfg = dict(max_iters={LENGTH}, val_interval=1000)\n'
        'default_hooks = dict(checkpoint=dict(interval=100))\n'
    )


def videos(folder):
    make_motion_shapes(folder, train=LENGTH, val=LENGTH)
    lists = ''.join(
        f'{part}_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False, dataset=dict('
        f"ann_file='{folder}/{name}.txt', data_prefix=dict(video='{folder}')))\n"
        for part, name in (('train', 'train'), ('val', 'val'), ('test', 'val'))
    )
    return ROOT / 'configs' / 'k400_hiera_t_shapes.py', f'{lists}train_cfg = dict(max_epochs=1, val_interval=9)\n'


@pytest.mark.slow
@pytest.mark.parametrize('task', [detection, videos])
def test_memory_and_open_files_do_not_grow(run_command, tmp_path, task):
    base, settings = task(tmp_path / 'data')
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = '{base}'\n{settings}custom_hooks = [dict(type='MeasureHook')]\n")
    for tool, arguments in (('train', []), ('test', ['last'])):
        MeasureHook.noted.clear()
        checkpoints = [next((tmp_path / 'run').glob('*.pth')) for _ in arguments]
        code, printed = run_command(tool, config, *checkpoints, '--work-dir', tmp_path / 'run')
        assert code == 0, printed[-3000:]
        (settled, files), (pages, more) = MeasureHook.noted
        assert pages < LARGEST_GROWTH * settled, f'{tool}: {settled * 4096 >> 20} to {pages * 4096 >> 20} MiB'
        assert more <= files, f'{tool}: {files} to {more} open files'
        print(f'{tool}: {settled * 4096 >> 20} to {pages * 4096 >> 20} MiB, {files} to {more} open files')
