"""``hiera-mm run``: the tools of mmdet and mmaction2, unchanged, on shipped configs."""

import json
import subprocess
import sys

import pytest

from tests.helpers import ROOT, run_program, start_program

DETECTOR = 'hiera_mm::mask_rcnn_hiera_t_shapes.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory, shapes):
    """A folder with the data where the shipped config looks for them."""
    folder = tmp_path_factory.mktemp('tools')
    (folder / 'data').mkdir()
    (folder / 'data' / 'shapes').symlink_to(shapes)
    return folder


@pytest.fixture(scope='module')
def predictions(folder):
    """A run of two iterations in ``run``, and its predictions."""
    steps = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2']
    run_program('train', 'mask_rcnn_hiera_t_shapes', '--work-dir', 'run', '--cfg-options', *steps, folder=folder)
    run_program('test', 'mask_rcnn_hiera_t_shapes', 'run/iter_2.pth', '--out', 'found.pkl', folder=folder)
    return folder / 'found.pkl'


def test_browse_dataset_draws_the_training_pictures(folder):
    tool = 'mmdet::analysis_tools/browse_dataset.py'
    run_program('run', tool, DETECTOR, '--output-dir', 'pictures', '--not-show', folder=folder)
    assert len(list((folder / 'pictures').rglob('*.png'))) == 8


def test_settings_of_ones_own_have_their_effect_in_other_tools(folder, tmp_path):
    own = tmp_path / 'own.py'
    own.write_text(
        f"_base_ = '{ROOT}/configs/mask_rcnn_hiera_t_shapes.py'\nclasses = ('box', 'ball')\nbatch_size = 3\n"
    )
    printed = run_program('run', 'mmdet::misc/print_config.py', own, folder=folder)
    assert "'box'" in printed and 'num_classes=2' in printed and 'batch_size=3' in printed
    assert 'num_classes=4' not in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    'tool, config, options, parameters',
    [
        ('mmdet::analysis_tools/get_flops.py', DETECTOR, [], 'Params: 28.578M'),
        (
            'mmaction::analysis_tools/get_flops.py',
            'hiera_mm::k400_hiera_b.py',
            ['--shape', '1', '3', '16', '224', '224'],
            'Params: 51.093M',
        ),
    ],
)
def test_get_flops_counts_models(folder, tool, config, options, parameters):
    printed = run_program('run', tool, config, *options, folder=folder)
    assert parameters in printed and 'Flops: ' in printed


@pytest.mark.slow
def test_print_config_prints_the_whole_config(folder):
    (folder / 'mine.py').write_text(f"_base_ = '{DETECTOR}'\ntrain_cfg = dict(max_iters=4)\n")
    printed = run_program('run', 'mmdet::misc/print_config.py', 'mine.py', folder=folder)
    assert "type='Hiera'" in printed and 'max_iters=4' in printed


@pytest.mark.slow
def test_analyze_logs_draws_the_curve(folder, predictions):
    log = next((folder / 'run').glob('*/vis_data/scalars.json'))
    tool = 'mmdet::analysis_tools/analyze_logs.py'
    run_program('run', tool, 'plot_curve', log, '--keys', 'coco/bbox_mAP', '--out', 'curve.png', folder=folder)
    assert (folder / 'curve.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.slow
def test_eval_metric_finds_what_testing_found(folder, predictions):
    tool = 'mmdet::analysis_tools/eval_metric.py'
    printed = run_program('run', tool, DETECTOR, predictions, folder=folder)
    found = max((folder / 'work_dirs').rglob('2*/2*.json'))
    assert f"'coco/bbox_mAP': {json.loads(found.read_text())['coco/bbox_mAP']}" in printed


@pytest.mark.slow
def test_confusion_matrix_is_drawn(folder, predictions):
    run_program('run', 'mmdet::analysis_tools/confusion_matrix.py', DETECTOR, predictions, 'matrix', folder=folder)
    assert (folder / 'matrix' / 'confusion_matrix.png').is_file()


def test_a_tool_that_does_not_exist_is_explained(folder):
    program = start_program('run', 'mmdet::analysis_tools/absent.py', folder=folder)
    printed, _ = program.communicate()
    assert program.returncode == 1
    assert printed.startswith("Error: The tool 'mmdet::analysis_tools/absent.py' does not exist")


@pytest.mark.slow
def test_without_it_mmdets_tools_fail(folder):
    """If this passes one day, ``hiera-mm run`` has nothing left to do for mmdet."""
    import mmdet

    tool = next(iter(mmdet.__path__)) + '/.mim/tools/analysis_tools/get_flops.py'
    done = subprocess.run([sys.executable, tool, ROOT / 'configs' / 'mask_rcnn_hiera_b.py'], capture_output=True)
    assert done.returncode != 0
