"""Loads checkpoints into models: uses what fits, reports what is left out, and refuses what does not fit."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from hiera_mm.architectures import SAM2_WINDOWS
from hiera_mm.errors import UserError, first_few
from hiera_mm.program import command_line
from hiera_mm.weights.files import read_checkpoint
from hiera_mm.weights.formats import (
    DECODER,
    Weights,
    architecture_of,
    block_number,
    count_beside,
    depths_of,
    describe,
    part_of,
    to_our_names,
    unwrap,
)
from hiera_mm.weights.origin import origins_of, record_origins

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel, BaseModule
from torch import Tensor

LORA_MARK = 'lora_'
"""Part of the names of low-rank updates (LoRA), which published files don't have."""


def load_backbone_weights(backbone: BaseModule, init_cfg: Any) -> None:
    """Load the checkpoint that ``init_cfg`` names and log what was used, dropped, missing and resized.

    Takes every format in :mod:`hiera_mm.weights.formats` by path, URL or name in the zoo. With ``inflate=True``
    a checkpoint for images starts a backbone for clips; ``key='ema'`` takes the weights under that key of the file;
    ``allow_nan=True`` allows weights that hold NaN.

    Raises:
        UserError: if ``init_cfg`` is not ``dict(type='Pretrained', checkpoint=...)``, the file can't be read, or a key
            or a shape does not fit.
    """
    if isinstance(init_cfg, list | tuple) and len(init_cfg) == 1:
        # mmengine also accepts a list of initialisations.
        (init_cfg,) = init_cfg
    needed, known = {'type', 'checkpoint'}, {'type', 'checkpoint', 'inflate', 'key', 'allow_nan'}
    if not isinstance(init_cfg, Mapping) or not needed <= set(init_cfg) <= known or init_cfg['type'] != 'Pretrained':
        raise UserError(
            "Hiera's init_cfg must be dict(type='Pretrained', checkpoint=PATH_OR_ADDRESS_OR_NAME), with inflate=True "
            'to start clips from images, key=NAME for one of several sets of weights, allow_nan=True for weights with '
            f'NaN, or None, but is {init_cfg}.'
        )
    source = init_cfg['checkpoint']
    checkpoint = read_checkpoint(source)
    weights = to_our_names(
        _select_weights(init_cfg.get('key'), checkpoint, source), source, init_cfg.get('allow_nan', False)
    )
    if init_cfg.get('inflate'):
        weights = inflate(weights, backbone.state_dict(), source)
    fitted, report = fit_to_backbone(backbone, weights, source)
    backbone.load_state_dict(fitted, strict=False)
    record_origins(backbone, origins_of(source, checkpoint))
    print_log(report, logger='current')


def _select_weights(key: str | None, checkpoint: Mapping, source: str) -> Mapping:
    """The weights under ``key`` in a file with several sets; without a key, the whole file."""
    if key is None:
        return checkpoint
    sets = [name for name, content in checkpoint.items() if isinstance(content, Mapping)]
    if key not in sets:
        raise UserError(f"'{source}' has no weights under the key '{key}' of init_cfg; it has {first_few(sets, 9)}.")
    return checkpoint[key]


def inflate(weights: Weights, own: Mapping[str, Tensor], source: str) -> Weights:
    """Turn weights for images into weights for clips: a still clip then has the image's features at every time.

    The patch embedding's weights go to the middle of its three frames (ViViT's central frame initialisation,
    arXiv 2103.15691, section 3.4), the position table becomes the spatial one, and the temporal table starts at zero.

    Raises:
        UserError: if the checkpoint is not for images or the model not for clips.
    """
    patch = weights.tensors.get('patch_embed.proj.weight')
    if patch is None or patch.ndim != 4 or 'pos_embed_temporal' not in own:
        raise UserError(
            f"inflate=True starts a Hiera with 'num_frames' from a checkpoint for images, but '{source}' is not for "
            'images or this model has no num_frames; take it out of init_cfg.'
        )
    tensors = dict(weights.tensors)
    tensors['patch_embed.proj.weight'] = torch.stack([torch.zeros_like(patch), patch, torch.zeros_like(patch)], dim=2)
    tensors['pos_embed_spatial'] = tensors.pop('pos_embed')
    tensors['pos_embed_temporal'] = torch.zeros_like(own['pos_embed_temporal'])
    return replace(weights, tensors=tensors)


