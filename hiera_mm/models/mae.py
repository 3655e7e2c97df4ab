"""The masked autoencoder around the backbone (Hiera, section 3.1 and appendix A; MAE, arXiv 2111.06377)."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.models.cpu import run_block
from hiera_mm.models.hiera import FRAME_STRIDE, UNIT_PIXELS, Block
from hiera_mm.models.mask_units import Region, units_to_map
from hiera_mm.models.masking import kept_indices, random_keep, zeroed

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

Q_POOLS = 2
"""With two, the last stage keeps 2 x 2 tokens per mask unit, each for 16 x 16 pixels."""

TOKENS_PER_UNIT = 4
PATCH_SIDE = UNIT_PIXELS // 2
FUSED_STAGES = (0, 1, 3)
"""Stages whose outputs are summed. The third has the same resolution as the last and is left out."""


@MODELS.register_module()
class MaskedAutoencoder(BaseModel):
    """Hiera learns to fill in masked parts: whole mask units are left out before the first block, and a small
    decoder predicts their pixels, normalised patch by patch. Names of parameters are those of Meta's checkpoints.

    Args:
        backbone: A ``Hiera`` config; ``q_pools`` and ``out_indices`` are set here.
        input_size: ``(H, W)``, or ``(T, H, W)`` for clips; sides multiples of 32, ``T`` even.
        mask_ratio: Share of mask units left out: 0.6 for images, 0.9 for clips (tables 11 to 14).
        decoder_embed_dim, decoder_depth, decoder_num_heads: Width, blocks and heads of the decoder (table 14).
        data_preprocessor, init_cfg: As for mmengine's models.

    Raises:
        UserError: for an ``input_size`` that mask units don't fill or that the backbone does not take, for a
            ratio that keeps or masks all units, and for windows; in the forward pass for inputs of another size.
    """

    def __init__(
        self,
        backbone: dict,
        input_size: Sequence[int] = (224, 224),
        mask_ratio: float = 0.6,
        decoder_embed_dim: int = 512,
        decoder_depth: int = 8,
        decoder_num_heads: int = 16,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(dict(backbone, q_pools=Q_POOLS, out_indices=FUSED_STAGES))
        if self.backbone.window_side is not None:
            raise UserError(
                "A masked autoencoder leaves mask units out, so nothing in it attends in windows; leave 'window_sizes' "
                'out here, and set them in the model that starts from it.'
            )
        self.channels = self.backbone.in_channels
        self.input_size = tuple(input_size)
        self.grid = _unit_grid(self.input_size, self.backbone.num_frames)
        self.kept = int(self.grid.numel() * (1 - mask_ratio))
        if not 0 < self.kept < self.grid.numel():
            raise UserError(
                f"'mask_ratio' {mask_ratio} keeps {self.kept} of {self.grid.numel()} mask units; some must be kept and "
                f'some masked.'
            )
        widths = self.backbone.widths
        clips = self.backbone.num_frames is not None
        convolution: Any = nn.Conv3d if clips else nn.Conv2d
        self.multi_scale_fusion_heads = nn.ModuleList()
        for stage, side in ((0, 4), (1, 2)):
            kernel = (1, side, side) if clips else (side, side)
            self.multi_scale_fusion_heads.append(convolution(widths[stage], widths[-1], kernel, stride=kernel))
        self.encoder_norm = nn.LayerNorm(widths[-1], eps=1e-6)

        self.decoder_embed = nn.Linear(widths[-1], decoder_embed_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_embed_dim))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, TOKENS_PER_UNIT * self.grid.numel(), decoder_embed_dim))
        block: dict[str, Any] = dict(dim=decoder_embed_dim, dim_out=decoder_embed_dim, heads=decoder_num_heads)
        block |= dict(
            window_side=None, window_times=None, pools=False, drop_prob=0.0, layer_scale=False, pooled_shortcut=False
        )
        self.decoder_blocks = nn.ModuleList(Block(**block) for _ in range(decoder_depth))
        self.decoder_norm = nn.LayerNorm(decoder_embed_dim, eps=1e-6)
        self.decoder_pred = nn.Linear(decoder_embed_dim, self.channels * PATCH_SIDE**2)
        self._draw_weights()

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | tuple[Tensor, Tensor] | list:
        """``mode='loss'``: the loss of images or clips under random masks; ``'predict'``: :meth:`features` and label of
        each input; otherwise predictions and masks.

        Args:
            inputs: ``(B, views, channels, H, W)`` or ``(B, views, channels, T, H, W)``, as mmaction2's pipelines give
                them; each view counts as an input.
            data_samples: For ``'predict'``, one with ``gt_label`` for each input.
            mode: See above; for predictions see :meth:`reconstruct`, for masks :meth:`random_keep`.
        """
        inputs = inputs.flatten(0, 1)
        if mode == 'predict':
            return labelled_features(self.features(inputs), data_samples)
        keep = self.random_keep(len(inputs), inputs.device)
        if mode == 'loss':
            return dict(loss=self._loss(inputs, keep))
        return self._predicted(inputs, keep, self.kept), keep

    def compile_parts(self, **how: Any) -> list[str]:
        """Compile the loss as a whole, by arguments of ``torch.compile``; gives the names of the compiled parts."""
        # With the masks as an input: compiled code would draw other ones.
        self._loss = torch.compile(self._loss, **how)  # type: ignore[method-assign]
        return ['the loss']

    def features(self, pixels: Tensor) -> Tensor:
        """The mean of the last map of whole inputs, ``(B, C)``, with the q-poolings of pre-training."""
        return self.backbone(pixels)[-1].flatten(2).mean(dim=2)

    def random_keep(
        self, count: int, device: torch.device | str = 'cpu', generator: torch.Generator | None = None
    ) -> Tensor:
        """Random masks ``(count, units)``, True where a unit is kept; every mask keeps equally many."""
        return random_keep(count, self.grid.numel(), self.kept, device, generator)

    def loss(self, pixels: Tensor, keep: Tensor) -> Tensor:
        """Mean squared error on the masked patches, normalised to mean 0 and deviation 1 each."""
        return self.loss_of(self.reconstruct(pixels, keep), pixels, keep)

    def loss_of(self, predicted: Tensor, pixels: Tensor, keep: Tensor) -> Tensor:
        """Same as :meth:`loss`, from the output of :meth:`reconstruct`."""
        errors = (predicted - self.targets(pixels)).square().mean(dim=(2, 3))
        # A weighted mean, since indexing the masked ones would make shapes depend on the data.
        masked = (~keep).to(errors.dtype)
        return (errors * masked).sum() / masked.sum()

    def reconstruct(self, pixels: Tensor, keep: Tensor) -> Tensor:
        """Predicted normalised patches of all units, ``(B, units, 4, channels * 16 * 16)``; those of kept units are not
        trained.

        Args:
            pixels: Images or clips of ``input_size``.
            keep: ``(B, units)``, True where a unit is kept; any number, but the same in each input.

        Raises:
            UserError: for inputs of another size, or masks that keep different numbers of units.
        """
        return self._predicted(pixels, keep, self._count_kept(keep))

    def _loss(self, pixels: Tensor, keep: Tensor) -> Tensor:
        """Same as :meth:`loss`, for masks of :meth:`random_keep`, whose counts need no check."""
        return self.loss_of(self._predicted(pixels, keep, self.kept), pixels, keep)

    def _predicted(self, pixels: Tensor, keep: Tensor, count: int) -> Tensor:
        if tuple(pixels.shape[2:]) != self.input_size:
            raise UserError(
                f'The masked autoencoder takes inputs of input_size = {self.input_size}, but these are '
                f'{tuple(pixels.shape[2:])}; crop them to it in the pipeline, or set input_size.'
            )
        kept = kept_indices(keep, count)
        fused = self._fused(self.backbone.forward_kept(zeroed(pixels, keep, self.grid), kept))
        seen = self.decoder_embed(self.encoder_norm(fused))
        everywhere = self.mask_token[:, None].to(seen.dtype).expand(*keep.shape, TOKENS_PER_UNIT, -1)
        tokens = everywhere.scatter(1, kept[..., None, None].expand_as(seen), seen)
        tokens = tokens + self._decoder_positions()
        for block in self.decoder_blocks:
            tokens = run_block(block, tokens, ())
        return self.decoder_pred(self.decoder_norm(tokens))

    def targets(self, pixels: Tensor) -> Tensor:
        """Patches ``(B, units, 4, channels * 16 * 16)``, each with mean 0 and deviation 1; for clips of every second
        frame.

        Channels come first in an image's patches and last in a clip's, as in the published weights' training.
        """
        patches = self.patches(pixels)
        mean, variance = patches.mean(dim=-1, keepdim=True), patches.var(dim=-1, keepdim=True)
        return (patches - mean) / (variance + 1e-6).sqrt()

    def patches(self, pixels: Tensor) -> Tensor:
        """Same as :meth:`targets`, without the normalisation."""
        clips = pixels.ndim == 5
        frames = pixels[:, :, ::FRAME_STRIDE].transpose(1, 2).flatten(0, 1) if clips else pixels
        rows, columns = self.grid[-2:]
        split = frames.reshape(len(frames), self.channels, rows, 2, PATCH_SIDE, columns, 2, PATCH_SIDE)
        # Axes: 1 channel, 2 and 5 unit, 3 and 6 token in it, 4 and 7 pixel in that.
        order = (0, 2, 5, 3, 6, 4, 7, 1) if clips else (0, 2, 5, 3, 6, 1, 4, 7)
        return split.permute(order).reshape(
            len(pixels), self.grid.numel(), TOKENS_PER_UNIT, self.channels * PATCH_SIDE**2
        )

    def frames(self, patches: Tensor) -> Tensor:
        """The inverse of :meth:`patches`, ``(B, channels, frames, H, W)``: an image, or every second frame."""
        rows, columns = self.grid[-2:]
        clips = len(self.grid) == 3
        pixel = (PATCH_SIDE, PATCH_SIDE, self.channels) if clips else (self.channels, PATCH_SIDE, PATCH_SIDE)
        split = patches.reshape(len(patches), -1, rows, columns, 2, 2, *pixel)
        # Axes: 1 frame, 2 and 3 unit, 4 and 5 token in it, 6 to 8 pixel and channel.
        order = (0, 8, 1, 2, 4, 6, 3, 5, 7) if clips else (0, 6, 1, 2, 4, 7, 3, 5, 8)
        return split.permute(order).reshape(len(patches), self.channels, -1, UNIT_PIXELS * rows, UNIT_PIXELS * columns)

    def _count_kept(self, keep: Tensor) -> int:
        """How many units the masks keep in each input."""
        if keep.is_meta or torch.compiler.is_compiling():
            # Values can't be read here, so the masks are assumed to come from random_keep.
            return self.kept
        counts = keep.sum(dim=1)
        if not len(counts) or not (counts == counts[0]).all() or not 0 < counts[0] < keep.shape[1]:
            raise UserError(
                f'The masks keep {sorted(set(counts.tolist()))} of {keep.shape[1]} mask units; keep equally many in '
                'each input of a batch, at least one and not all.'
            )
        return int(counts[0])

    def _fused(self, ends: Sequence[Tensor]) -> Tensor:
        """Sum of three stages' outputs at the last one's resolution, ``(B, kept, 4, C)``."""
        *finer, last = ends
        for rows, head in zip(finer, self.multi_scale_fusion_heads, strict=True):
            # Each unit is a separate map, which the kernel covers once per remaining token.
            maps = units_to_map(rows.flatten(0, 1)[:, None], [Region(0, 0, 1, 1, 1, 1)])
            weight, bias = head.get_parameter('weight'), head.get_parameter('bias')
            kernel = weight.squeeze(2) if weight.ndim == 5 else weight
            joined = F.conv2d(maps, kernel, bias, stride=kernel.shape[-2:])
            last = last + joined.flatten(2).transpose(1, 2).reshape(last.shape)
        return last

    def _decoder_positions(self) -> Tensor:
        """The table, which is in reading order of all tokens, by units: ``(1, units, 4, C)``."""
        rows, columns = self.grid[-2:]
        table = self.decoder_pos_embed.reshape(-1, rows, 2, columns, 2, self.decoder_pos_embed.shape[-1])
        return table.transpose(2, 3).reshape(1, self.grid.numel(), TOKENS_PER_UNIT, -1)

    def _draw_weights(self) -> None:
        """Initialise as the official code does: Xavier weights and zero biases, the patch embedding like a linear
        layer."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        nn.init.trunc_normal_(self.decoder_pos_embed, std=0.02)
        nn.init.xavier_uniform_(self.backbone.patch_embed.proj.weight.data.flatten(1))


