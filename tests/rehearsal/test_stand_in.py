"""Stand-in data of other channels than red, green and blue."""

from hiera_mm.checks.fault import Severity
from hiera_mm.rehearsal.stand_in import can_stand_in, draw
from hiera_mm.settings import read_config
from hiera_mm.tasks import faults_of, task_of

import pytest

FILES = [
    (1, None),
    (2, None),
    (4, None),
    (7, None),
    (4, ('rgb/*.png', 'depth/*.png')),
    (4, ('train2017/*.jpg', 'depth/*.png')),
    (3, ('*_B02.tif', '*_B03.tif', '*_B04.tif')),
    (2, ('B02_*.tif', 'B03_*.tif')),
]


@pytest.mark.parametrize('channels, files', FILES, ids=str)
@pytest.mark.parametrize('base', ['faster_rcnn_hiera_t', 'segformer_hiera_t_ade20k', 'in1k_hiera_t', 'mae_hiera_t'])
def test_drawn_data_have_the_channels_of_the_config(base, channels, files, tmp_path):
    own = tmp_path / 'own.py'
    lines = f'channels = {channels}\nchannel_files = {files}\nmean = {[100.0] * channels}\nstd = {[50.0] * channels}\n'
    # Not a folder for each of a thousand classes.
    lines += dict(mae_hiera_t='', in1k_hiera_t='num_classes = 3\n').get(base, "classes = ('a', 'b', 'c')\n")
    own.write_text(f"_base_ = 'hiera_mm::{base}.py'\nbatch_size = 2\nweights = None\n{lines}")
    config = read_config(str(own))
    task = task_of(config)
    assert can_stand_in(config, task)
    draw(config, task, tmp_path / 'drawn')
    found = [fault for fault in faults_of(config) if 'objects of each class' not in fault.sentence]
    assert all(fault.severity is Severity.NOTE for fault in found), found
    assert sum('mean and std of the config are others' in fault.sentence for fault in found) == 1
