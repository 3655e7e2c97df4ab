"""Few-shot evaluation of frozen features, by a linear classifier and by nearest neighbours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hiera_mm.datasets.images import ReadImage
from hiera_mm.errors import UserError, examples
from hiera_mm.evaluation.features import linear_classifier, nearest_neighbours
from hiera_mm.inference.images import DEVIATION, MEAN
from hiera_mm.models import Hiera
from hiera_mm.readers.image_lists import LabelledImages

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracies of each draw, 0 to 1."""

    linear: list[float]
    neighbours: list[float]


def probe(
    backbone: Hiera,
    training: LabelledImages,
    validation: LabelledImages,
    shots: int | None = 10,
    draws: int = 3,
    size: int = 224,
    batch_size: int = 16,
    seed: int = 0,
) -> Accuracy:
    """Fit two classifiers on the mean of the frozen backbone's last map, and test them.

    They are :func:`~hiera_mm.evaluation.features.linear_classifier` and
    :func:`~hiera_mm.evaluation.features.nearest_neighbours`.

    Args:
        backbone: A backbone for images, in evaluation mode.
        training, validation: Images with labels of the same classes.
        shots: Training images of each class, drawn at random; None for all.
        draws: Number of random draws; one is enough for all images.
        size: Side of the centre crop in pixels, as in the official example.
        batch_size: Images computed together.
        seed: Seed of the draws.

    Raises:
        UserError: if a class has fewer images than shots, or the backbone is for clips or other channels.
        BrokenFileError: for an image that can't be read.
    """
    if backbone.num_frames is not None:
        raise UserError('A backbone for clips is not supported; use one for images.')
    if backbone.in_channels != 3:
        raise UserError(f'A backbone of {backbone.in_channels} channels is not supported; use one for RGB images.')
    labels = np.array([label for _, label in training.entries])
    chosen = [_drawn(labels, shots, np.random.default_rng([seed, draw]), training) for draw in range(draws)]
    needed = sorted({place for places in chosen for place in places})
    paths = [training.entries[place][0] for place in needed] + [path for path, _ in validation.entries]
    features = _features(backbone, paths, size, batch_size)
    feature_of = dict(zip(needed, features[: len(needed)], strict=True))
    tested, truth = features[len(needed) :], np.array([label for _, label in validation.entries])
    accuracy = Accuracy([], [])
    for places in chosen:
        given, known = np.stack([feature_of[place] for place in places]), labels[places]
        classifiers = (linear_classifier(), accuracy.linear), (nearest_neighbours(known), accuracy.neighbours)
        for classifier, found in classifiers:
            found.append(float((classifier.fit(given, known).predict(tested) == truth).mean()))
    return accuracy


def _drawn(
    labels: np.ndarray, shots: int | None, random: np.random.Generator, training: LabelledImages
) -> Sequence[int]:
    if shots is None:
        return range(len(labels))
    places = {label: np.flatnonzero(labels == label) for label in np.unique(labels)}
    if few := [label for label, found in places.items() if len(found) < shots]:
        names = training.classes or [str(label) for label in range(labels.max() + 1)]
        raise UserError(
            f'{examples([names[label] for label in few])} of the classes have fewer than {shots} training images; '
            'lower --shots.'
        )
    return np.concatenate([random.choice(found, shots, replace=False) for found in places.values()]).tolist()


class _Images(Dataset):
    def __init__(self, paths: Sequence[str], size: int) -> None:
        self.paths, self.read = paths, ReadImage()
        self.prepare: Callable = transforms.Compose(
            [
                transforms.Resize(round(size * 256 / 224), transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(size),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, DEVIATION),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> torch.Tensor:
        return self.prepare(Image.fromarray(self.read.transform(dict(img_path=self.paths[place]))['imgs'][0]))


@torch.no_grad()
def _features(backbone: Hiera, paths: Sequence[str], size: int, batch_size: int) -> np.ndarray:
    """Features ``(images, channels)``."""
    device = next(backbone.parameters()).device
    loader = DataLoader(_Images(paths, size), batch_size)
    found = [
        backbone(pixels.to(device))[-1].mean((2, 3)).float().cpu().numpy() for pixels in track(loader, 'Computing')
    ]
    return np.concatenate(found)
