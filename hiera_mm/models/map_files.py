"""Keeps maps that a frozen backbone has computed in files."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class MapFiles:
    """Maps of inputs, in 16 bit, one file for each input in a folder. They are found by the content of input and
    backbone, so that another crop, size or teacher never gets those of this one.

    Args:
        folder: Where the files lie; made if needed.
        backbone: The module that computes the maps.
        settings: Its settings, as two backbones with equal weights may differ in them.
    """

    def __init__(self, folder: str | Path, backbone: nn.Module, settings: str) -> None:
        self.folder, self.backbone, self.settings = Path(folder), backbone, settings
        self.identity = b''

    def of(self, pixels: Tensor, compute: Callable[[Tensor], Sequence[Tensor]]) -> list[Tensor]:
        """The maps of a batch, of which those that have no file are computed and written.

        Args:
            pixels: ``(B, ...)``.
            compute: Gives maps ``(B, ...)``.

        Raises:
            UserError: for a file that can't be read.
        """
        files = [self.folder / f'{key}.safetensors' for key in self._keys(pixels)]
        new = [place for place, file in enumerate(files) if not file.is_file()]
        if new:
            self.folder.mkdir(parents=True, exist_ok=True)
            for place, maps in zip(new, zip(*compute(pixels[new]), strict=True), strict=True):
                content = {str(number): one.half().contiguous() for number, one in enumerate(maps)}
                with atomic_write(files[place]) as unfinished:
                    save_file(content, unfinished)
        # Also what was just computed, so that a first epoch does not differ from the next.
        read = [_read(file, pixels.device) for file in files]
        return [torch.stack(maps).float() for maps in zip(*read, strict=True)]

    def _keys(self, pixels: Tensor) -> list[str]:
        if not self.identity:
            whole = hashlib.blake2b(self.settings.encode())
            for name, tensor in self.backbone.state_dict().items():
                whole.update(name.encode() + _bytes(tensor))
            self.identity = whole.digest()
        return [
            hashlib.blake2b(self.identity + str(one.shape).encode() + _bytes(one), digest_size=20).hexdigest()
            for one in pixels
        ]


def _bytes(tensor: Tensor) -> bytes:
    # Of any type: numpy has no bfloat16.
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _read(file: Path, device: torch.device) -> list[Tensor]:
    try:
        held = load_file(file, device=str(device))
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"The maps in '{file}' can't be read ({error}); delete the file, and they are computed anew."
        ) from error
    return [held[name] for name in sorted(held)]
