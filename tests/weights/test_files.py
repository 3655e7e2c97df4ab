"""Checkpoint files: hostile, broken, missing and downloaded ones, and writing them whole."""

import http.server
import os
import re
import resource
import subprocess
import sys
import threading
import tracemalloc
import zipfile

from hiera_mm.errors import UserError
from hiera_mm.weights.files import _file_name, locate_checkpoint, read_checkpoint, write_checkpoint
from hiera_mm.weights.zoo import ZOO

import pytest
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer

from tests.helpers import ROOT, Payload

WEIGHTS = dict(a=torch.arange(6.0).reshape(2, 3), b=torch.ones(1000))


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('content', [Payload(), dict(model_state=Payload()), dict(state_dict={}, meta=Payload())])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, monkeypatch, content, legacy):
    monkeypatch.chdir(tmp_path)
    torch.save(content, 'hostile.pth', _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=r"'hostile.pth' was refused: .* when loaded: posix.system; get the file"):
        read_checkpoint('hostile.pth')
    assert not (tmp_path / 'payload_ran').exists()
    torch.load('hostile.pth', weights_only=False)
    assert (tmp_path / 'payload_ran').exists(), 'the payload is a real one'


def test_reading_leaves_torchs_list_of_safe_classes_as_it_was(tmp_path):
    torch.save(WEIGHTS, tmp_path / 'weights.pth')
    torch.serialization.add_safe_globals([HistoryBuffer])
    before = torch.serialization.get_safe_globals()
    read_checkpoint(tmp_path / 'weights.pth')
    assert set(map(str, torch.serialization.get_safe_globals())) == set(map(str, before))


BROKEN = [b'', b'not a checkpoint', b'PK\x03\x04 cut off', bytes(100), b'12345678{', b'\x80\x04N.', b'<html>no</html>']


@pytest.mark.parametrize('content', BROKEN)
@pytest.mark.parametrize('name', ['file.pth', 'file.safetensors'])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}' .*(is damaged, truncated or|holds a N)"):
        read_checkpoint(tmp_path / name)


