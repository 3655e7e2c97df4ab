"""Published folders: used as models by every command, without executing anything, with a card that is true."""

import json

from hiera_mm.errors import UserError
from hiera_mm.inference.publish import metrics_of, publish
from hiera_mm.synthetic.actions import make_acting_shapes
from hiera_mm.tasks import load

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from mmdet.apis import DetInferencer

from tests.helpers import ACTIONS_CONFIG, ROOT, TINY, assert_explained, save_random_weights, shapes_options

CLIPS = ROOT / 'configs' / 'k400_hiera_t_shapes.py'
META = [dict(source='hiera_t.mae_in1k', licence='CC BY-NC 4.0')]


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return save_random_weights(TINY, tmp_path_factory.mktemp('weights') / 'shapes.pth')


def with_origins(weights, path, origins):
    content = torch.load(weights)
    content['meta']['weights_from'] = origins
    torch.save(content, path)
    return load(str(path), device='cpu')


def front_matter(folder):
    return yaml.safe_load((folder / 'README.md').read_text().split('---')[1])


def test_a_run_is_published_and_used_by_its_folder(run_command, shapes, tmp_path, monkeypatch):
    """From training to testing what was published, away from the run; nothing in the folder knows this machine."""
    code, printed = run_command('train', TINY, '--work-dir', tmp_path / 'run', *shapes_options(shapes))
    assert code == 0, printed
    picture = shapes / 'val' / '000001.png'
    code, printed = run_command('publish', tmp_path / 'run', tmp_path / 'model', '--example', picture)
    assert code == 0 and 'image-segmentation' in printed and 'No validation' not in printed, printed
    folder = tmp_path / 'model'
    names = {path.name for path in folder.iterdir()}
    assert names == {'model.safetensors', 'config.py', 'hiera_mm.json', 'README.md', 'example.jpg'}
    text = ''.join((folder / name).read_text() for name in ('config.py', 'hiera_mm.json', 'README.md'))
    assert str(tmp_path) not in text and str(shapes) not in text and 'optim' not in text
    run = torch.load(tmp_path / 'run' / 'iter_2.pth', weights_only=False)
    published = safetensors.torch.load_file(folder / 'model.safetensors')
    assert published.keys() == run['state_dict'].keys()
    assert all(torch.equal(published[key], value) for key, value in run['state_dict'].items())

    expected, found = (load(str(place), device='cpu').predict(picture) for place in (tmp_path / 'run', folder))
    assert found.names == ['circle', 'bar', 'triangle'] and np.array_equal(found.boxes, expected.boxes)
    described = json.loads((folder / 'hiera_mm.json').read_text())
    code, printed = run_command('test', TINY, folder, '--work-dir', tmp_path / 'test', *shapes_options(shapes))
    assert code == 0, printed
    (log,) = (tmp_path / 'test').glob('*/*.json')
    tested = json.loads(log.read_text())
    assert described['metrics'] == {key: tested[key] for key in described['metrics']} and len(tested) > 10
    theirs = DetInferencer(str(folder / 'config.py'), str(folder / 'model.safetensors'), device='cpu')
    scores = theirs(str(picture), no_save_vis=True)['predictions'][0]['scores']
    np.testing.assert_allclose(sorted(scores), sorted(expected.scores), atol=1e-6)


def test_training_starts_from_a_published_folder_and_inherits_its_licence(run_command, weights, shapes, tmp_path):
    publish(with_origins(weights, tmp_path / 'run.pth', META), tmp_path / 'model')
    options = [*shapes_options(shapes), 'train_cfg.max_iters=1', f'load_from={tmp_path}/model', 'val_cfg=None']
    options += ['val_dataloader=None', 'val_evaluator=None']
    code, printed = run_command('train', TINY, '--work-dir', tmp_path / 'run', *options)
    assert code == 0 and 'format hiera_mm' in printed, printed
    assert torch.load(tmp_path / 'run' / 'iter_1.pth', weights_only=False)['meta']['weights_from'] == META


@pytest.mark.parametrize(
    'origins, wanted, licence, said',
    [
        (META, None, 'cc-by-nc-4.0', 'no commercial use. It was trained from hiera_t.mae_in1k (CC BY-NC 4.0).'),
        (META, 'cc-by-nc-4.0', 'cc-by-nc-4.0', 'Models trained from it are under the same licence'),
        ([dict(source='sam2.1_hiera_t', licence='Apache-2.0')], None, 'apache-2.0', 'sam2.1_hiera_t (Apache-2.0)'),
        (
            [dict(source='/mine/x.pth', licence=None)],
            None,
            None,
            'trained from x.pth (licence not recorded)',
        ),
        ([], None, None, 'Not stated. Training began with random weights.'),
        ([], 'mit', 'mit', 'mit. Training began with random weights.'),
    ],
)
def test_the_licence_is_that_of_the_weights_it_began_with(weights, tmp_path, origins, wanted, licence, said):
    predictor = with_origins(weights, tmp_path / 'run.pth', origins)
    described = publish(predictor, tmp_path / 'model', wanted)
    assert described['licence'] == licence
    assert front_matter(tmp_path / 'model')['license'] == (licence or 'other')
    assert said in (tmp_path / 'model' / 'README.md').read_text()
    bases = {'hiera_t.mae_in1k': 'facebook/hiera_tiny_224.mae_in1k', 'sam2.1_hiera_t': 'facebook/sam2.1-hiera-tiny'}
    known = [bases[origin['source']] for origin in origins if origin['source'] in bases]
    assert front_matter(tmp_path / 'model').get('base_model', []) == known


