"""Models from checkpoints that hold their config, of which nothing is executed."""

import sys
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.inference.closed_config import config_from_text
from hiera_mm.inference.loading import load_model
from hiera_mm.tasks import load, load_trained, task_of
from hiera_mm.tasks.autoencoding import Reconstructor
from hiera_mm.tasks.classification import Classifier
from hiera_mm.tasks.detection import Detector

import pytest
import torch
from mmengine.config import Config

from tests.helpers import TINY, save_random_weights

HOSTILE = {
    'a call': 'model = __import__("os").system("touch ran")',
    'a call inside a literal': 'model = dict(type="FasterRCNN", backbone=print("x"))',
    'an import': 'import os',
    'a comprehension': 'model = [x for x in (1, 2)]',
    'arguments without names': 'model = dict([("type", "os.system")])',
    'unpacking': 'model = dict(**globals())',
    'no Python': 'model = (',
}
UNREGISTERED = {
    'a function of Python': dict(model=dict(type='os.system', command='touch ran')),
    'deep inside': dict(model=dict(backbone=dict(type='subprocess.Popen', args=['touch', 'ran']))),
    'a module of mmdet': dict(model=dict(type='mmdet.apis.init_detector')),
    'a text that mmcv would run': dict(model=dict(nms=dict(type='__import__("os").system("touch ran")'))),
    'a type that runs a text': dict(model=dict(rcnn=dict(type='CameraMotionCompensation', warp_mode='exit()'))),
    'the same by its scope': dict(model=dict(rcnn=dict(type='mmdet.CameraMotionCompensation', warp_mode='exit()'))),
    'a module by its scope': dict(model=dict(type='FasterRCNN', _scope_='antigravity')),
    'a module as the default scope': dict(model=dict(type='FasterRCNN'), default_scope='antigravity'),
    'a transform': dict(model=dict(), test_dataloader=dict(dataset=dict(pipeline=[dict(type='os.system')]))),
}


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return save_random_weights(TINY, tmp_path_factory.mktemp('weights') / 'shapes.pth')


def with_config(weights, path, text):
    content = torch.load(weights)
    content['meta']['cfg'] = text
    torch.save(content, path)
    return str(path)


def test_a_checkpoint_alone_gives_the_model_of_its_config(weights):
    alone, named = load(weights, device='cpu'), load(weights, TINY, device='cpu')
    assert isinstance(alone, Detector) and alone.names == named.names == ['circle', 'bar', 'triangle']
    states = alone.trained.model.state_dict(), named.trained.model.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])
    assert not alone.trained.model.training


def test_tuples_and_infinite_numbers_of_a_config_stay_what_they_are():
    settings = Config(dict(model=dict(scales=[(1, 2.5, -3)], most=float('inf'), least=-float('inf'), name='a\'"b')))
    read = config_from_text(settings.pretty_text, 'here')
    assert read.to_dict() == settings.to_dict()
    assert isinstance(read.model.scales[0], tuple)


@pytest.mark.parametrize('text', HOSTILE.values(), ids=HOSTILE)
def test_a_config_that_is_a_program_is_refused(weights, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = with_config(weights, tmp_path / 'hostile.pth', text)
    with pytest.raises(
        UserError, match=r"The config inside '.*hostile.pth' is not plain data .*; name the config that it was"
    ):
        load(path)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('settings', UNREGISTERED.values(), ids=UNREGISTERED)
def test_types_that_no_registry_holds_are_refused(weights, tmp_path, monkeypatch, settings):
    monkeypatch.chdir(tmp_path)
    path = with_config(weights, tmp_path / 'hostile.pth', Config(settings).pretty_text)
    with pytest.raises(UserError, match=r'sets \S+ to .*, which is none of the known values of'):
        load(path)
    assert not (tmp_path / 'ran').exists()


def test_modules_that_a_checkpoint_names_are_not_imported(weights, tmp_path, monkeypatch):
    (tmp_path / 'imported_by_config.py').write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = torch.load(weights)['meta']['cfg'] + "\ncustom_imports = dict(imports=['imported_by_config'])\n"
    load(with_config(weights, tmp_path / 'importing.pth', text), device='cpu')
    assert not (tmp_path / 'ran').exists()


def test_the_folder_of_a_run_stands_for_its_newest_checkpoint(weights, tmp_path):
    (tmp_path / 'iter_9.pth').write_bytes(Path(weights).read_bytes())
    # As a run writes it that was started elsewhere and copied.
    (tmp_path / 'last_checkpoint').write_text('/gone/iter_9.pth')
    assert load(str(tmp_path), device='cpu').names == ['circle', 'bar', 'triangle']


def test_faults_are_told(weights, tmp_path):
    with pytest.raises(UserError, match='has neither a published model nor a run'):
        load(str(tmp_path))
    torch.save(torch.load(weights)['state_dict'], tmp_path / 'weights.pth')
    with pytest.raises(UserError, match='holds weights without the config of their model; name it: --config CONFIG'):
        load(str(tmp_path / 'weights.pth'))
    with pytest.raises(UserError, match='has 3 classes, but there are 2 .a, b. names; give the names of all'):
        load(weights, device='cpu', classes=('a', 'b'))


def test_a_model_without_names_numbers_its_classes(tmp_path):
    path = tmp_path / 'clips.pth'
    save_random_weights('tests/data/tiny_k400.py', path)
    model = load(str(path), device='cpu')
    assert isinstance(model, Classifier) and model.names == [str(number) for number in range(400)]
    names = [f'action {number}' for number in range(400)]
    assert load(str(path), device='cpu', classes=names).names == names


def test_a_masked_autoencoder_knows_no_classes(tmp_path):
    path = save_random_weights('tests/data/tiny_mae.py', tmp_path / 'mae.pth')
    assert isinstance(load(path, device='cpu'), Reconstructor)
    with pytest.raises(UserError, match='is a masked autoencoder, which has no classes; leave --classes out'):
        load(path, device='cpu', classes=['a'])


def test_loading_leaves_the_config_of_a_run_as_it_is(weights):
    trained = load_trained(weights, device='cpu')
    assert trained.test_set.type == 'CocoDataset'
    assert [step.type for step in trained.test_pipeline] == ['LoadImageFromFile', 'Resize', 'PackDetInputs']


def test_loading_goes_through_few_files(weights):
    """A newcomer who follows a checkpoint until it is a model opens these, the model's own and the task's aside."""
    passed = set()

    def note(frame, event, argument):
        parts = Path(frame.f_code.co_filename).parts
        if event == 'call' and 'hiera_mm' in parts[:-1] and 'site-packages' not in parts:
            passed.add('/'.join(parts[len(parts) - parts[::-1].index('hiera_mm') :]))

    task = task_of(config_from_text(torch.load(weights)['meta']['cfg'], weights))
    sys.setprofile(note)
    try:
        load_model(weights, lambda config: task, device='cpu')
    finally:
        sys.setprofile(None)
    followed = {name for name in passed if name.split('/')[0] not in ('models', 'tasks', 'tests')}
    assert 'inference/loading.py' in followed and len(followed) <= 8, ' '.join(sorted(followed))
