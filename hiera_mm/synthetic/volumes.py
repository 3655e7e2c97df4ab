"""Generated volumes of ellipsoids and tubes: NIfTI files, and a list in the Medical Segmentation Decathlon's format."""

import json
from pathlib import Path

from hiera_mm.errors import require_extra
from hiera_mm.synthetic.shapes import write_once

import numpy as np
from numpy.random import Generator
from scipy.ndimage import distance_transform_edt

NAMES = ('background', 'ellipsoid', 'tube')
SHAPE = (72, 72, 40)
SPACING = (1.5, 1.5, 2.0)
"""Size of a voxel in millimetres."""

MAX_OBJECTS = 3
"""How many objects of each class a volume has at most."""


def make_volume_shapes(folder: str | Path, train: int = 24, val: int = 6, seed: int = 0) -> None:
    """Write ``images/*.nii.gz``, ``labels/*.nii.gz`` and ``dataset.json`` with the lists ``training`` and
    ``validation``.

    Volumes have 72 x 72 x 40 voxels of 1.5 x 1.5 x 2 mm, in Hounsfield units like CT: noise around -50, and up to three
    ellipsoids and three bent tubes of 20 to 180, so that brightness does not tell the classes apart. The first axis
    points right or left, as in files of different scanners. The same arguments always give the same voxels; a folder
    that already holds them is left alone.

    Args:
        folder: Where to write the set; another generated set there is replaced.
        train, val: Number of volumes in each part.
        seed: Seed of the random generator.

    Raises:
        UserError: if the folder holds anything but a generated set; without nibabel.
    """
    require_extra('nibabel', 'volumes')
    write_once(Path(folder), dict(kind='volumes', train=train, val=val, seed=seed, version=1), _write_part)


def _write_part(folder: Path, part: str, count: int, random: Generator) -> None:
    listed = []
    for number in range(1, count + 1):
        image, labels = draw_volume(random)
        to_the_right = bool(random.integers(2))
        entry = {name: f'{name}s/{part}_{number:03d}.nii.gz' for name in ('image', 'label')}
        save_volume(folder / entry['image'], image, to_the_right)
        save_volume(folder / entry['label'], labels, to_the_right)
        listed.append(entry)
    path = folder / 'dataset.json'
    content = json.loads(path.read_text()) if path.exists() else dict(labels=dict(enumerate(NAMES)))
    path.write_text(json.dumps(content | {dict(train='training', val='validation')[part]: listed}, indent=1))


def draw_volume(random: Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image of 16 bits and its labels of 8 bits, both ``(X, Y, Z)``."""
    image = random.normal(-50, 25, SHAPE)
    labels = np.zeros(SHAPE, np.uint8)
    for draw, label in ((_ellipsoid, 1), (_tube, 2)):
        for _ in range(random.integers(1, MAX_OBJECTS + 1)):
            inside = draw(random)
            labels[inside] = label
            image[inside] = random.normal(random.uniform(20, 180), 25, int(inside.sum()))
    return image.round().astype(np.int16), labels


def save_volume(path: Path, voxels: np.ndarray, to_the_right: bool = True) -> None:
    """Write voxels ``(X, Y, Z)`` of :data:`SPACING` as a NIfTI file whose first axis points to the right or left."""
    import nibabel

    affine = np.diag([*SPACING, 1.0])
    if not to_the_right:
        affine[0, 0] *= -1
        affine[0, 3] = (SHAPE[0] - 1) * SPACING[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


def _millimetres() -> np.ndarray:
    """The position of each voxel, ``(X, Y, Z, 3)``."""
    return np.stack(
        np.meshgrid(*(np.arange(n) * step for n, step in zip(SHAPE, SPACING, strict=True)), indexing='ij'), -1
    )


def _somewhere(random: Generator, margin: float) -> np.ndarray:
    whole = np.array(SHAPE) * SPACING
    return random.uniform(margin, whole - margin)


def _ellipsoid(random: Generator) -> np.ndarray:
    axes, _ = np.linalg.qr(random.normal(size=(3, 3)))
    radii = random.uniform(9, 18, size=3)
    return (((_millimetres() - _somewhere(random, 15)) @ axes / radii) ** 2).sum(-1) < 1


def _tube(random: Generator) -> np.ndarray:
    """The mask of a tube around an arc through three random positions."""
    start, middle, end = (_somewhere(random, 8) for _ in range(3))
    along = np.linspace(0, 1, 200)[:, None]
    arc = (1 - along) ** 2 * start + 2 * along * (1 - along) * middle + along**2 * end
    outside = np.ones(SHAPE, bool)
    outside[tuple((arc / SPACING).round().astype(int).T)] = False
    return distance_transform_edt(outside, sampling=SPACING) < random.uniform(4, 6)
