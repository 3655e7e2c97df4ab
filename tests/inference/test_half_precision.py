"""Models of every task in half precision: nearly the same results, by weights that are cast once."""

from hiera_mm.errors import UserError
from hiera_mm.inference.export import export
from hiera_mm.readers.write_video import write_video
from hiera_mm.tasks import load

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import LayerNorm, Linear

from tests.helpers import ACTIONS_CONFIG, FOLDER, ROOT, TINY, assert_explained, perturbed, save_random_weights

DATA = ROOT / 'tests' / 'data'
NOISE = np.random.default_rng(0).integers(0, 256, (32, 96, 128, 3), np.uint8)
TASKS = dict(
    detector=(TINY, lambda model, folder: model.predict(folder / 'a.png').scores),
    queries=(FOLDER / 'mask2former_hiera_t_shapes.py', lambda model, folder: model.predict(folder / 'a.png').scores),
    segmentor=(DATA / 'tiny_upernet.py', lambda model, folder: model.predict(folder / 'a.png').labels),
    images=(DATA / 'tiny_in1k.py', lambda model, folder: model.predict(folder / 'a.png').scores),
    clips=(DATA / 'tiny_k400.py', lambda model, folder: model.predict(folder / 'a.mp4').scores),
    actions=(ACTIONS_CONFIG, lambda model, folder: scores_of_actions(model, folder)),
    volumes=(DATA / 'tiny_unetr.py', lambda model, folder: model.predict(folder / 'a.nii').labels),
    autoencoder=(DATA / 'tiny_mae.py', lambda model, folder: model.predict(folder / 'a.png').loss),
)


def scores_of_actions(model, folder):
    (found,) = model.predict(folder / 'a.mp4', boxes={0.5: [[4, 4, 60, 80]]}, score_thr=0)['predictions']
    return [action['score'] for action in found['persons'][0]['actions']]


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('inputs')
    Image.fromarray(NOISE[0]).save(folder / 'a.png')
    write_video(folder / 'a.mp4', NOISE, 30)
    nibabel.save(
        nibabel.Nifti1Image(NOISE[0, :64, :64, :1].repeat(48, 2).astype(np.float32), np.eye(4)), folder / 'a.nii'
    )
    return folder


@pytest.mark.parametrize('name', TASKS)
def test_half_precision_gives_nearly_the_same(name, inputs, tmp_path):
    config, numbers = TASKS[name]
    weights = save_random_weights(config, tmp_path / 'model.pth')
    names = {number: f'action {number}' for number in range(1, 5)} if name == 'actions' else None
    whole, half = (load(weights, device='cpu', classes=names, half=half) for half in (False, True))
    for model in (whole, half):
        perturbed(model.trained.model)
    expected, found = (np.array(numbers(model, inputs)) for model in (whole, half))
    dtypes = {
        type(module): module.weight.dtype
        for module in half.trained.model.modules()
        if isinstance(module, (Linear, LayerNorm))
    }
    assert dtypes[Linear] == torch.bfloat16 and dtypes[LayerNorm] == torch.float32
    if found.dtype == np.uint8:
        assert np.mean(found == expected) > 0.95
    else:
        assert not np.array_equal(found, expected)
        np.testing.assert_allclose(np.sort(found.flat)[-5:], np.sort(expected.flat)[-5:], rtol=0.05, atol=0.01)


def test_scores_of_objects_are_not_rounded_to_half_precision(inputs, tmp_path):
    half = load(save_random_weights(TINY, tmp_path / 'model.pth'), device='cpu', half=True)
    scores = torch.from_numpy(half.predict(inputs / 'a.png').scores)
    assert len(scores) > 5 and (scores != scores.bfloat16().float()).float().mean() > 0.8


def test_half_precision_is_what_autocast_gives(inputs, tmp_path):
    weights = save_random_weights(TASKS['images'][0], tmp_path / 'model.pth')
    whole, half = (load(weights, device='cpu', half=half) for half in (False, True))
    with torch.autocast('cpu', torch.bfloat16):
        expected = whole.predict(inputs / 'a.png').scores
    assert np.array_equal(half.predict(inputs / 'a.png').scores, expected)


def test_results_in_half_precision_are_others(run_command, inputs, tmp_path):
    weights = save_random_weights(TINY, tmp_path / 'model.pth')
    arguments = ['predict', weights, inputs / 'a.png', '--out-dir', tmp_path / 'out']
    found = []
    for more in ((), ('--half',)):
        assert run_command(*arguments, *more)[0] == 0
        found.append((tmp_path / 'out' / 'predictions.json').read_text())
    assert found[0] != found[1]


def test_files_are_exported_from_float32(tmp_path):
    half = load(save_random_weights(TINY, tmp_path / 'model.pth'), device='cpu', half=True)
    with pytest.raises(UserError, match='was loaded in half precision; load it without half=True'):
        export(half, tmp_path / 'model.onnx')


def test_an_exported_file_has_its_own_precision(run_command, inputs, tmp_path):
    export(load(save_random_weights(DATA / 'tiny_in1k.py', tmp_path / 'model.pth'), device='cpu'), tmp_path / 'a.onnx')
    assert_explained(
        run_command('predict', tmp_path / 'a.onnx', inputs / 'a.png', '--half'), 'leave half precision out'
    )