def labelled_features(features: Tensor, data_samples: Sequence[Any] | None) -> list[dict]:
    """What :class:`~hiera_mm.evaluation.features.FeatureMetric` takes of inputs.

    Args:
        features: ``(B, C)``.
        data_samples: One with ``gt_label`` for each input.
    """
    rows = zip(data_samples or (), features, strict=True)
    return [dict(features=row, gt_label=sample.gt_label) for sample, row in rows]


def _unit_grid(input_size: Sequence[int], num_frames: int | None) -> torch.Size:
    """Mask units along each axis."""
    clips = num_frames is not None
    divisors = (FRAME_STRIDE, UNIT_PIXELS, UNIT_PIXELS) if clips else (UNIT_PIXELS, UNIT_PIXELS)
    wanted, given = '(T, H, W)' if clips else '(H, W)', tuple(input_size)
    if len(given) != len(divisors):
        raise UserError(
            f'A masked autoencoder of {"clips" if clips else "images"} needs input_size = {wanted}, but has {given}; '
            'set num_frames on the backbone for clips, and leave it out for images.'
        )
    if any(n < d or n % d for n, d in zip(given, divisors, strict=True)):
        raise UserError(
            f'A masked autoencoder needs input_size = {wanted}, with sides that are multiples of {UNIT_PIXELS} and an '
            f'even T, but has {given}.'
        )
    return torch.Size(n // d for n, d in zip(given, divisors, strict=True))
