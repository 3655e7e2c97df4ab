"""Volumes that tests write."""

import json

import nibabel
import numpy as np

AFFINE = np.diag([1.5, 1.5, 2, 1.0])


def save(path, voxels, affine=AFFINE):
    """Write a NIfTI file; gives its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return str(path)


def flipped(voxels, axes=(0, 1), affine=AFFINE):
    """The same body counted from the other sides of some axes: voxels and affine."""
    turn = np.eye(4)
    for axis in axes:
        turn[axis, axis], turn[axis, 3] = -1, voxels.shape[axis] - 1
    return np.flip(voxels, axes).copy(), affine @ turn


def write_list(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