def test_a_licence_that_the_weights_forbid_is_refused_and_nothing_written(weights, tmp_path):
    predictor = with_origins(weights, tmp_path / 'run.pth', META)
    with pytest.raises(UserError, match="began with 'hiera_t.mae_in1k', whose licence CC BY-NC 4.0 forbids"):
        publish(predictor, tmp_path / 'model', 'mit')
    assert [path.name for path in tmp_path.iterdir()] == ['run.pth']


def test_clips_and_actions_are_published_with_their_names(tmp_path):
    make_acting_shapes(tmp_path / 'actions', train=1, val=1)
    clips = save_random_weights(CLIPS, tmp_path / 'clips.pth')
    actions = save_random_weights(ACTIONS_CONFIG, tmp_path / 'actions.pth')
    names = [f'motion {number}' for number in range(6)]
    actions_by_number = {1: 'stand', 7: 'blink'}
    first = publish(load(clips, classes=names), tmp_path / 'clips')
    second = publish(load(actions, classes=actions_by_number), tmp_path / 'acting')
    assert (first['task'], second['task']) == ('video-classification', 'action-detection')
    assert load(str(tmp_path / 'clips')).names == names
    detector = load(str(tmp_path / 'acting'))
    assert detector.names == actions_by_number and detector.fps == 8
    video = tmp_path / 'actions' / 'val' / 'val00000.mp4'
    boxes = {1: [[10, 10, 90, 100]]}
    expected = load(actions, classes=actions_by_number).predict(video, boxes=boxes, score_thr=0.0)
    assert detector.predict(video, boxes=boxes, score_thr=0.0) == expected
    assert 'pipeline_tag' not in front_matter(tmp_path / 'acting')


def test_metrics_are_those_of_these_very_weights(tmp_path):
    log = tmp_path / '20260101' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    lines = [dict(lr=1, loss=2.0, iter=4, step=4), dict(mAP=0.1, time=1, step=4), dict(lr=1, loss=1.0, step=8)]
    lines += [dict(mAP=0.2, data_time=1, step=8)]
    log.write_text('\n'.join(map(json.dumps, lines)))
    assert metrics_of(tmp_path / 'iter_4.pth', dict(iter=4)) == dict(mAP=0.1)
    assert metrics_of(tmp_path, dict(iter=8)) == dict(mAP=0.2)
    assert metrics_of(tmp_path / 'iter_6.pth', dict(iter=6)) == {}
    assert metrics_of(tmp_path / 'epoch_4.pth', dict(iter=400, epoch=4)) == dict(mAP=0.1)
    # As mmengine writes them for runs of iterations: which weights they are of can't be known.
    log.write_text('\n'.join(map(json.dumps, [dict(mAP=0.1, step=0), dict(mAP=0.2, step=0)])))
    assert metrics_of(tmp_path / 'iter_4.pth', dict(iter=4, epoch=0)) == {}


def test_faults_are_told(run_command, weights, tmp_path):
    (tmp_path / 'there').mkdir()
    assert_explained(run_command('publish', weights, tmp_path / 'there'), 'already exists; name a new folder')
    publish(load(weights), tmp_path / 'model')
    for name, content in (('hiera_mm.json', '{'), ('hiera_mm.json', '{}'), ('config.py', None)):
        kept = (tmp_path / 'model' / name).read_text()
        if content is None:
            (tmp_path / 'model' / name).unlink()
        else:
            (tmp_path / 'model' / name).write_text(content)
        with pytest.raises(UserError, match="The published model '.*model' is incomplete .*; copy or publish it again"):
            load(str(tmp_path / 'model'))
        (tmp_path / 'model' / name).write_text(kept)
    (tmp_path / 'model' / 'config.py').write_text('import os')
    with pytest.raises(UserError, match='is not plain data'):
        load(str(tmp_path / 'model'))
    (tmp_path / 'model' / 'model.safetensors').write_bytes(b'\x08\0\0\0\0\0\0\0{"')
    with pytest.raises(UserError, match='is damaged, truncated or not a PyTorch or safetensors'):
        load(str(tmp_path / 'model'))
