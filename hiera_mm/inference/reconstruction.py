"""What a masked autoencoder makes of an image, a clip or a volume, as a picture."""

from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.datasets.volumes import item_of, packed, sentences_of_steps, volume_steps
from hiera_mm.errors import UserError
from hiera_mm.inference.trained import in_scope, load_model
from hiera_mm.models import MaskedAutoencoder
from hiera_mm.readers.volumes import VolumePair

import numpy as np
import torch
from mmcv.transforms import Compose
from torch import Tensor

GAP = 4
"""White pixels between pictures."""


class Reconstruction(NamedTuple):
    """A picture ``(H, W, 3)``, RGB, and the loss on what was masked."""

    picture: np.ndarray
    loss: float


class Reconstructor:
    """``Reconstructor(config, checkpoint)(path, seed)`` shows one image, or the clip in the middle of a video or the
    crop in the middle of a volume, as the config's ``test_pipeline`` prepares it.

    The picture has the original, what the model sees, and what it makes of it, side by side; for a clip or a volume a
    row for every second frame or slice. Seen patches stay as they are in the last one. The model predicts masked
    patches normalised, so their mean and deviation are taken from the original: brightness and contrast of a patch are
    not the model's work.

    Args:
        config: Config file of a masked autoencoder.
        checkpoint: One that training with it wrote, or Meta's, by path, URL or name.
        device: Such as ``'cuda:0'``.

    Raises:
        UserError: for a config or a checkpoint of another kind, and for a model of channels that are no picture.
        BrokenFileError: for an input that can't be read.
    """

    def __init__(self, config: str, checkpoint: str, device: str = 'cpu') -> None:
        self.device = device
        trained = load_model(checkpoint, config, device)
        self.model, self.config = trained.model, trained.config
        if not isinstance(self.model, MaskedAutoencoder) or 'test_pipeline' not in self.config:
            raise UserError(
                f"The config '{config}' is not one of a masked autoencoder with a test_pipeline; take one such as "
                f'configs/mae_hiera_b.py.'
            )
        if self.model.channels not in (1, 3):
            raise UserError(
                f"'{checkpoint}' fills in {self.model.channels} channels, but a picture has one or three; there is "
                'nothing to show.'
            )
        self.of_volumes = self.config.train_dataloader.dataset.get('type') == 'VolumeDataset'

    @torch.no_grad()
    def __call__(self, path: str | Path, seed: int = 0) -> Reconstruction:
        """Mask at random, by ``seed``, and reconstruct."""
        pixels = self._read(path)
        keep = self.model.random_keep(1, generator=torch.Generator().manual_seed(seed)).to(self.device)
        predicted, patches = self.model.reconstruct(pixels, keep), self.model.patches(pixels)
        deviation, mean = torch.std_mean(patches, dim=-1, keepdim=True)
        seen = keep[..., None, None]
        columns = [patches, torch.where(seen, patches, 0), torch.where(seen, patches, predicted * deviation + mean)]
        shown = [self._bytes(self.model.frames(column)) for column in columns]
        return Reconstruction(_side_by_side(shown), float(self.model.loss_of(predicted, pixels, keep)))

    def _read(self, path: str | Path) -> Tensor:
        """Normalised pixels of one image, clip or crop, a batch of one."""
        if self.of_volumes:
            return self._read_volume(str(path))
        with in_scope(self.config):
            pipeline = Compose(self.config.test_pipeline)
        sample = pipeline(dict(img_path=str(path), filename=str(path), start_index=0, modality='RGB'))
        batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
        return self.model.data_preprocessor(batch)['inputs'][:, 0]

    def _read_volume(self, path: str) -> Tensor:
        from monai.transforms import ResizeWithPadOrCrop

        with in_scope(self.config), sentences_of_steps():
            sample = packed(volume_steps(self.config.test_pipeline)(item_of(VolumePair(path, None), 0)))
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
