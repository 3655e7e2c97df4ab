"""The class of every voxel of volumes."""

from collections.abc import Sequence
from pathlib import Path

from hiera_mm.datasets.volumes import item_of, packed, sentences_of_steps, volume_steps
from hiera_mm.inference.pictures import one_or_several
from hiera_mm.inference.results import VolumeSegmentation
from hiera_mm.inference.trained import TrainedModel, in_scope
from hiera_mm.readers.volumes import VolumePair, header_of

import numpy as np
import torch
from mmengine.dataset import pseudo_collate


class VolumeSegmenter:
    """A :class:`hiera_mm.models.volume_segmentor.VolumeSegmentor` that takes NIfTI files.

    Args:
        trained: The model.
        classes: Names of its classes; by default those of its training.

    Raises:
        UserError: for another number of names than classes; without MONAI.
    """

    def __init__(self, trained: TrainedModel, classes: Sequence[str] | None = None) -> None:
        self.trained, self.names = trained, trained.classes(classes)
        with in_scope(trained.config):
            self.steps = volume_steps(trained.test_pipeline)

    def predict(self, volumes: str | Path | Sequence[str | Path]) -> VolumeSegmentation | list[VolumeSegmentation]:
        """The classes of one volume's voxels, or a list of them for a list of volumes.

        Args:
            volumes: Paths of NIfTI files.

        Raises:
            BrokenFileError: for a file that is missing or no volume.
            UserError: for voxels that are no numbers, and a number of channels that the model does not take.
        """
        return one_or_several(lambda paths: [self._of(str(path)) for path in paths], volumes)

    @torch.no_grad()
    def _of(self, path: str) -> VolumeSegmentation:
        header = header_of(path)
        with sentences_of_steps():
            sample = packed(self.steps(item_of(VolumePair(path, None), len(self.names))))
        with in_scope(self.trained.config):
            (found,) = self.trained.model.test_step(pseudo_collate([sample]))
        labels = _as_the_file(found.predicted[0].permute(2, 1, 0).cpu(), found.affine, header.affine, header.shape[:3])
        return VolumeSegmentation(labels, header.affine, self.names)


def _as_the_file(labels: torch.Tensor, affine: np.ndarray, wanted: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Labels ``(X, Y, Z)`` of the pipeline's voxels at those of the file: the nearest, and background where the
    pipeline cut off."""
    from monai.data import MetaTensor
    from monai.transforms import SpatialResample

    resample = SpatialResample(mode='nearest', padding_mode='zeros')
    placed = resample(
        MetaTensor(labels[None].float(), affine=torch.as_tensor(affine)),
        dst_affine=torch.as_tensor(wanted),
        spatial_size=tuple(shape),
    )
    return placed[0].numpy().round().astype(np.uint8)
