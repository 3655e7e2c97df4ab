"""Exported files give what the models they were made from give, and are used as those are."""

import json

from hiera_mm.errors import UserError
from hiera_mm.inference.export import export, export_backbone
from hiera_mm.inference.formats import open_exported
from hiera_mm.inference.load_backbone import backbone
from hiera_mm.models import Hiera
from hiera_mm.synthetic.actions import make_acting_shapes
from hiera_mm.synthetic.motions import make_motion_shapes
from hiera_mm.tasks import load

import hiera
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.helpers import (
    ACTIONS_CONFIG,
    ROOT,
    SMALL_DETECTOR,
    TINY,
    assert_explained,
    official_classifier,
    save_random_weights,
    shapes_options,
)

CLIPS = ROOT / 'configs' / 'k400_hiera_t_shapes.py'
IMAGES = ROOT / 'tests' / 'data' / 'tiny_in1k.py'
FORMATS = ['model.onnx', 'model.xml', 'model.pt2']


def one_now(name):
    """All formats, the others than this one among the slow tests."""
    return [pytest.param(other, marks=pytest.mark.slow if other != name else ()) for other in FORMATS]


@pytest.fixture(scope='module')
def detector(tmp_path_factory):
    """With scores that differ, unlike those of fresh weights."""
    path = tmp_path_factory.mktemp('weights') / 'shapes.pth'
    return shaken(save_random_weights(TINY, path))


def shaken(path):
    content, generator = torch.load(path), torch.Generator().manual_seed(0)
    for name, value in content['state_dict'].items():
        if value.is_floating_point() and 'roi_head' in name:
            value += 0.03 * torch.randn(value.shape, generator=generator)
    torch.save(content, path)
    return path


def own_config(tmp_path, name):
    path = tmp_path / f'{name}.py'
    path.write_text(SMALL_DETECTOR.replace('NAME', name))
    return path


def assert_same_detections(found, expected):
    assert len(found) == len(expected) > 5
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    # Those of nearly the same score may change their places.
    place = [
        int((np.abs(found.boxes - box).sum(1) + 999 * (found.labels != label)).argmin())
        for box, label in zip(expected.boxes, expected.labels, strict=True)
    ]
    np.testing.assert_allclose(found.boxes[place], expected.boxes, atol=0.05)
    assert found.labels[place].tolist() == expected.labels.tolist() and sorted(place) == list(range(len(found)))
    if expected.masks is not None:
        both = found.masks[place] & expected.masks
        either = (found.masks[place] | expected.masks).sum((1, 2))
        assert (both.sum((1, 2))[either > 20] / either[either > 20]).min() > 0.99


@pytest.mark.parametrize('name', one_now('model.onnx'))
def test_a_detector_gives_the_same_boxes_scores_and_masks(detector, shapes, tmp_path, name):
    model = load(detector, device='cpu')
    assert export(model, tmp_path / name) == ''
    exported = load(str(tmp_path / name), trust=True)
    assert exported.names == ['circle', 'bar', 'triangle']
    pictures = sorted((shapes / 'val').glob('*.png'))
    expected = model.predict(pictures)
    for together in (pictures, pictures[:1]):
        for found, wanted in zip(exported.predict(together), expected, strict=False):
            assert_same_detections(found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['cascade_mask_rcnn_hiera_t', 'faster_rcnn_hiera_t'])
def test_cascades_and_detectors_without_masks(shapes, tmp_path, name):
    model = load(shaken(save_random_weights(own_config(tmp_path, name), tmp_path / 'weights.pth')), device='cpu')
    export(model, tmp_path / 'model.onnx')
    picture = shapes / 'val' / '000001.png'
    found, expected = load(str(tmp_path / 'model.onnx')).predict(picture), model.predict(picture)
    assert (found.masks is None) == name.startswith('faster')
    assert_same_detections(found, expected)


