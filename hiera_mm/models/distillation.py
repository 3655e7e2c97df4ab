"""Distillation: a Hiera learns to give the maps that a larger, frozen backbone gives of the same images (arXiv
2205.14141, there of the last layer); with masks, both see the same few mask units (arXiv 2208.12256)."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.models.half_precision import half_dtype, halve
from hiera_mm.models.hiera import PATCH_STRIDE, UNIT_PIXELS, Hiera
from hiera_mm.models.mae import labelled_features
from hiera_mm.models.map_files import MapFiles
from hiera_mm.models.masking import kept_indices, random_keep, zeroed
from hiera_mm.weights.origin import Origin, recorded_origins

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

STAGES = (0, 1, 2, 3)

BETA = 2.0
"""Up to this error, in deviations of the teacher's tokens, the loss is quadratic (arXiv 2205.14141)."""


@MODELS.register_module()
class FeatureDistillation(BaseModel):
    """A Hiera, the student, learns the maps of a teacher: a linear layer on each of its four maps predicts the
    teacher's, whose tokens are normalised to mean 0 and deviation 1, by smooth L1.

    The teacher is no part of the module: it is neither trained nor saved, nor seen by an optimizer. On a GPU it
    computes in half precision.

    Args:
        backbone: The student, a ``Hiera`` config for images; ``out_indices`` is set here.
        teacher: A ``Hiera`` or a ``TimmBackbone`` for images, with the weights that it has learned.
        mask_ratio: Share of mask units that are left out for both, which must be plain Hieras then; 0 shows all.
        maps_folder: Folder to keep the teacher's maps in, 16-bit, so that it computes each input once; None for none.
            Random crops make every input a new one.
        data_preprocessor, init_cfg: As for mmengine's models.

    Raises:
        UserError: for a teacher that is none of these, or of other channels; for backbones of clips; and for masks with
            windows, with a teacher of timm, with a ``maps_folder``, or of a ratio outside 0 to 1; in the forward pass
            for inputs that mask units don't fill.
    """

    teacher: Any

    def __init__(
        self,
        backbone: dict,
        teacher: dict,
        mask_ratio: float = 0.0,
        maps_folder: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(dict(backbone, out_indices=STAGES))
        # Not as an attribute, which would make it a part of the module.
        self.__dict__['teacher'] = MODELS.build(teacher)
        self.teacher.requires_grad_(False)
        self.teacher.eval()
        self.placed: torch.device | None = None
        self.mask_ratio = mask_ratio
        self._check(maps_folder)
        self.maps = None if maps_folder is None else MapFiles(maps_folder, self.teacher, repr(teacher))
        widths = zip(self.backbone.widths, self.teacher.widths, strict=True)
        self.projections = nn.ModuleList(nn.Linear(own, taught) for own, taught in widths)

    def init_weights(self) -> None:
        super().init_weights()
        self.teacher.init_weights()

    def learned_from(self) -> list[Origin]:
        """Where the teacher's weights come from, whose licence the student inherits."""
        return recorded_origins(self.teacher)

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | tuple[Tensor, ...] | list:
        """``mode='loss'``: the loss of each stage, together about 1 for a student that predicts nothing; ``'predict'``:
        :meth:`features` and label of each input; otherwise the student's maps.

        Args:
            inputs: ``(B, views, channels, H, W)``, as mmaction2's pipelines give them; each view counts as an input.
            data_samples: For ``'predict'``, one with ``gt_label`` for each input.
            mode: See above.
        """
        pixels = inputs.flatten(0, 1)
        if mode == 'predict':
            return labelled_features(self.features(pixels), data_samples)
        if mode != 'loss':
            return self.backbone(pixels)
        self._place_teacher(pixels.device)
        keep = self._drawn_masks(pixels)
        taught = self.taught(pixels, keep) if self.maps is None else self.maps.of(pixels, self.taught)
        return self.losses(pixels, taught, keep)

    def compile_parts(self, **how: Any) -> list[str]:
        """Compile the teacher's part and the student's, by arguments of ``torch.compile``; gives their names."""
        self.taught = torch.compile(self.taught, **how)  # type: ignore[method-assign]
        self.losses = torch.compile(self.losses, **how)  # type: ignore[method-assign]
        return ["the teacher's maps", 'the loss']

    def features(self, pixels: Tensor) -> Tensor:
        """The mean of the student's last map, ``(B, C)``."""
        return self.backbone(pixels)[-1].flatten(2).mean(dim=2)

    def losses(self, pixels: Tensor, taught: Sequence[Tensor], keep: Tensor | None = None) -> dict[str, Tensor]:
        """Smooth L1 between the student's predictions and the teacher's tokens, for each stage.

        Args:
            pixels: ``(B, channels, H, W)``.
            taught: Of :meth:`taught`.
            keep: Masks ``(B, units)``, True where a unit is seen; None for all.
        """
        tokens = self._tokens(self.backbone, pixels, keep)
        pairs = zip(tokens, taught, self.projections, strict=True)
        losses = [F.smooth_l1_loss(projection(own), wanted, beta=BETA) for own, wanted, projection in pairs]
        return {f'loss_stage{number}': loss for number, loss in enumerate(losses, start=1)}

    @torch.no_grad()
    def taught(self, pixels: Tensor, keep: Tensor | None = None) -> list[Tensor]:
        """The teacher's tokens of the four stages, at the places of the student's, ``(B, h, w, C)`` or, with masks,
        ``(B, kept, tokens, C)``, each of mean 0 and deviation 1."""
        if hasattr(self.teacher, 'mean') and hasattr(self.data_preprocessor, 'mean'):
            pixels = self._as_the_teacher_wants(pixels)
        kind = pixels.device.type
        with torch.autocast(kind, half_dtype(pixels.device)) if kind == 'cuda' else nullcontext():
            tokens = self._tokens(self.teacher, pixels, keep)
        return [F.layer_norm(one.float(), one.shape[-1:]) for one in tokens]

    def _tokens(self, backbone: Any, pixels: Tensor, keep: Tensor | None) -> Sequence[Tensor]:
        """Of four stages, with channels last."""
        if keep is not None:
            grid = [side // UNIT_PIXELS for side in pixels.shape[-2:]]
            return backbone.forward_kept(zeroed(pixels, keep, grid), kept_indices(keep, self._kept(keep.shape[1])))
        height, width = pixels.shape[-2:]
        strides = [PATCH_STRIDE * 2**stage for stage in STAGES]
        sizes = [(-(-height // stride), -(-width // stride)) for stride in strides]
        return [_resized(one, size).permute(0, 2, 3, 1) for one, size in zip(backbone(pixels), sizes, strict=True)]

    def _as_the_teacher_wants(self, pixels: Tensor) -> Tensor:
        """The images by the mean and deviation of the teacher's own training, which differ between timm's models."""
        given = self.data_preprocessor
        mean, std = (pixels.new_tensor(values)[:, None, None] for values in (self.teacher.mean, self.teacher.std))
        return (pixels * given.std.reshape(-1, 1, 1) + given.mean.reshape(-1, 1, 1) - mean) / std

    def _drawn_masks(self, pixels: Tensor) -> Tensor | None:
        if not self.mask_ratio:
            return None
        height, width = pixels.shape[-2:]
        units, kept = height * width // UNIT_PIXELS**2, self._kept(height * width // UNIT_PIXELS**2)
        if height % UNIT_PIXELS or width % UNIT_PIXELS or not 0 < kept < units:
            raise UserError(
                f"'mask_ratio' {self.mask_ratio} needs images with sides that are multiples of {UNIT_PIXELS}, of which "
                f'some mask units are kept and some are not, but these are {height} x {width}; set image_size.'
            )
        return random_keep(len(pixels), units, kept, pixels.device)

    def _kept(self, units: int) -> int:
        return int(units * (1 - self.mask_ratio))

    def _place_teacher(self, device: torch.device) -> None:
        """Move the teacher to the inputs, as nothing else does."""
        if self.placed != device:
            self.teacher.to(device)
            if device.type == 'cuda':
                halve(self.teacher)
            self.placed = device

    def _check(self, maps_folder: str | None) -> None:
        if not hasattr(self.teacher, 'widths'):
            raise UserError(
                f"The 'teacher' of a distillation is a Hiera or a TimmBackbone, but this is a "
                f'{type(self.teacher).__name__}; name one of them as its type.'
            )
        if self.teacher.in_channels != self.backbone.in_channels:
            raise UserError(
                f"The student takes {self.backbone.in_channels} channels and the 'teacher' "
                f'{self.teacher.in_channels}; set the in_channels of both to the same.'
            )
        plain = [isinstance(one, Hiera) and one.window_side is None for one in (self.backbone, self.teacher)]
        if getattr(self.backbone, 'num_frames', None) or getattr(self.teacher, 'num_frames', None):
            raise UserError("A distillation takes images; leave 'num_frames' out of backbone and teacher.")
        if not 0 <= self.mask_ratio < 1:
            raise UserError(f"'mask_ratio' is a share of the mask units, 0 to below 1, but is {self.mask_ratio}.")
        if self.mask_ratio and not all(plain):
            raise UserError(
                "With 'mask_ratio' mask units are left out, so both must be a Hiera that does not attend in windows; "
                "leave 'window_sizes' out of backbone and teacher, or mask_ratio."
            )
        if self.mask_ratio and maps_folder is not None:
            raise UserError(
                "With 'mask_ratio' every input has new masks, so no map can be kept; leave one of it and "
                "'maps_folder' out."
            )


def _resized(feature_map: Tensor, size: tuple[int, int]) -> Tensor:
    """A map at another size: models of timm have other strides."""
    if tuple(feature_map.shape[-2:]) == size:
        return feature_map
    return F.interpolate(feature_map, size, mode='bilinear', align_corners=False)