def fit_to_backbone(
    backbone: BaseModule, weights: Weights, source: str, used_beside: Collection[str] = ()
) -> tuple[dict[str, Tensor], str]:
    """The tensors of a checkpoint that a :class:`~hiera_mm.models.Hiera` takes, and a report in words.

    Args:
        backbone: The model.
        weights: The checkpoint's weights.
        source: Where they come from, for the report.
        used_beside: Keys of the checkpoint that other parts of a whole model use.

    The position tables are resized to fit. A classifier's norm becomes the norm of the last stage's map if this is the
    only output and has a norm, as in PySlowFast's action detectors; otherwise the norms of the maps (``out_norms``) may
    be missing. Nothing else may differ.

    Raises:
        UserError: naming the size, the keys or the shapes that differ.
    """
    own = backbone.state_dict()
    final_norm = _classifier_norm(weights, own)
    taken = final_norm.keys() | {*used_beside}
    dropped = count_beside(weights.tensors.keys() - taken)
    given = {key: value for key, value in weights.tensors.items() if part_of(key) is None}
    if depths_of(given) == backbone.depths:
        later = [key for key in given if block_number(key) >= len(backbone.blocks)]
        given = {key: value for key, value in given.items() if key not in later}
        dropped |= {'later stages': len(later)} if later else {}
    held, wanted = describe(given), describe(own)
    if held and held != wanted:
        remedy = "set its 'arch' (and 'num_frames' for clips) to match, or use a checkpoint of its size"
        if held.replace('(images', '(clips') == wanted:
            remedy = 'add inflate=True to init_cfg to start clips from images'
        raise UserError(f"The checkpoint '{source}' holds a {held}, but the model's backbone is a {wanted}; {remedy}.")
    unused = {key for key in given if key.startswith('out_norms.') and key not in own}
    if unused:
        given = {key: value for key, value in given.items() if key not in unused}
        dropped['norms of maps that this model does not give'] = len(unused)
    windows = _compare_sam2_windows(backbone, weights, own, source)
    tables, resizing = backbone.fit_position_tables(given, source)
    given = {key: value for key, value in given.items() if not key.startswith('pos_embed')} | tables
    given, channels = _adapt_input_channels(given, own)
    given |= {f'out_norms.3.{key.split(".")[-1]}': value for key, value in final_norm.items()}

    unknown = sorted(set(given) - set(own))
    absent = sorted(set(own) - set(given))
    missing = [key for key in absent if not key.startswith('out_norms.') and LORA_MARK not in key]
    refuse_updates(unknown, source)
    if unknown or missing:
        raise UserError(
            f"The checkpoint '{source}' does not fit this Hiera: it holds {_list_keys(unknown)} unknown to the model "
            f'and lacks {_list_keys(missing)} of it; use a complete checkpoint of the same architecture.'
        )
    if mismatch := _shape_mismatch(own, given):
        raise UserError(
            f"The checkpoint '{source}' does not fit this Hiera: {mismatch}; use one of the same architecture."
        )
    if rest := weights.others.keys() - taken:
        dropped['rest of its model'] = len(rest)
    left_out = ', '.join(f'{count} of the {part}' for part, count in sorted(dropped.items())) or 'none'
    return given, (
        f'Hiera weights from {source} (format {weights.format}, {held}): {len(given)} tensors used; dropped, as the '
        f'backbone has no place for them: {left_out}; position embedding: {resizing}; '
        f'{channels}{windows}{"norm of the last map: that of the classifier; " if final_norm else ""}left as '
        f'initialised, as the file does not hold them: {_list_keys(absent)}.'
    )