@pytest.mark.slow
def test_testing_a_file_gives_the_metrics_of_the_checkpoint(run_command, detector, shapes, tmp_path):
    code, printed = run_command('export', detector, tmp_path / 'model.onnx')
    assert code == 0 and 'model.onnx: ' in printed, printed
    metrics = []
    for tested in (detector, tmp_path / 'model.onnx'):
        folder = tmp_path / f'test{len(metrics)}'
        code, printed = run_command('test', TINY, tested, '--work-dir', folder, *shapes_options(shapes))
        assert code == 0, printed
        (log,) = folder.glob('*/*.json')
        metrics.append({key: value for key, value in json.loads(log.read_text()).items() if 'time' not in key})
    assert metrics[0].keys() == metrics[1].keys() and len(metrics[0]) > 10
    assert metrics[1] == pytest.approx(metrics[0], abs=1e-3)
    (tmp_path / 'other.py').write_text(f"_base_ = '{TINY}'\nclasses = ('bar', 'circle', 'triangle')\n")
    more = ['--work-dir', tmp_path / 'x', *shapes_options(shapes)]
    result = run_command('test', tmp_path / 'other.py', tmp_path / 'model.onnx', *more)
    assert_explained(result, "other classes than those of the test set: number 0 was 'circle' and is 'bar'")


@pytest.mark.parametrize('name', one_now('model.pt2'))
def test_clips_get_the_same_probabilities(tmp_path, name):
    make_motion_shapes(tmp_path / 'motion', train=6, val=6)
    model = load(save_random_weights(CLIPS, tmp_path / 'clips.pth'), device='cpu', classes=list('abcdef'))
    with pytest.raises(UserError, match='leaves inputs at their size; set it: --size HEIGHT WIDTH'):
        export(model, tmp_path / name)
    export(model, tmp_path / name, size=(64, 64))
    videos = sorted((tmp_path / 'motion' / 'val').iterdir())
    exported = load(str(tmp_path / name), trust=True)
    assert exported.names == list('abcdef') and exported.takes_images is False
    for found, expected in zip(exported.predict(videos), model.predict(videos), strict=True):
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


def test_pictures_get_the_same_probabilities(tmp_path):
    weights = save_random_weights(IMAGES, tmp_path / 'images.pth')
    content = torch.load(weights)
    # Scores that are far apart, so that weights of half precision would show.
    head = content['state_dict']['cls_head.projection.weight']
    head[:] = 0.2 * torch.randn(head.shape, generator=torch.Generator().manual_seed(0))
    torch.save(content, weights)
    model = load(weights, device='cpu')
    export(model, tmp_path / 'model.xml')
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 300, 260, 3), np.uint8))
    exported = load(str(tmp_path / 'model.xml'))
    for found, expected in zip(exported.predict(pictures), model.predict(pictures), strict=True):
        assert expected.scores.max() > 2 * expected.scores.min()
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4)


@pytest.mark.parametrize('name', one_now('model.pt2'))
def test_actions_of_given_persons_get_the_same_scores(tmp_path, name):
    make_acting_shapes(tmp_path / 'actions', train=1, val=1)
    actions = {number: f'action {number}' for number in range(1, 8)}
    model = load(save_random_weights(ACTIONS_CONFIG, tmp_path / 'a.pth'), device='cpu', classes=actions)
    assert 'crops as in testing, 128 x 128 pixels' in export(model, tmp_path / f'crop_{name}')
    assert export(model, tmp_path / name, size=(128, 160)) == ''
    video = tmp_path / 'actions' / 'val' / 'val00000.mp4'
    settings = dict(boxes={1: [[10, 10, 90, 100], [50, 20, 120, 110]], 2: [[0, 0, 60, 120]]}, score_thr=0.0)
    exported, expected = load(str(tmp_path / name), trust=True), model.predict(video, **settings)
    assert exported.names == actions
    found = exported.predict(video, **settings)
    scores = [
        [action['score'] for moment in result['predictions'] for one in moment['persons'] for action in one['actions']]
        for result in (found, expected)
    ]
    assert len(scores[0]) == 21 and scores[0] == pytest.approx(scores[1], abs=2e-4)
    with pytest.raises(UserError, match='A clip has 16 x 128 x 160 after the test pipeline, but the exported file tak'):
        load(str(tmp_path / f'crop_{name}'), trust=True).predict(video, **settings)


