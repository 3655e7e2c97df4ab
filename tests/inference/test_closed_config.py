"""What may stand in a config inside a model file: known texts and plain values; nothing else is built."""

import inspect
import json
import pickle
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hiera_mm.config import dicts_in
from hiera_mm.errors import UserError
from hiera_mm.inference.closed_config import config_from_text, drop_weights, values_in
from hiera_mm.inference.load_backbone import backbone
from hiera_mm.inference.loading import check_loaded_config, config_for_testing
from hiera_mm.settings import read_config
from hiera_mm.shipped import shipped_configs
from hiera_mm.tasks import load

import mmengine.registry
import pytest
import torch
from mmengine.registry import Registry

from tests.helpers import ACTIONS_CONFIG, ROOT, TINY, save_random_weights
from tests.inference.known_texts import FILE, own_parts, texts_of, type_names
from tests.watched import watched


class Payload:
    """A pickle that leaves a file when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture(scope='module')
def hostile(tmp_path_factory):
    """Texts that something might open, fetch or run, and the file that would then exist."""
    folder = tmp_path_factory.mktemp('hostile')
    mark, code = folder / 'ran', f'__import__("pathlib").Path({str(folder / "ran")!r}).touch()'
    for name in ('weights.pkl', 'weights.pth'):
        (folder / name).write_bytes(pickle.dumps(Payload(mark)))
    (folder / 'config.py').write_text(code)
    (folder / 'config.yaml').write_text(f'!!python/object/apply:os.system ["touch {mark}"]')
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = ('weights.pkl', 'weights.pth', 'config.py', 'config.yaml')
    texts = [str(folder / name) for name in names]
    texts += [
        f'http://127.0.0.1:{server.server_port}/weights.pkl',
        code,
        'os.system',
        'antigravity',
        'petrel',
        b'x.pkl',
    ]
    yield texts, mark
    server.shutdown()


def type_of(part):
    """The class that a part of a config names, if it names one."""
    name = str(part.get('type')).rpartition('.')[2]
    registries = [entry for entry in vars(mmengine.registry).values() if isinstance(entry, Registry)]
    found = [registry.module_dict.get(name) for root in registries for registry in (root, *root.children.values())]
    return next((entry for entry in found if entry is not None), None)


def places_of(config):
    """Every value that is built to predict, as its owner and key; and every argument that a part's class takes."""
    parts = {key: config[key] for key in ('model', 'test_pipeline', 'test_dataloader') if key in config}
    for place, _, _ in values_in(parts):
        if not place.startswith('test_dataloader') or '.pipeline.' in place:
            *steps, last = place.split('.')
            owner = config
            for step in steps:
                owner = owner[int(step)] if isinstance(owner, list | tuple) else owner[step]
            if not isinstance(owner, tuple):
                yield owner, int(last) if isinstance(owner, list) else last, place
    yield config, 'default_scope', 'default_scope'
    for part in dicts_in(config.model):
        taken = type_of(part)
        for name in inspect.signature(taken).parameters if taken else ():
            if name not in part:
                yield part, name, f'{taken.__name__}({name})'


@contextmanager
def changed(owner, key, text):
    absent = object()
    before = owner[key] if isinstance(owner, list) else owner.get(key, absent)
    owner[key] = text
    try:
        yield
    finally:
        if isinstance(owner, list) or before is not absent:
            owner[key] = before
        else:
            del owner[key]


@pytest.mark.parametrize('name', ['mask_rcnn_hiera_t_shapes', 'upernet_hiera_t_shapes', 'mask2former_hiera_t_shapes'])
def test_no_text_anywhere_in_a_config_makes_a_model_open_or_run_anything(hostile, name):
    texts, mark = hostile
    config, count = read_config(name), 0
    drop_weights(config.model)
    check_loaded_config(config, 'plain')
    for owner, key, place in list(places_of(config)):
        for text in texts:
            count += 1
            with changed(owner, key, text), watched() as seen, pytest.raises(UserError) as refused:
                check_loaded_config(config, 'model.pth')
            assert repr(text) in str(refused.value) and not seen, (place, text)
    print(count)
    assert count > 1000 and not mark.exists()