def refuse_updates(names: Collection[str], source: str) -> None:
    """Refuse low-rank updates (LoRA) that were not merged: without them, the other weights are still untrained.

    Raises:
        UserError: if there are such names.
    """
    if any(LORA_MARK in name for name in names):
        raise UserError(
            f"The checkpoint '{source}' holds low-rank updates beside the weights that they change; merge them with "
            f'{command_line("publish")} {source} FOLDER, and use FOLDER.'
        )


def _compare_sam2_windows(backbone: BaseModule, weights: Weights, own: Mapping[str, Tensor], source: str) -> str:
    """Compare the model's attention windows with SAM 2's, which a SAM 2 checkpoint does not record but needs for the
    same features; returns a remark for the report.

    Raises:
        UserError: if the model can't take SAM 2's position tables, naming all settings that it needs.
    """
    found = architecture_of(weights.tensors)
    if not weights.format.startswith('sam2') or found is None or found.arch not in SAM2_WINDOWS:
        return ''
    implied = SAM2_WINDOWS[found.arch]
    settings = dict(pos_embed='absolute_win', pos_embed_size=weights.tensors['pos_embed'].shape[-1], **implied)
    shown = ', '.join(f'{name}={value!r}' for name, value in settings.items())
    if 'pos_embed_window' not in own:
        raise UserError(
            f"The checkpoint '{source}' is SAM 2's, which has two position tables and attends in windows; set {shown} "
            'on the backbone.'
        )
    if (backbone.window_side, backbone.global_blocks) == (implied['window_sizes'][-1], implied['global_blocks']):
        return ''
    print_log(
        f"The checkpoint '{source}' is SAM 2's, but the backbone attends in other windows, so its features differ from "
        f"SAM 2's; to get the same, set {shown}.",
        logger='current',
        level=logging.WARNING,
    )
    return "windows and global blocks are not SAM 2's; "


