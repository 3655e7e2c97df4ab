"""The predictor of masked autoencoding: reconstructions as images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.config import in_scope
from hiera_mm.datasets.volumes import explained_steps, packed, pipeline_input, volume_steps
from hiera_mm.errors import UserError
from hiera_mm.inference.images import one_or_several
from hiera_mm.inference.running import running
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.readers.channels import visible
from hiera_mm.readers.inputs import Kind
from hiera_mm.readers.listed_volumes import VolumePair

import numpy as np
import torch
from mmcv.transforms import Compose
from torch import Tensor

GAP = 4
"""White pixels between the columns and rows."""

SLACK = 1e-3
"""How far rounding takes intensities beyond 0 and 1."""


class Reconstruction(NamedTuple):
    """An image ``(H, W, 3)``, RGB, and the loss on the masked patches."""

    image: np.ndarray
    loss: float


class Reconstructor:
    """Reconstructs an image, the middle clip of a video, or the middle crop of a volume, as prepared by the config's
    ``test_pipeline``.

    The resulting image has the original, the visible part, and the reconstruction side by side; for a clip or a volume
    in a row for every second frame or slice. Visible patches are copied to the reconstruction. The model predicts
    normalised patches, so their mean and deviation are taken from the original: the brightness and contrast of a patch
    are not predicted. Of several channels of an image the first three are shown.

    Args:
        trained: A masked autoencoder.

    Raises:
        UserError: for a config without a ``test_pipeline``, and for volumes of several channels.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self.trained, self.names = trained, ()
        self.model, self.config = trained.model, trained.config
        if 'test_pipeline' not in self.config:
            raise UserError(
                f"The config of '{trained.source}' has no test_pipeline, which prepares the input; add one as in "
                'configs/_base_/datasets/imagenet_mae.py.'
            )
        first = self.config.test_pipeline[0]
        self.reader = trained.channels
        if self.reader is None and self.model.channels not in (1, 3):
            raise UserError(
                f"'{trained.source}' reconstructs {self.model.channels} channels, but an image has one or three; there "
                'is nothing to show.'
            )
        self.kinds = dict(ReadImage=(Kind.IMAGE,), LoadVolumes=(Kind.VOLUME,)).get(first.type, (Kind.VIDEO,))
        self.takes_volumes = self.kinds == (Kind.VOLUME,)

    def predict(self, paths: str | Path | Sequence[str | Path], seed: int = 0) -> Reconstruction | list[Reconstruction]:
        """Mask one input, or each of a list, at random with ``seed``, and reconstruct it.

        Raises:
            BrokenFileError: for a file that can't be read.
        """
        return one_or_several(lambda given: [self._reconstruct(path, seed) for path in given], paths)

    def _reconstruct(self, path: str | Path, seed: int) -> Reconstruction:
        pixels = self._read(path)
        with running(self.trained):
            return self._reconstructed(pixels, seed)

    def _reconstructed(self, pixels: Tensor, seed: int) -> Reconstruction:
        keep = self.model.random_keep(1, generator=torch.Generator().manual_seed(seed)).to(pixels.device)
        predicted, patches = self.model.reconstruct(pixels, keep), self.model.patches(pixels)
        deviation, mean = torch.std_mean(patches, dim=-1, keepdim=True)
        visible = keep[..., None, None]
        columns = [
            patches,
            torch.where(visible, patches, 0),
            torch.where(visible, patches, predicted * deviation + mean),
        ]
        frames = [self.model.frames(column) for column in columns]
        shown = self._bytes_of(frames) if self.reader is None else self._channels(frames)
        return Reconstruction(_side_by_side(shown), float(self.model.loss_of(predicted, pixels, keep)))

    def _read(self, path: str | Path) -> Tensor:
        """The normalised pixels of one image, clip or crop, a batch of one."""
        if self.takes_volumes:
            return self._read_volume(str(path))
        with in_scope(self.config):
            pipeline = Compose(self.config.test_pipeline)
        sample = pipeline(dict(img_path=str(path), filename=str(path), start_index=0, modality='RGB'))
        batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
        return self.model.data_preprocessor(batch)['inputs'][:, 0]

    def _read_volume(self, path: str) -> Tensor:
        from monai.transforms import ResizeWithPadOrCrop

        with in_scope(self.config), explained_steps():
            sample = packed(volume_steps(self.config.test_pipeline)(pipeline_input(VolumePair((path,), None), 0)))
        (volume,) = sample['inputs']
        crop: Any = ResizeWithPadOrCrop(self.model.input_size)(volume)
        batch = dict(inputs=[crop.as_tensor()[None]], data_samples=[sample['data_samples']])
        return self.model.data_preprocessor(batch)['inputs'][:, 0]

    def _bytes_of(self, columns: list[Tensor]) -> list[np.ndarray]:
        scale = self._scale(columns[0])
        return [self._bytes(frames, *scale) for frames in columns]

    def _scale(self, frames: Tensor) -> tuple[float, float]:
        """What is drawn black and white, of normalised frames of the original."""
        if not self.takes_volumes:
            return 0.0, 255.0
        # Intensities of volumes are between 0 and 1, but those that are deviations from their mean.
        low, high = (float(pixels) for pixels in torch.aminmax(self._pixels(frames)))
        return (0.0, 1.0) if low > -SLACK and high < 1 + SLACK else (low, high)

    def _pixels(self, frames: Tensor) -> Tensor:
        """Normalised ``(1, channels, N, H, W)`` to ``(channels, N, H, W)`` as the pipeline gives them."""
        preprocessor = self.model.data_preprocessor
        return frames[0] * preprocessor.std.reshape(-1, 1, 1, 1) + preprocessor.mean.reshape(-1, 1, 1, 1)

    def _bytes(self, frames: Tensor, black: float, white: float) -> np.ndarray:
        """Normalised ``(1, channels, N, H, W)`` to ``(N, H, W, 3)`` of unsigned bytes."""
        pixels = (self._pixels(frames).expand(3, -1, -1, -1) - black) * (255 / (white - black))
        return pixels.round().clamp(0, 255).byte().permute(1, 2, 3, 0).cpu().numpy()

    def _channels(self, columns: list[Tensor]) -> list[np.ndarray]:
        """As :meth:`_bytes` for images of any number of channels, all on the scale of the first column."""
        arrays = [self._pixels(frames)[:, 0].permute(1, 2, 0).cpu().numpy() for frames in columns]
        lowest, highest = arrays[0].min(), arrays[0].max()
        beside = visible(np.concatenate([array.clip(lowest, highest) for array in arrays], axis=1))
        return [column[None] for column in np.split(beside, len(arrays), axis=1)]


def _side_by_side(columns: list[np.ndarray]) -> np.ndarray:
    """Join columns ``(N, H, W, 3)`` to one image, with frames as rows."""
    framed = [np.pad(column, [(0, 0), (0, GAP), (0, GAP), (0, 0)], constant_values=255) for column in columns]
    return np.concatenate([np.concatenate(column) for column in framed], axis=1)[:-GAP, :-GAP]
