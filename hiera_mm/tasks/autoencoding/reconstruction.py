"""What a masked autoencoder makes of an image, a clip or a volume, as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.datasets.volumes import explained_steps, packed, pipeline_input, volume_steps
from hiera_mm.errors import UserError
from hiera_mm.inference.images import one_or_several
from hiera_mm.inference.loading import in_scope
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.readers.inputs import Kind
from hiera_mm.readers.volumes import VolumePair

import numpy as np
import torch
from mmcv.transforms import Compose
from torch import Tensor

GAP = 4
"""White pixels between pictures."""


class Reconstruction(NamedTuple):
    """A picture ``(H, W, 3)``, RGB, and the loss on what was masked."""

    image: np.ndarray
    loss: float


class Reconstructor:
    """Shows what a masked autoencoder fills in: of an image, of the clip in the middle of a video, or of the crop in
    the middle of a volume, as the config's ``test_pipeline`` prepares it.

    The picture that it gives has the original, what the model sees, and what it makes of it, side by side; for a clip
    or a volume a row for every second frame or slice. Seen patches stay as they are in the last one. The model predicts
    masked patches normalised, so their mean and deviation are taken from the original: brightness and contrast of a
    patch are not the model's work.

    Args:
        trained: A masked autoencoder.

    Raises:
        UserError: for a config without a ``test_pipeline``, and for a model of channels that are no picture.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self.trained, self.names = trained, ()
        self.model, self.config = trained.model, trained.config
        if 'test_pipeline' not in self.config:
            raise UserError(
                f"The config of '{trained.source}' has no test_pipeline, which prepares what is shown; add one, as "
                'configs/_base_/datasets/imagenet_mae.py has it.'
            )
        if self.model.channels not in (1, 3):
            raise UserError(
                f"'{trained.source}' fills in {self.model.channels} channels, but a picture has one or three; there is "
                'nothing to show.'
            )
        first = self.config.test_pipeline[0].type
        self.kinds = dict(ReadImage=(Kind.IMAGE,), LoadVolumes=(Kind.VOLUME,)).get(first, (Kind.VIDEO,))
        self.of_volumes = self.kinds == (Kind.VOLUME,)

    def predict(self, paths: str | Path | Sequence[str | Path], seed: int = 0) -> Reconstruction | list[Reconstruction]:
        """Mask one input, or each of a list, at random by ``seed``, and reconstruct it.

        Raises:
            BrokenFileError: for a file that can't be read.
        """
        return one_or_several(lambda given: [self._reconstruct(path, seed) for path in given], paths)

    @torch.no_grad()
    def _reconstruct(self, path: str | Path, seed: int) -> Reconstruction:
        pixels = self._read(path)
        keep = self.model.random_keep(1, generator=torch.Generator().manual_seed(seed)).to(pixels.device)
        predicted, patches = self.model.reconstruct(pixels, keep), self.model.patches(pixels)
        deviation, mean = torch.std_mean(patches, dim=-1, keepdim=True)
        seen = keep[..., None, None]
        columns = [patches, torch.where(seen, patches, 0), torch.where(seen, patches, predicted * deviation + mean)]
        shown = [self._bytes(self.model.frames(column)) for column in columns]
        return Reconstruction(_side_by_side(shown), float(self.model.loss_of(predicted, pixels, keep)))

    def _read(self, path: str | Path) -> Tensor:
        """The normalised pixels of one image, clip or crop, a batch of one."""
        if self.of_volumes:
            return self._read_volume(str(path))
        with in_scope(self.config):
            pipeline = Compose(self.config.test_pipeline)
        sample = pipeline(dict(img_path=str(path), filename=str(path), start_index=0, modality='RGB'))
        batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
        return self.model.data_preprocessor(batch)['inputs'][:, 0]

    def _read_volume(self, path: str) -> Tensor:
        from monai.transforms import ResizeWithPadOrCrop

        with in_scope(self.config), explained_steps():
            sample = packed(volume_steps(self.config.test_pipeline)(pipeline_input(VolumePair(path, None), 0)))
        (volume,) = sample['inputs']
        crop: Any = ResizeWithPadOrCrop(self.model.input_size)(volume)
        batch = dict(inputs=[crop.as_tensor()[None]], data_samples=[sample['data_samples']])
        return self.model.data_preprocessor(batch)['inputs'][:, 0]

    def _bytes(self, frames: Tensor) -> np.ndarray:
        """Normalised ``(1, channels, N, H, W)`` to ``(N, H, W, 3)`` of unsigned bytes."""
        preprocessor = self.model.data_preprocessor
        pixels = frames[0] * preprocessor.std.reshape(-1, 1, 1, 1) + preprocessor.mean.reshape(-1, 1, 1, 1)
        # Intensities of volumes lie between 0 and 1.
        pixels = pixels.expand(3, -1, -1, -1) * (255 if self.of_volumes else 1)
        return pixels.round().clamp(0, 255).byte().permute(1, 2, 3, 0).cpu().numpy()


def _side_by_side(columns: list[np.ndarray]) -> np.ndarray:
    """Columns ``(N, H, W, 3)`` as one picture, frames downwards."""
    framed = [np.pad(column, [(0, 0), (0, GAP), (0, GAP), (0, 0)], constant_values=255) for column in columns]
    return np.concatenate([np.concatenate(column) for column in framed], axis=1)[:-GAP, :-GAP]
