"""The predictor of volume segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hiera_mm.complexity import channels_of
from hiera_mm.config import in_scope
from hiera_mm.datasets.volumes import explained_steps, packed, pipeline_input, volume_steps
from hiera_mm.inference.images import one_or_several
from hiera_mm.inference.running import running
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.readers.inputs import Kind
from hiera_mm.readers.listed_volumes import VolumePair
from hiera_mm.readers.volumes import Header, read_header

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

Volume = str | Path | Sequence[str | Path]
"""A file, or the files with the channels of one volume."""


@dataclass(frozen=True)
class VolumeSegmentation:
    """The class of every voxel of a volume.

    Attributes:
        labels: Class numbers ``(X, Y, Z)``, unsigned bytes, on the file's voxel grid.
        header: The file's header.
        names: Names of the classes, by number.
    """

    labels: np.ndarray
    header: Header
    names: Sequence[str]

    @property
    def affine(self) -> np.ndarray:
        """The matrix ``(4, 4)`` from voxel indices to millimetres."""
        return self.header.affine

    def millilitres(self) -> dict[str, float]:
        """Millilitres of each class."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names))
        voxel_volume = abs(np.linalg.det(self.affine[:3, :3])) / 1000
        return {name: float(count * voxel_volume) for name, count in zip(self.names, counts, strict=True)}


class VolumeSegmenter:
    """Predicts NIfTI files with a :class:`hiera_mm.models.VolumeEncoderDecoder`.

    Args:
        trained: The model.
        classes: Names of its classes; by default those of its training.

    Raises:
        UserError: if the number of names differs from that of classes; without MONAI.
    """

    kinds: Sequence[Kind] = (Kind.VOLUME,)

    def __init__(self, trained: TrainedModel, classes: Sequence[str] | None = None) -> None:
        self.trained, self.names = trained, trained.classes(classes)
        with in_scope(trained.config):
            self.steps = volume_steps(trained.test_pipeline)

    def predict(self, volumes: Volume | Sequence[Volume]) -> VolumeSegmentation | list[VolumeSegmentation]:
        """Segment one volume, or each of a list.

        Args:
            volumes: Paths of NIfTI files; in a list, a volume whose channels lie in several files is a tuple of these,
                of which the first one tells where voxels lie.

        Raises:
            BrokenFileError: for a file that is missing or not a volume.
            UserError: for voxels that are not numbers, and for a number of channels that the model does not take.
        """
        return one_or_several(lambda given: [self._segment(_files(one)) for one in given], volumes)

    def _segment(self, files: tuple[str, ...]) -> VolumeSegmentation:
        header = read_header(files[0])
        given = pipeline_input(VolumePair(files, None), len(self.names), channels_of(self.trained.config.model))
        with explained_steps():
            sample = packed(self.steps(given))
        with running(self.trained):
            (found,) = self.trained.model.test_step(pseudo_collate([sample]))
        labels = _to_file_grid(found.predicted[0].permute(2, 1, 0).cpu(), found.affine, header.affine, header.shape[:3])
        return VolumeSegmentation(labels, header, self.names)


def _files(volume: Volume) -> tuple[str, ...]:
    return tuple(map(str, [volume] if isinstance(volume, str | Path) else volume))


def _to_file_grid(labels: torch.Tensor, affine: np.ndarray, wanted: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Resample labels ``(X, Y, Z)`` to the file's voxel grid, by nearest neighbour, with background where the pipeline
    cropped."""
    from monai.data import MetaTensor
    from monai.transforms import SpatialResample

    resample = SpatialResample(mode='nearest', padding_mode='zeros')
    placed = resample(
        MetaTensor(labels[None].float(), affine=torch.as_tensor(affine)),
        dst_affine=torch.as_tensor(wanted),
        spatial_size=tuple(shape),
    )
    return placed[0].numpy().round().astype(np.uint8)
