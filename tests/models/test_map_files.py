"""Maps kept in files: computed once, and never another's."""

from hiera_mm.errors import UserError
from hiera_mm.models import FeatureDistillation
from hiera_mm.models.map_files import MapFiles

import pytest
import torch
from torch import nn


class Counted:
    """A backbone that counts the images it computes."""

    def __init__(self, backbone):
        self.backbone, self.images = backbone, 0

    def __call__(self, pixels):
        self.images += len(pixels)
        with torch.no_grad():
            return [self.backbone(pixels), pixels.mean(dim=1, keepdim=True)]


def layer(seed=0):
    torch.manual_seed(seed)
    return nn.Conv2d(3, 4, 1)


def test_each_input_is_computed_once_and_read_as_it_was(tmp_path):
    backbone = layer()
    pixels, compute = torch.randn(5, 3, 8, 8), Counted(backbone)
    first = MapFiles(tmp_path / 'maps', backbone, '').of(pixels[:3], compute)
    again = MapFiles(tmp_path / 'maps', backbone, '').of(pixels[[2, 4, 0]], compute)
    assert compute.images == 4 and len(list((tmp_path / 'maps').iterdir())) == 4
    for one, other, exact in zip(first, again, Counted(backbone)(pixels[:3]), strict=True):
        assert torch.equal(one[0], other[2]) and torch.equal(one[2], other[0])
        torch.testing.assert_close(one, exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('other', ['input', 'size', 'type', 'weights', 'settings'])
def test_maps_of_others_are_never_taken(tmp_path, other):
    pixels, backbone, settings = torch.zeros(1, 3, 8, 8), layer(), 'a'
    MapFiles(tmp_path, backbone, settings).of(pixels, Counted(backbone))
    if other == 'input':
        pixels = pixels + 1e-6
    elif other == 'size':
        pixels = torch.zeros(1, 3, 4, 16)
    elif other == 'type':
        pixels, backbone = torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16), backbone
    elif other == 'weights':
        backbone = layer(1)
    else:
        settings = 'b'
    kept = MapFiles(tmp_path, backbone, settings)
    compute = Counted(lambda given: torch.zeros(len(given), 4))
    kept.of(pixels, compute)
    assert compute.images == 1


@pytest.mark.parametrize('damage', ['empty', 'cut', 'text'])
def test_a_damaged_file_is_named(tmp_path, damage):
    backbone = layer()
    kept, pixels = MapFiles(tmp_path, backbone, ''), torch.randn(1, 3, 8, 8)
    kept.of(pixels, Counted(backbone))
    (file,) = tmp_path.iterdir()
    file.write_bytes({'empty': b'', 'cut': file.read_bytes()[:-20], 'text': b'maps'}[damage])
    with pytest.raises(UserError, match=f"'{file}' can't be read .* delete the file"):
        kept.of(pixels, Counted(backbone))
    # As it says.
    file.unlink()
    assert len(kept.of(pixels, Counted(backbone))) == 2


def test_a_distillation_learns_the_same_from_kept_maps(tmp_path):
    small = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
    pixels, losses = torch.randn(2, 1, 3, 64, 64), []
    for folder in (None, str(tmp_path), str(tmp_path)):
        torch.manual_seed(0)
        teacher = dict(type='Hiera', arch=small)
        model = FeatureDistillation(dict(type='Hiera', arch=small), teacher, maps_folder=folder)
        if len(losses) == 2:
            model.taught = None
        losses.append(sum(model(pixels, mode='loss').values()))
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)
    assert losses[1] == losses[2]
