"""Classes of voxels in the places of the file, whatever the pipeline did to them."""

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.synthetic.volumes import draw_volume
from hiera_mm.tasks import load
from hiera_mm.tasks.volumes import VolumeSegmenter
from hiera_mm.tasks.volumes.volume_segmenter import _to_file_grid

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, CropForeground, Orientation, Spacing

from tests.helpers import ROOT, perturbed, save_random_weights

CONFIG = ROOT / 'tests' / 'data' / 'tiny_unetr.py'


@pytest.fixture
def segmenter(tmp_path):
    save_random_weights(CONFIG, tmp_path / 'model.pth', seed=3)
    model = load(str(tmp_path / 'model.pth'), config=str(CONFIG))
    assert isinstance(model, VolumeSegmenter)
    # So that untrained weights find more than one class.
    out = perturbed(model.trained.model).decoder.out.conv.conv
    out.bias.data.zero_()
    return model


def affine(flips=(1, 1, 1), order=(0, 1, 2), shape=(1, 1, 1)):
    """Of voxels of 1.5 x 1.5 x 2 mm whose axes are exchanged and turned round, at the same places."""
    rows = np.zeros((4, 4))
    rows[3, 3] = 1
    for axis, (flip, to) in enumerate(zip(flips, order, strict=True)):
        rows[to, axis] = flip * (1.5, 1.5, 2.0)[to]
        rows[to, 3] += (1.5, 1.5, 2.0)[to] * (shape[axis] - 1) if flip < 0 else 0
    return rows


def saved(path, voxels, flips=(1, 1, 1), order=(0, 1, 2)):
    turned = voxels.transpose(order)
    turned = turned[tuple(slice(None, None, flip) for flip in flips)].copy()
    nibabel.save(nibabel.Nifti1Image(turned, affine(flips, order, turned.shape)), path)
    return str(path)


TURNS = [((-1, 1, 1), (0, 1, 2)), ((1, -1, -1), (1, 0, 2)), ((-1, 1, -1), (2, 0, 1))]


@pytest.mark.parametrize('flips, order', TURNS)
def test_one_body_written_in_other_ways_gets_the_same_classes(segmenter, tmp_path, flips, order):
    image, _ = draw_volume(np.random.default_rng(1))
    plain = segmenter.predict(saved(tmp_path / 'plain.nii.gz', image))
    other = segmenter.predict(saved(tmp_path / 'other.nii', image, flips, order))
    assert plain.labels.shape == image.shape and len(np.unique(plain.labels)) > 1
    back = other.labels[tuple(slice(None, None, flip) for flip in flips)].transpose(np.argsort(order))
    assert (back == plain.labels).mean() > 0.999
    assert sum(plain.millilitres().values()) == pytest.approx(image.size * 1.5 * 1.5 * 2 / 1000)
    assert list(plain.millilitres()) == ['background', 'ellipsoid', 'tube']
    assert sum(other.millilitres().values()) == pytest.approx(sum(plain.millilitres().values())), 'mirrored or not'


@pytest.mark.parametrize('flips, order', [((1, 1, 1), (0, 1, 2)), *TURNS])
def test_labels_come_back_through_turning_cutting_and_resampling(flips, order):
    _, labels = draw_volume(np.random.default_rng(2))
    labels = labels.transpose(order)[tuple(slice(None, None, flip) for flip in flips)].copy()
    given = MetaTensor(
        torch.from_numpy(labels)[None].float(), affine=torch.as_tensor(affine(flips, order, labels.shape))
    )
    exact = Compose([Orientation('RAS', labels=None), CropForeground()])(given)
    found = _to_file_grid(exact[0].as_tensor(), exact.affine.numpy(), given.affine.numpy(), labels.shape)
    np.testing.assert_array_equal(found, labels)
    finer = Compose([Orientation('RAS', labels=None), Spacing((0.5, 0.5, 0.5), mode='nearest')])(given)
    found = _to_file_grid(finer[0].as_tensor(), finer.affine.numpy(), given.affine.numpy(), labels.shape)
    inside = tuple(slice(1, -1) for _ in range(3))
    assert (found[inside] == labels[inside]).mean() > 0.999


def test_several_volumes_and_what_is_none(segmenter, tmp_path):
    image, _ = draw_volume(np.random.default_rng(1))
    paths = [saved(tmp_path / f'{number}.nii.gz', image) for number in range(2)]
    assert [found.labels.shape for found in segmenter.predict(paths)] == [image.shape] * 2
    (tmp_path / 'broken.nii.gz').write_text('none')
    with pytest.raises(BrokenFileError, match='broken.nii.gz'):
        segmenter.predict(str(tmp_path / 'broken.nii.gz'))
    with pytest.raises(UserError, match='has 2 channels, but the model takes 1'):
        two = nibabel.Nifti1Image(np.stack([image] * 2, -1), affine())
        nibabel.save(two, tmp_path / 'two.nii.gz')
        segmenter.predict(str(tmp_path / 'two.nii.gz'))


@pytest.fixture
def of_two(tmp_path):
    """A model of CT and another modality."""
    path = tmp_path / 'two.py'
    path.write_text(f"_base_ = '{CONFIG}'\nchannels = 2\nintensity_range = [(-175, 250), 'zscore']\n")
    save_random_weights(path, tmp_path / 'two.pth', seed=3)
    model = load(str(tmp_path / 'two.pth'), config=str(path))
    perturbed(model.trained.model).decoder.out.conv.conv.bias.data.zero_()
    return model


def test_files_of_one_volume_are_a_tuple_in_a_list(of_two, tmp_path):
    image, _ = draw_volume(np.random.default_rng(1))
    other = (300 - image).astype(np.int16)
    files = saved(tmp_path / 'a.nii.gz', image), saved(tmp_path / 'b.nii.gz', other)
    turned = saved(tmp_path / 'c.nii.gz', other, (1, -1, -1), (1, 0, 2))
    nibabel.save(nibabel.Nifti1Image(np.stack([image, other], -1), affine()), tmp_path / 'both.nii.gz')
    one, again, exchanged, joined = of_two.predict([files, (files[0], turned), files[::-1], tmp_path / 'both.nii.gz'])
    assert len(np.unique(one.labels)) > 1 and one.labels.shape == image.shape
    np.testing.assert_array_equal(one.labels, joined.labels)
    assert (one.labels == again.labels).mean() > 0.999
    assert (one.labels != exchanged.labels).any(), 'channels are told apart'


def test_labels_have_the_voxels_of_the_first_file(of_two, tmp_path):
    image, _ = draw_volume(np.random.default_rng(1))
    first = saved(tmp_path / 'a.nii.gz', image, (-1, 1, -1), (2, 0, 1))
    finer = nibabel.Nifti1Image(np.repeat(image, 2, 2), affine() @ np.diag([1, 1, 0.5, 1]))
    nibabel.save(finer, tmp_path / 'b.nii.gz')
    (found,) = of_two.predict([(first, str(tmp_path / 'b.nii.gz'))])
    assert found.labels.shape == nibabel.load(first).shape
    np.testing.assert_array_equal(found.affine, nibabel.load(first).affine)


def test_a_volume_that_lacks_a_channel_is_told(of_two, tmp_path):
    image, _ = draw_volume(np.random.default_rng(1))
    path = saved(tmp_path / 'a.nii.gz', image)
    with pytest.raises(UserError, match=r"a.nii.gz' has 1 channel, but the model takes 2 .channels in its config"):
        of_two.predict(path)
    with pytest.raises(BrokenFileError, match='gone.nii.gz'):
        of_two.predict([(path, 'gone.nii.gz')])