@pytest.mark.parametrize('clips', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_backbone_gives_metas_maps(tmp_path, clips):
    sizes = dict(input_size=(16, 224, 224), q_stride=(1, 2, 2), mask_unit_size=(1, 8, 8), patch_kernel=(3, 7, 7))
    sizes |= dict(patch_stride=(2, 4, 4), patch_padding=(1, 3, 3), sep_pos_embed=True)
    oracle = official_classifier(**(sizes if clips else {})).eval()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'hiera.pth')
    model = backbone(str(tmp_path / 'hiera.pth'), arch=dict(embed_dim=16, num_heads=1, depths=(1, 2, 3, 2)))
    export_backbone(model, tmp_path / 'hiera.onnx')
    pixels = torch.randn(3, 3, *((16,) if clips else ()), 224, 224)
    maps = onnxruntime.InferenceSession(tmp_path / 'hiera.onnx').run(None, dict(pixels=pixels.numpy()))
    with torch.no_grad():
        expected = oracle(pixels, return_intermediates=True)[1]
    for found, stage in zip(maps, expected, strict=True):
        np.testing.assert_allclose(found, stage.movedim(-1, 1).numpy(), atol=1e-4)
    assert isinstance(oracle, hiera.Hiera) and isinstance(model, Hiera)


@pytest.mark.slow
def test_a_file_describes_itself_to_anybody(detector, tmp_path):
    """By what onnx's own checker and shape inference say: all is fixed but the batch."""
    export(load(detector, device='cpu'), tmp_path / 'model.onnx')
    onnx.checker.check_model(tmp_path / 'model.onnx', full_check=True)
    file = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / 'model.onnx'), strict_mode=True)
    shapes = {
        value.name: [entry.dim_param or entry.dim_value for entry in value.type.tensor_type.shape.dim]
        for value in [*file.graph.input, *file.graph.output]
    }
    batch = shapes['pixels'][0]
    assert isinstance(batch, str)
    assert shapes == dict(
        pixels=[batch, 3, 64, 64],
        sizes=[batch, 2],
        boxes=[batch, 100, 4],
        scores=[batch, 100],
        labels=[batch, 100],
        masks=[batch, 100, 28, 28],
    )
    described = json.loads(next(entry.value for entry in file.metadata_props if entry.key == 'hiera_mm'))
    assert described['classes'] == ['circle', 'bar', 'triangle'] and described['size'] == [64, 64]
    assert described['task'] == 'image-segmentation'
    assert "type='Resize'" in described['config'] and {node.domain for node in file.graph.node} == {''}


@pytest.mark.slow
def test_a_file_with_more_padding_than_training_says_so(run_command, tmp_path):
    config = own_config(tmp_path, 'faster_rcnn_hiera_t')
    config.write_text(config.read_text().replace('pad_size_divisor=128', 'pad_size_divisor=32'))
    weights = save_random_weights(config, tmp_path / 'weights.pth')
    code, printed = run_command('export', weights, tmp_path / 'model.onnx', '--size', 64, 96)
    assert code == 0 and 'pads every picture' not in printed, printed
    code, printed = run_command('export', weights, tmp_path / 'model.onnx')
    assert code == 0 and 'The file pads every image to 128 x 128 pixels, PyTorch to multiples of 32' in printed


