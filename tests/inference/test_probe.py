"""hiera-mm probe: frozen features of weights that know the classes and of others, against classifiers made by hand."""

from hiera_mm.errors import UserError
from hiera_mm.inference.probe import probe
from hiera_mm.models import Hiera
from hiera_mm.readers.image_lists import read_images

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import OFFICIAL_PREPARATION, assert_explained

TINY = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
COLOURS = dict(blue=(30, 40, 220), green=(40, 200, 60), red=(220, 50, 30))


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Pictures whose class is their colour, which random features tell."""
    folder, random = tmp_path_factory.mktemp('images'), np.random.default_rng(0)
    for part, count in (('train', 6), ('val', 4)):
        for name, colour in COLOURS.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                noisy = np.clip(np.array(colour) + random.normal(0, 25, (64, 80, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(folder / part / name / f'{number}.png')
    return folder


@pytest.fixture
def backbone():
    return Hiera(TINY, out_indices=(3,)).eval()


def test_colours_are_told_apart_and_shuffled_labels_are_not(backbone, images):
    training, validation = read_images(images / 'train'), read_images(images / 'val')
    found = probe(backbone, training, validation, shots=4, draws=2)
    assert found.linear == found.neighbours == [1.0, 1.0]
    labels = [label for _, label in training.entries]
    wrong = [(path, (label + 1) % 3) for (path, _), label in zip(training.entries, labels, strict=True)]
    found = probe(backbone, training._replace(entries=wrong), validation, shots=None, draws=1)
    assert found.linear == found.neighbours == [0.0]


def test_neighbours_are_the_nearest_by_cosine_of_the_mean_of_the_last_map(backbone, images):
    training, validation = read_images(images / 'train'), read_images(images / 'val')
    (found,) = probe(backbone, training, validation, shots=None, draws=1, batch_size=5).neighbours

    def vectors(entries):
        with torch.no_grad():
            each = [backbone(OFFICIAL_PREPARATION(Image.open(path))[None])[0].mean((2, 3)) for path, _ in entries]
        return torch.nn.functional.normalize(torch.cat(each))

    similar = vectors(validation.entries) @ vectors(training.entries).T
    labels = torch.tensor([label for _, label in training.entries])
    guessed = [labels[row.topk(6).indices].mode().values.item() for row in similar]
    assert found == np.mean([guess == label for guess, (_, label) in zip(guessed, validation.entries, strict=True)])


def test_draws_are_the_same_each_time_and_differ_among_each_other(backbone, images):
    training, validation = read_images(images / 'train'), read_images(images / 'val')
    first, again = (probe(backbone, training, validation, shots=1, draws=3, seed=1) for _ in range(2))
    assert first == again and len(first.linear) == 3


def test_faults_are_told(run_command, backbone, images, tmp_path):
    training, validation = read_images(images / 'train'), read_images(images / 'val')
    with pytest.raises(UserError, match=r'3 \(blue, green, red\) of the classes have fewer than 7'):
        probe(backbone, training, validation, shots=7)
    with pytest.raises(UserError, match='backbone for clips'):
        probe(Hiera(TINY, num_frames=4), training, validation)
    torch.save(backbone.state_dict(), tmp_path / 'weights.pth')
    assert_explained(run_command('probe', tmp_path / 'weights.pth', images, '--shots', 'few'), '--shots', "'few'")
    assert_explained(run_command('probe', tmp_path / 'weights.pth', images / 'none'), 'none/train', 'does not exist')


def test_the_command_prints_both_and_what_a_guess_would_be(run_command, images, tmp_path):
    run = tmp_path / 'run'
    run.mkdir()
    text = f"model = dict(backbone=dict(type='Hiera', arch={TINY}))"
    state = {f'backbone.{key}': value for key, value in Hiera(TINY).state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(cfg=text)), run / 'iter_1.pth')
    (run / 'last_checkpoint').write_text('iter_1.pth')
    code, printed = run_command('probe', run / 'iter_1.pth', images, '--shots', 2, '--size', 64)
    assert code == 0, printed
    assert '12 images of 3 classes, from 2 images per class, 3 draws; chance is 0.333' in printed
    assert 'linear classifier  top-1 ' in printed and 'nearest neighbours top-1 ' in printed