def _adapt_input_channels(given: dict[str, Tensor], own: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Adapt a patch embedding for RGB images to another number of channels, by timm's rule: for one channel the sum of
    red, green and blue; for more, the three repeated and scaled so that their sum stays the same. Also returns a remark
    for the report."""
    name = 'patch_embed.proj.weight'
    weight, count = given.get(name), own[name].shape[1]
    if weight is None or weight.shape[1] == count or weight.shape[1] != 3 or weight.ndim != own[name].ndim:
        return given, ''
    turns = [channel % 3 for channel in range(count)]
    adapted = weight.sum(1, keepdim=True) if count == 1 else weight[:, turns] * (3 / count)
    return given | {name: adapted}, (
        f'patch embedding adapted from red, green and blue to in_channels={count} '
        f'({"their sum" if count == 1 else "repeated and scaled"}); '
    )


def fit_to_model(model: BaseModel, checkpoint: Mapping, source: str) -> tuple[dict[str, Tensor], str]:
    """The tensors of a checkpoint that a whole model with a Hiera as ``backbone`` takes, and a report in words.

    From a file in another format come the backbone and, for a recogniser with a ``HieraHead``, the head, or for a
    masked autoencoder, the decoder; from a file of this package, all parts. Tensors with another shape (such as heads
    for other classes) or without a counterpart in the model are left out and reported.

    Raises:
        UserError: if the backbone does not fit.
    """
    weights = to_our_names(checkpoint, source)
    own = model.state_dict()
    names = _match_other_parts(weights.tensors, own)
    names |= {key: key for key in weights.others} if weights.format == 'hiera_mm' else {}
    every = weights.others | weights.tensors
    others = {name: every[key] for key, name in names.items()}
    used = {key: value for key, value in others.items() if key in own and own[key].shape == value.shape}
    fitted, report = fit_to_backbone(model.backbone, weights, source, list(names))
    fitted = {f'backbone.{key}': value for key, value in fitted.items()}
    odd = [
        f"'{key}' ({tuple(others[key].shape)} in the file, {tuple(own[key].shape)} in the model)"
        for key in sorted((others.keys() & own.keys()) - used.keys())
    ]
    without_place = sorted(others.keys() - own.keys())
    absent = sorted(key for key in own.keys() - others.keys() if not key.startswith('backbone.'))
    if weights.format == 'hiera_mm' and without_place and absent and not used:
        print_log(
            f"The checkpoint '{source}' holds more than a backbone, but under names that this model doesn't have, such "
            f'as {_list_keys(without_place)}: all of {_list_keys(absent)} start from random weights. If it was trained '
            'with this config, rename its tensors.',
            logger='current',
            level=logging.WARNING,
        )
    return fitted | used, (
        f'{report} Beside the backbone: {len(used)} tensors used; of another shape, so left as initialised: '
        f'{", ".join(odd) or "none"}; without a place: {_list_keys(without_place)}; not in the file, so left as '
        f'initialised: {_list_keys(absent)}.'
    )


def whole_state(model: BaseModel, checkpoint: Mapping, source: str) -> tuple[dict[str, Tensor], str]:
    """All tensors of a model, from a checkpoint of this package or a published one of the whole model (a classifier or
    a masked autoencoder), and a report on the latter.

    Raises:
        UserError: if anything is missing or has another shape.
    """
    state, _ = unwrap(checkpoint, source)
    report = ''
    if has_hiera(model) and not any(key.startswith('backbone.') for key in state):
        state, report = fit_to_model(model, checkpoint, source)
    check_fits(model, state, source)
    return state, report


def has_hiera(model: BaseModel) -> bool:
    return hasattr(getattr(model, 'backbone', None), 'fit_position_tables')


def check_fits(model: BaseModel, state: Mapping[str, Tensor], source: str) -> None:
    """Refuse a checkpoint that lacks any of a model's tensors or has other shapes, before the model is evaluated.

    Raises:
        UserError: naming the first such tensors.
    """
    own = model.state_dict()
    missing = sorted(set(own) - set(state))
    if missing:
        raise UserError(
            f"The checkpoint '{source}' was not made with this config: it lacks {_list_keys(missing)} of the model's "
            f'{len(own)}; name the config it was trained with.'
        )
    if mismatch := _shape_mismatch(own, state):
        raise UserError(
            f"The checkpoint '{source}' was not made with this config: {mismatch}; name the config it was trained with."
        )


def _classifier_norm(weights: Weights, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weight and bias of a classifier's norm, if the model has a norm on the last map only and the file lacks it."""
    norms = {key for key in own if key.startswith('out_norms.')}
    if norms != {'out_norms.3.weight', 'out_norms.3.bias'} or norms & weights.tensors.keys():
        return {}
    for tensors, norm in ((weights.tensors, 'norm'), (weights.others, 'cls_head.norm')):
        if f'{norm}.weight' in tensors:
            return {f'{norm}.{suffix}': tensors[f'{norm}.{suffix}'] for suffix in ('weight', 'bias')}
    return {}


def _match_other_parts(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, str]:
    """Map the names of a published file's other parts to the model's: a classifier's norm and linear layer to the names
    in mmaction2's recognisers, and an autoencoder's decoder to the same names."""
    names = {
        f'{part}.{suffix}': f'cls_head.{part.removeprefix("head.")}.{suffix}'
        for part in ('norm', 'head.projection')
        for suffix in ('weight', 'bias')
    }
    head = {key: name for key, name in names.items() if key in tensors and name in own}
    return head | {key: key for key in tensors if part_of(key) == DECODER and key in own}


def _shape_mismatch(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str | None:
    """The first key whose shapes in the checkpoint and the model differ, with both shapes; None if all match."""
    for key in sorted(own.keys() & state.keys()):
        if own[key].shape != state[key].shape:
            return f"'{key}' is {tuple(state[key].shape)} in the file and {tuple(own[key].shape)} in the model"
    return None


def _list_keys(keys: list[str]) -> str:
    if not keys:
        return 'no keys'
    shown = first_few([f"'{key}'" for key in keys])
    return f'{len(keys)} key{"s" if len(keys) > 1 else ""} ({shown})'