def test_what_cannot_be_exported_or_used_is_told(detector, tmp_path):
    model = load(detector, device='cpu')
    with pytest.raises(UserError, match=r"model.engine' must end in one of .onnx, .xml, .pt2"):
        export(model, tmp_path / 'model.engine')
    export(model, tmp_path / 'model.pt2', size=(32, 32))
    with pytest.raises(UserError, match='but the exported file takes 32 x 32; export it again with --size'):
        load(str(tmp_path / 'model.pt2'), trust=True).predict(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UserError, match='is an exported model, which contains its config; leave --config out'):
        load(str(tmp_path / 'model.pt2'), TINY)
    with pytest.raises(UserError, match='code can be hidden that runs when it is opened; .* add --trust'):
        load(str(tmp_path / 'model.pt2'))
    elsewhere = load(detector, device='cpu')
    elsewhere.trained.model.to('meta')
    with pytest.raises(UserError, match="exported from the CPU, but this one is on 'meta'; load it with device='cpu'"):
        export(elsewhere, tmp_path / 'elsewhere.onnx')
    for name in FORMATS:
        (tmp_path / f'broken_{name}').write_bytes(b'none')
        with pytest.raises(UserError, match="is not a .* file from 'hiera-mm export'"):
            load(str(tmp_path / f'broken_{name}'), trust=True)
    export_backbone(Hiera(dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))), tmp_path / 'backbone.pt2')
    with pytest.raises(UserError, match='is an exported backbone, which predicts nothing'):
        load(str(tmp_path / 'backbone.pt2'), trust=True)


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['xml', 'onnx'])
@pytest.mark.parametrize('what', ['detector', 'clips', 'backbone'])
def test_numbers_of_8_bits_give_nearly_the_same(run_command, detector, shapes, tmp_path, what, ending):
    """In a file of a third of the size, with ranges from the given inputs, also where those have many views."""
    inputs = shapes / 'train'
    if what == 'clips':
        make_motion_shapes(tmp_path / 'motion', train=6, val=1)
        inputs = tmp_path / 'motion' / 'train'
    model = {'detector': detector, 'clips': tmp_path / 'clips.pth', 'backbone': tmp_path / 'backbone.pth'}[what]
    if what != 'detector':
        save_random_weights(CLIPS if what == 'clips' else IMAGES, model)
    more = {'backbone': ['--backbone', '--size', 64, 64], 'clips': ['--size', 64, 64]}.get(what, [])
    for name, calibration in (('float', []), ('int8', ['--int8', inputs])):
        result = run_command('export', model, tmp_path / f'{name}.{ending}', *more, *calibration)
        assert result[0] == 0, result[1]
    exact, nearly = (str(tmp_path / f'{name}.{ending}') for name in ('float', 'int8'))
    holder = 'bin' if ending == 'xml' else ending
    weights = {name: (tmp_path / f'{name}.{holder}').stat().st_size for name in ('float', 'int8')}
    assert weights['int8'] < 0.6 * weights['float']
    if what == 'backbone':
        pixels = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
        maps = [open_exported(file).session(pixels=pixels) for file in (exact, nearly)]
        for one, other in zip(*maps, strict=True):
            assert 0 < np.abs(one - other).mean() < 0.25 * np.abs(one).mean()
        return
    example = min(inputs.rglob('*.png' if what == 'detector' else '*.mp4'))
    one, other = (load(file).predict(example) for file in (exact, nearly))
    if what == 'clips':
        assert 0 < np.abs(one.scores - other.scores).max() < 0.05
        return
    assert not np.array_equal(one.scores[:5], other.scores[:5])
    assert one.scores[:20] == pytest.approx(other.scores[:20], abs=0.05)


def test_numbers_of_8_bits_are_for_what_can_have_them(detector, tmp_path):
    with pytest.raises(UserError, match=r"are for names that end in .onnx or .xml, unlike '.*model.pt2'"):
        export(load(detector, device='cpu'), tmp_path / 'model.pt2', calibration=['a.png'])
    clips = Hiera(dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), num_frames=16)
    with pytest.raises(UserError, match='backbones of colour images; leave --int8 out'):
        export_backbone(clips, tmp_path / 'model.xml', calibration=['a.png'])
    assert not [*tmp_path.iterdir()]
