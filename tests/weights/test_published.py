"""Published folders on the Hugging Face hub, here a stand-in that speaks as it does."""

import json
import os
import subprocess
import sys

from hiera_mm.inference.publish import publish
from hiera_mm.tasks import load

import pytest

from tests.helpers import ROOT, TINY, free_port, save_random_weights, start, wait_for_port
from tests.hub import TOKEN


@pytest.fixture
def hub(tmp_path):
    """The environment of programs that know it."""
    port = free_port()
    start([sys.executable, '-m', 'tests.hub', port], PYTHONPATH=str(ROOT))
    wait_for_port(port)
    known = dict(HF_ENDPOINT=f'http://127.0.0.1:{port}', HF_HOME=str(tmp_path / 'cache'), HF_HUB_DISABLE_XET='1')
    return known | dict(HF_TOKEN=TOKEN, HF_HUB_DISABLE_TELEMETRY='1')


@pytest.fixture
def model(tmp_path):
    publish(load(save_random_weights(TINY, tmp_path / 'weights.pth')), tmp_path / 'model')
    return tmp_path / 'model'


def run(hub, *arguments):
    command = [sys.executable, '-m', 'hiera_mm', *map(str, arguments)]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), **hub)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_pushed_is_used_by_its_address(hub, model, shapes, tmp_path):
    code, printed = run(hub, 'push', model, 'somebody/shapes', '--private')
    assert code == 0 and 'Use it as hf://somebody/shapes' in printed, printed
    results = []
    for source in ('hf://somebody/shapes@main', model):
        out = tmp_path / f'out{len(results)}'
        code, printed = run(hub, 'predict', source, shapes / 'val', '--out-dir', out, '--no-save-vis')
        assert code == 0, printed
        results.append(json.loads((out / 'predictions.json').read_text()))
    assert results[0] == results[1] and len(results[0]) > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    'change, arguments, said',
    [
        ({}, ['predict', 'hf://nobody/nothing', '.'], "'hf://nobody/nothing' can't be downloaded from the hub (Repo"),
        ({'HF_TOKEN': 'hf_wrong'}, ['push', 'MODEL', 'somebody/x'], "can't be pushed to 'somebody/x' (Hf"),
        ({}, ['push', '.', 'somebody/x'], "The folder '.' was not written by 'hiera-mm publish'; publish a"),
    ],
)
def test_faults_of_the_hub_are_told(hub, model, change, arguments, said):
    arguments = [model if argument == 'MODEL' else argument for argument in arguments]
    code, printed = run(hub | change, *arguments)
    assert code == 1 and said in printed and 'Traceback' not in printed, printed


@pytest.mark.slow
def test_a_repository_of_something_else_is_told(hub, tmp_path):
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'README.md').write_text('a model of another library')
    upload = "import huggingface_hub as h; a = h.HfApi(); a.create_repo('a/other'); a.upload_folder(repo_id='a/other', "
    environment = dict(os.environ, **hub)
    subprocess.run([sys.executable, '-c', f"{upload}folder_path='{tmp_path}/other')"], env=environment, check=True)
    code, printed = run(hub, 'predict', 'hf://a/other', '.')
    assert code == 1 and "Error: 'hf://a/other' was not written by 'hiera-mm publish'" in printed, printed
