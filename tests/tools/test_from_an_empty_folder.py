"""All commands from data to a served model, by the wheel as a user installs it, in a folder that holds nothing."""

import json
import os
import subprocess
import sys
import time

import httpx
import pytest

from tests.helpers import free_port, read_until, start

CONFIG = 'mask_rcnn_hiera_t_shapes'
SHORT = ['train_cfg.max_iters=2', 'train_cfg.dynamic_intervals=None', 'train_dataloader.batch_size=2']


@pytest.mark.slow
def test_from_an_empty_folder_to_a_served_model(installed, tmp_path):
    command = [sys.executable, installed / 'bin' / 'hiera-mm']
    environment = dict(PYTHONPATH=str(installed), OMP_NUM_THREADS='1')

    def run(*words):
        done = subprocess.run(
            [*map(str, command), *map(str, words)],
            **dict(cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = subprocess.run(
        [sys.executable, '-c', 'import hiera_mm; print(hiera_mm.__file__)'],
        **dict(cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True),
    )
    assert where.stdout.startswith(str(installed))
    run('make-data', 'data/shapes', '--train', 4, '--val', 2)
    run('make-data', 'data/motion', '--kind', 'motion', '--train', 1, '--val', 1)
    run('train', CONFIG, '--cfg-options', *SHORT)
    model = f'work_dirs/{CONFIG}'
    film = min((tmp_path / 'data' / 'motion').rglob('*.mp4'))
    run('predict', model, 'data/shapes/val', film, '--frame-interval', 8)
    images = json.loads((tmp_path / 'predictions' / 'images.json').read_text())['images']
    assert {image['file_name'].rsplit('.')[-1] for image in images} == {'png', 'mp4'}
    run('report', model)
    assert (tmp_path / model / 'report.html').stat().st_size > 10_000
    run('publish', model, 'my_model')
    run('export', 'my_model', 'model.onnx')
    assert 'coco/segm_mAP' in run('test', CONFIG, 'model.onnx')
    port = free_port()
    server = start([*command, 'serve', tmp_path / 'my_model', '--port', port], **environment)
    read_until(server, f'The page is at http://127.0.0.1:{port}')
    assert 'MaskRCNN with Hiera' in httpx.get(f'http://127.0.0.1:{port}/config').text


@pytest.mark.slow
@pytest.mark.parametrize(
    'kind, size',
    dict(images=(60, 12), masks=(60, 12), classes=(60, 12), volumes=(6, 2), motion=(30, 12), actions=(30, 8)).items(),
)
def test_a_folder_of_any_task_becomes_a_report_and_predictions(installed, tmp_path, kind, size):
    """In under twelve minutes on two cores."""
    command = [sys.executable, installed / 'bin' / 'hiera-mm']
    settings = dict(cwd=tmp_path, env=os.environ | dict(PYTHONPATH=str(installed)), capture_output=True, text=True)
    settings['env'].pop('OMP_NUM_THREADS', None)
    train, val = map(str, size)
    subprocess.run([*command, 'make-data', 'my_data', '--kind', kind, '--train', train, '--val', val], **settings)
    began = time.monotonic()
    done = subprocess.run([*command, 'start', 'my_data', '--random-weights'], **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 12 * 60
    run = tmp_path / 'work_dirs' / 'my_config'
    assert (run / 'report.html').stat().st_size > 10_000
    assert any((run / 'predictions').iterdir())
