"""Odd files in a folder: each is predicted or named, the others are done, and a second run takes only the odd ones."""

import io

import nibabel
import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT, assert_explained, save_random_weights

CONFIGS = dict(detector='tiny_mask_rcnn', segmentor='tiny_upernet', classifier='tiny_in1k', autoencoder='tiny_mae')
NOISE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)


def encoded(pixels, kind='PNG'):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind)
    return file.getvalue()


ODD = {
    'thin.png': encoded(NOISE[:2].repeat(24, 1)),
    'high.png': encoded(NOISE[:, :1].repeat(30, 0)),
    'one.png': encoded(NOISE[:1, :1]),
    'dark.png': encoded(NOISE[..., 0].astype(np.uint16) * 12),
    'float.tiff': encoded(NOISE[..., 0].astype(np.float32), 'TIFF'),
    'cut.jpg': encoded(NOISE, 'JPEG')[:900],
    'empty.jpg': b'',
    'text.jpg': b'no image',
    'program.jpg': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n',
    'bomb.bmp': b'BM' + bytes(12) + np.array([40, 2**20, 2**20], '<i4').tobytes() + b'\1\0\x18\0' + bytes(24),
    'phone.heic': b'\0\0\0\x18ftypheic' + bytes(40),
}


@pytest.fixture(scope='module', params=CONFIGS)
def model(request, tmp_path_factory):
    name = CONFIGS[request.param]
    return save_random_weights(
        str(ROOT / 'tests' / 'data' / f'{name}.py'), tmp_path_factory.mktemp('m') / f'{name}.pth'
    )


def test_odd_images_do_not_stop_a_folder(run_command, model, tmp_path):
    (tmp_path / 'in').mkdir()
    for name in ('a.png', 'z.png'):
        (tmp_path / 'in' / name).write_bytes(encoded(NOISE))
    for name, content in ODD.items():
        (tmp_path / 'in' / name).write_bytes(content)
    arguments = ['predict', model, tmp_path / 'in', '--out-dir', tmp_path / 'out']
    code, printed = run_command(*arguments)
    assert code == 1 and 'Traceback' not in printed, printed
    told = [line for line in printed.splitlines() if line.startswith('Not read: ')]
    named = {name for name in ODD if any(name in line for line in told)}
    assert len(named) == len(told) and not any('a.png' in line or 'z.png' in line for line in told), told
    assert {'cut.jpg', 'empty.jpg', 'text.jpg', 'program.jpg', 'bomb.bmp', 'phone.heic', 'float.tiff'} <= named
    assert f'{2 + len(ODD) - len(told)} of {2 + len(ODD)} inputs' in printed
    code, again = run_command(*arguments)
    assert code == 1 and [line for line in again.splitlines() if line.startswith('Not read: ')] == told


def test_odd_scans_do_not_stop_a_folder(run_command, tmp_path):
    weights = save_random_weights(str(ROOT / 'tests' / 'data' / 'tiny_unetr.py'), tmp_path / 'volumes.pth')
    (tmp_path / 'in').mkdir()
    voxels = np.random.default_rng(0).normal(0, 50, (48, 48, 24)).astype(np.float32)
    holed = voxels.copy()
    holed[0, 0, 0] = np.nan
    for name, content, affine in (
        *((name, voxels, np.diag([1.5, 1.5, 2, 1])) for name in 'az'),
        *(('nan', holed, np.eye(4)), ('slice', voxels[..., 0], np.eye(4))),
        *(('colours', np.stack([voxels] * 3, -1), np.eye(4)), ('line', voxels[:1, :1], np.eye(4))),
    ):
        nibabel.save(nibabel.Nifti1Image(content, affine), tmp_path / 'in' / f'{name}.nii.gz')
    flat = nibabel.Nifti1Image(voxels, None)
    flat.header.set_sform(np.diag([1.5, 1.5, 0, 1]), code=1)
    nibabel.save(nibabel.Nifti1Image(voxels, None, flat.header), tmp_path / 'in' / 'flat.nii.gz')
    whole = (tmp_path / 'in' / 'a.nii.gz').read_bytes()
    (tmp_path / 'in' / 'cut.nii.gz').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'in' / 'text.nii').write_text('no volume')
    code, printed = run_command('predict', weights, tmp_path / 'in', '--out-dir', tmp_path / 'out')
    assert code == 1 and 'Traceback' not in printed, printed
    told = [line for line in printed.splitlines() if line.startswith('Not read: ')]
    for name in ('nan', 'flat', 'slice', 'colours', 'cut', 'text'):
        assert any(name in line for line in told), (name, told)
    masks = {path.name for path in (tmp_path / 'out' / 'masks').iterdir()}
    assert {'a.nii.gz', 'z.nii.gz'} <= masks and len(masks) + len(told) == 9


@pytest.mark.parametrize(
    'kind, options, said',
    [
        ('detector', ['--tile', 32, '--tile-overlap', 1.5], 'A tile needs a side above 0 and an overlap'),
        ('detector', ['--tile', 32, '--tile-overlap', -0.1], 'A tile needs a side above 0 and an overlap'),
        ('classifier', ['--window', 5], 'Windows are for models of clips'),
        ('classifier', ['--stride', 5], 'set their length as well: --window'),
    ],
)
def test_a_setting_that_cannot_be_meant_is_no_fault_of_the_inputs(run_command, tmp_path, kind, options, said):
    config = ROOT / 'tests' / 'data' / f'{CONFIGS[kind]}.py'
    weights = save_random_weights(str(config), tmp_path / 'model.pth')
    for name in ('a.png', 'b.png'):
        (tmp_path / name).write_bytes(encoded(NOISE))
    inputs = [tmp_path / 'a.png', tmp_path / 'b.png']
    result = run_command('predict', weights, *inputs, '--out-dir', tmp_path / 'out', *options)
    assert_explained(result, said)
    assert 'Not read' not in result[1]