@pytest.mark.parametrize('where', range(5))
def test_a_checkpoint_whose_loss_names_a_file_or_an_address_is_refused(hostile, tmp_path, where):
    texts, mark = hostile
    content = torch.load(save_random_weights(str(ROOT / 'tests' / 'data' / 'tiny_upernet.py'), tmp_path / 'masks.pth'))
    text = content['meta']['cfg']
    content['meta']['cfg'] = text.replace(
        "type='CrossEntropyLoss'", f"class_weight={texts[where]!r}, type='CrossEntropyLoss'"
    )
    assert content['meta']['cfg'] != text
    torch.save(content, tmp_path / 'hostile.pth')
    with pytest.raises(UserError, match=r'sets model\.\S+\.class_weight to .* \(--config CONFIG\)'):
        load(str(tmp_path / 'hostile.pth'), device='cpu')
    assert not mark.exists()


def test_the_list_holds_what_the_shipped_configs_say():
    """So that each of their models loads, and can be tested."""
    types, listed = type_names(), json.loads(FILE.read_text())
    for name in shipped_configs():
        config = read_config(name)
        drop_weights(config.model)
        check_loaded_config(config, name)
        for key, text in texts_of(own_parts(config), types):
            assert text in listed[key], (name, key, text)


def test_loading_opens_nothing_but_the_model(tmp_path):
    path = save_random_weights(TINY, tmp_path / 'shapes.pth')
    load(path, device='cpu')
    with watched() as seen:
        load(path, device='cpu')
    assert {where for event, where in seen} == {path} and {event for event, _ in seen} == {'open'}, seen


@pytest.mark.parametrize('key', ['classes', 'actions', 'data_prefix', 'ann_file'])
def test_nothing_is_hidden_below_names_and_files(key):
    config = read_config('mask_rcnn_hiera_t_shapes')
    drop_weights(config.model)
    config.model.neck[key] = [dict(type='os.system', command='touch ran')]
    with pytest.raises(UserError, match=r'sets model.neck'):
        check_loaded_config(config, 'model.pth')


@pytest.mark.parametrize(
    'change',
    [
        dict(ann_file='proposals.pkl'),
        dict(ann_file='http://127.0.0.1/val.json'),
        dict(data_root='hf://someone/something'),
        dict(type='BaseDetDataset'),
        dict(backend_args=dict(backend='petrel')),
        dict(metainfo=dict(classes='/etc/passwd')),
        dict(pipeline=[dict(type='os.system')]),
    ],
)
def test_a_report_of_a_foreign_run_opens_data_only(change, tmp_path):
    trained = load(save_random_weights(TINY, tmp_path / 'shapes.pth'), device='cpu').trained
    assert config_for_testing(trained).test_dataloader.dataset.ann_file
    trained.config.test_dataloader.dataset.update(change)
    with pytest.raises(UserError, match='sets test_dataloader.dataset'):
        config_for_testing(trained)


def test_a_backbone_whose_config_names_code_is_refused(hostile, tmp_path):
    _, mark = hostile
    content = torch.load(save_random_weights(TINY, tmp_path / 'shapes.pth'))
    ours = content['meta']['cfg'].replace("type='Hiera'", "norm_cfg=dict(type='os.system'), type='Hiera'")
    torch.save(dict(content, meta=dict(content['meta'], cfg=ours)), tmp_path / 'hostile.pth')
    with pytest.raises(UserError, match=r"sets model.backbone.norm_cfg.type to 'os.system'"):
        backbone(str(tmp_path / 'hostile.pth'))


def test_a_list_of_actions_that_a_loaded_config_names_is_not_opened(tmp_path):
    secret = tmp_path / 'secret.pbtxt'
    secret.write_text('item { name: "stand" id: 1 }')
    content = torch.load(save_random_weights(ACTIONS_CONFIG, tmp_path / 'a.pth'))
    settings = config_from_text(content['meta']['cfg'], 'a.pth')
    settings.test_dataloader.dataset.label_file = str(secret)
    torch.save(dict(content, meta=dict(cfg=settings.pretty_text)), tmp_path / 'b.pth')
    with watched() as seen, pytest.raises(UserError, match='has no names for its actions; give an action list'):
        load(str(tmp_path / 'b.pth'), device='cpu')
    assert str(secret) not in {where for _, where in seen}