def test_a_file_that_would_unfold_to_more_than_it_is_is_refused_before_it_does(tmp_path):
    torch.save(dict(state_dict=dict(a=torch.zeros(25_000_000))), tmp_path / 'large.pth')
    with (
        zipfile.ZipFile(tmp_path / 'large.pth') as large,
        zipfile.ZipFile(tmp_path / 'bomb.pth', 'w', zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in large.infolist():
            bomb.writestr(entry.filename, large.read(entry))
    assert (tmp_path / 'bomb.pth').stat().st_size < 1_000_000
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"bomb.pth' .*is damaged"):
        read_checkpoint(tmp_path / 'bomb.pth')
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000, 'in KiB'
    tracemalloc.stop()


def test_tensors_under_numbers_are_no_checkpoint(tmp_path):
    torch.save({0: torch.ones(2)}, tmp_path / 'numbers.pth')
    with pytest.raises(UserError, match='holds tensors under numbers instead of names; it is not a checkpoint'):
        read_checkpoint(tmp_path / 'numbers.pth')


@pytest.mark.parametrize('name', ['whole.pth', 'whole.safetensors'])
@pytest.mark.parametrize('share', [0.02, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(tmp_path, name, share):
    write_checkpoint(WEIGHTS, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / f'cut{name}').write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=rf"cut{name}' .*is damaged"):
        read_checkpoint(tmp_path / f'cut{name}')


@pytest.mark.parametrize(
    'name', ['mask_rcnn_hiera_b', 'mask_rcnn_hiera_b.py', str(ROOT / 'configs' / 'mask_rcnn_hiera_b.py')]
)
def test_a_config_is_no_checkpoint(name):
    with pytest.raises(UserError, match=f"'{name}' is a config, .* train it .*name its folder, work_dirs/mask_rcnn"):
        read_checkpoint(name)


def test_a_missing_checkpoint_is_named_with_the_nearest_name_of_the_zoo():
    with pytest.raises(UserError, match="'nowhere.pth' does not exist; correct the path, or use a name that '.* list'"):
        read_checkpoint('nowhere.pth')
    with pytest.raises(UserError, match=r"'hiera_b.mae_in1' does not exist.* \(did you mean 'hiera_b.mae_in1k'\?\)"):
        read_checkpoint('hiera_b.mae_in1')


def test_the_format_is_recognised_by_the_content_not_the_name(tmp_path):
    safetensors.torch.save_file(WEIGHTS, tmp_path / 'weights.pth')
    torch.save(WEIGHTS, tmp_path / 'weights.safetensors')
    for path in tmp_path.iterdir():
        assert torch.equal(read_checkpoint(path)['a'], WEIGHTS['a'])


@pytest.mark.parametrize('name', ['x.pth', 'x.pt', 'x.safetensors'])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, name):
    write_checkpoint(WEIGHTS, tmp_path / name)
    with pytest.raises(Exception, match='.'):
        write_checkpoint(dict(a=WEIGHTS['a'], b=lambda: None), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert torch.equal(read_checkpoint(tmp_path / name)['b'], WEIGHTS['b'])


def test_writing_names_the_endings_it_knows_and_the_place_that_fails(tmp_path):
    with pytest.raises(UserError, match=r"must end in .pth, .pt, .safetensors, unlike 'weights.bin'"):
        write_checkpoint(WEIGHTS, 'weights.bin')
    with pytest.raises(UserError, match=r"absent/weights.pth' can't be written .*; choose another place"):
        write_checkpoint(WEIGHTS, tmp_path / 'absent' / 'weights.pth')


class Server:
    """Serves one file; the first answers may break off half-way."""

    def __init__(self, content, broken_answers=0):
        self.requests, self.broken = 0, broken_answers

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                self.requests += 1
                handler.send_response(200)
                handler.send_header('Content-Length', str(len(content)))
                handler.end_headers()
                handler.wfile.write(content[: len(content) // 2] if self.requests <= self.broken else content)

            def log_message(handler, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f'http://127.0.0.1:{self.server.server_port}/weights.pth'


@pytest.fixture
def serve(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    torch.save(WEIGHTS, tmp_path / 'weights.pth')
    servers = []

    def start(broken_answers=0):
        servers.append(Server((tmp_path / 'weights.pth').read_bytes(), broken_answers))
        return servers[-1]

    yield start
    for server in servers:
        server.server.shutdown()


def test_a_download_is_made_once_and_kept_in_torchs_cache(serve, tmp_path):
    server = serve()
    for _ in range(2):
        assert torch.equal(read_checkpoint(server.address)['a'], WEIGHTS['a'])
    assert server.requests == 1
    (cached,) = (tmp_path / 'cache/hub/checkpoints').iterdir()
    assert re.fullmatch(r'weights-\w{8}\.pth', cached.name)


def test_after_a_broken_download_the_next_one_starts_clean(serve, tmp_path):
    server = serve(broken_answers=1)
    assert torch.equal(read_checkpoint(server.address)['a'], WEIGHTS['a'])
    assert server.requests == 2
    cached = tmp_path / 'cache/hub/checkpoints/weights.pth'
    cached.write_bytes(b'the rest of an interrupted copy')
    assert torch.equal(read_checkpoint(server.address)['a'], WEIGHTS['a'])


def test_a_download_that_always_breaks_off_is_an_error_and_leaves_nothing(serve, tmp_path):
    server = serve(broken_answers=99)
    with pytest.raises(UserError, match=r"weights-\w+.pth' \(\d+ bytes\) is damaged.*download it again"):
        read_checkpoint(server.address)
    assert not list((tmp_path / 'cache/hub/checkpoints').iterdir())


def test_an_address_that_cannot_be_reached_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UserError, match=f"put it at '{tmp_path}/hub/checkpoints/weights-\\w+.pth'"):
        read_checkpoint('http://127.0.0.1:9/weights.pth')
    assert not list((tmp_path / 'hub' / 'checkpoints').iterdir())


def test_names_of_the_zoo_are_found_in_torchs_cache_under_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    cache = tmp_path / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    expected = {
        'hiera_b.mae_in1k': 'mae_hiera_base_224.pth',
        'hiera_s_abswin_256.sbb2_e200_in12k': 'timm--hiera_small_abswin_256.sbb2_e200_in12k--model.safetensors',
    }
    for name, file in expected.items():
        (cache / file).touch()
        assert locate_checkpoint(name) == cache / file


def test_a_file_of_ones_own_comes_before_a_name_of_the_zoo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(WEIGHTS, 'hiera_b.mae_in1k')
    assert torch.equal(read_checkpoint('hiera_b.mae_in1k')['a'], WEIGHTS['a'])


ONE_OF_TWO = """
import sys
import hiera_mm
from hiera_mm.weights.files import read_checkpoint
import torch.distributed as dist

address, rank, store = sys.argv[1:]
dist.init_process_group('gloo', init_method=f'file://{store}', rank=int(rank), world_size=2)
assert read_checkpoint(address)['a'].numel() == 6
"""


@pytest.mark.slow
def test_two_processes_of_a_machine_download_once(serve, tmp_path):
    server = serve()
    processes = []
    for rank in '01':
        environment = dict(os.environ, LOCAL_RANK=rank, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
        arguments = [sys.executable, '-c', ONE_OF_TWO, server.address, rank, str(tmp_path / 'store')]
        processes.append(subprocess.Popen(arguments, env=environment))
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert server.requests == 1


def test_a_folder_is_told_from_nothing_and_its_files_are_named(tmp_path):
    """Such as a snapshot of the Hugging Face hub."""
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match="'.*empty' is a folder; name the file in it .it holds no file"):
        read_checkpoint(str(tmp_path / 'empty'))
    (tmp_path / 'snapshot').mkdir()
    for name in ('model.safetensors', 'config.json', 'pytorch_model.bin'):
        (tmp_path / 'snapshot' / name).touch()
    with pytest.raises(UserError, match=r'is a folder; .*holds 2 \(model.safetensors, pytorch_model.bin\)'):
        read_checkpoint(str(tmp_path / 'snapshot'))


HUB = 'https://huggingface.co/me/mine/resolve'
ADDRESSES = [
    'https://example.org/a/model.pth',
    'https://example.org/b/model.pth',
    'http://example.org/a/model.pth',
    'https://example.org/a/model.pth?version=2',
    'https://example.org/a/model.pth?version=3',
    'https://example.org/a/Model.pth',
    f'{HUB}/v1/model.safetensors',
    f'{HUB}/v2/model.safetensors',
    f'{HUB}/main/model.safetensors',
    f'{HUB}/main/part/model.safetensors',
    'https://huggingface.co/me--mine/x/resolve/main/model.safetensors',
    f'https://example.org/{"long" * 100}/{"name" * 100}.pth',
    *(entry.address for entry in ZOO.values()),
]


def test_each_address_has_its_own_file_in_the_cache():
    names = {address: _file_name(address) for address in ADDRESSES}
    assert len(set(names.values())) == len(names)
    assert all(re.fullmatch(r'[\w.+-]{1,200}', name) for name in names.values())
    assert names[f'{HUB}/v1/model.safetensors'].startswith('me--mine--model-')
    assert all(name.endswith(('.pth', '.pt', '.safetensors', '.bin', '.pth.tar')) for name in names.values())


def test_files_of_the_zoo_keep_their_names():
    """Copies that were downloaded earlier, or by hand, are found."""
    for entry in ZOO.values():
        if 'huggingface' not in entry.address:
            assert _file_name(entry.address) == entry.address.rsplit('/', 1)[-1]
