"""Converts the names of Hiera's tensors between published checkpoints and this package.

Our names are Meta's, plus SAM 2's second position table (``pos_embed_window``) and, for some of timm's models,
LayerScale (``blocks.i.ls1.weight``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.errors import UserError, first_few

if TYPE_CHECKING:
    from torch import Tensor

HEAD, DECODER = 'classification head', 'masked autoencoder'
NOT_THE_BACKBONE = {
    'norm.': HEAD,
    'head.': HEAD,
    'encoder_norm.': DECODER,
    'multi_scale_fusion_heads.': DECODER,
    'mask_token': DECODER,
    'decoder_': DECODER,
    'hidden_states_norms.': "norms of transformers' backbone",
}
"""Parts of a checkpoint other than the backbone, by prefixes of our names."""

TARGETS = ('meta', 'timm', 'transformers', 'sam2', 'hiera_mm')


@dataclass(frozen=True)
class Format:
    """How a publisher's files differ from our names."""

    mark: str
    """Name of the first block's first MLP weight; whatever precedes it in a file is the backbone's prefix."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Their part of a name and ours: a prefix if it ends with a dot, a part in the middle if it starts with a dot,
    otherwise the whole name."""
    prefix: str = ''
    """Prefix of the names when writing."""
    wrapper: str | None = None
    """Key under which torch's files hold the tensors."""


_MARK = 'blocks.0.mlp.fc1.weight'
_BIRDER = (
    ('stem.proj.', 'patch_embed.proj.'),
    ('pos_embed_win', 'pos_embed_window'),
    ('.mlp.0.', '.mlp.fc1.'),
    ('.mlp.3.', '.mlp.fc2.'),
    ('classifier.', 'head.projection.'),
)
FORMATS = {
    'meta': Format(_MARK, wrapper='model_state'),
    'timm': Format(
        _MARK,
        pairs=(
            ('head.norm.', 'norm.'),
            ('head.fc.', 'head.projection.'),
            ('pos_embed_win', 'pos_embed_window'),
            ('.ls1.gamma', '.ls1.weight'),
            ('.ls2.gamma', '.ls2.weight'),
        ),
    ),
    'transformers': Format(
        'encoder.stages.0.layers.0.mlp.fc1.weight',
        pairs=(
            ('embeddings.position_embeddings', 'pos_embed'),
            ('embeddings.patch_embeddings.projection.', 'patch_embed.proj.'),
            ('.layernorm_before.', '.norm1.'),
            ('.layernorm_after.', '.norm2.'),
            ('pooler.layernorm.', 'norm.'),
            ('classifier.', 'head.projection.'),
            ('multiscale_fusion.multi_scale_fusion_heads.', 'multi_scale_fusion_heads.'),
            ('decoder.mask_token', 'mask_token'),
            ('decoder.decoder_position_embeddings', 'decoder_pos_embed'),
            ('decoder.decoder_embeddings.', 'decoder_embed.'),
            ('decoder.decoder_block.layers.', 'decoder_blocks.'),
            ('decoder.decoder_norm.', 'decoder_norm.'),
            ('decoder.decoder_pred.', 'decoder_pred.'),
        ),
        prefix='hiera.',
    ),
    'sam2': Format(
        'blocks.0.mlp.layers.0.weight',
        pairs=(('.mlp.layers.0.', '.mlp.fc1.'), ('.mlp.layers.1.', '.mlp.fc2.')),
        prefix='image_encoder.trunk.',
        wrapper='model',
    ),
    'sam2 in transformers': Format(
        'blocks.0.mlp.proj_in.weight',
        pairs=(
            ('patch_embed.projection.', 'patch_embed.proj.'),
            ('.layer_norm1.', '.norm1.'),
            ('.layer_norm2.', '.norm2.'),
            ('.mlp.proj_in.', '.mlp.fc1.'),
            ('.mlp.proj_out.', '.mlp.fc2.'),
        ),
        prefix='vision_encoder.backbone.',
    ),
    'birder': Format('body.stage1.0.mlp.0.weight', pairs=(('features.1.', 'norm.'), *_BIRDER), wrapper='state'),
    # birder's HieraDet attends in SAM 2's windows and applies the norm before the mean.
    'birder hieradet': Format('body.stage1.0.mlp.0.weight', pairs=(('features.0.', 'norm.'), *_BIRDER)),
    'hiera_mm': Format(_MARK, wrapper='state_dict'),
}


OTHER_WRAPPERS = (
    *('model_state_dict', 'net', 'network', 'module', 'model_ema', 'state_dict_ema', 'ema', 'teacher', 'student'),
)
"""Keys under which other training code stores weights, in search order."""


WRAPPERS = re.compile(r'(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')
"""Parts of names that torch's wrappers add anywhere."""

_BLOCK = re.compile(r'blocks\.(\d+)\.')
_STAGE = r'(?:encoder\.stages\.\d+\.layers|body\.stage\d+)\.\d+'
"""Prefix of a block's name in formats that number blocks by stage."""


@dataclass(frozen=True)
class Weights:
    """A checkpoint's tensors by our names."""

    format: str
    tensors: dict[str, Tensor]
    others: dict[str, Tensor]
    """Tensors outside the backbone's prefix, such as the rest of a detector or of SAM 2, by the file's names."""


def to_our_names(checkpoint: Mapping, source: str, allow_nan: bool = False) -> Weights:
    """Recognise a checkpoint's format from its content and rename its tensors.

    Raises:
        UserError: if it holds no tensors, no Hiera, or several, or if tensors hold NaN without ``allow_nan``.
    """
    state, wrapper = unwrap(checkpoint, source, allow_nan)
    name, prefix = _recognise(state, source)
    if name in ('transformers', 'birder'):
        # In these formats the head and decoder are outside the encoder's prefix.
        inside, others = {key.removeprefix(prefix): value for key, value in state.items()}, {}
    else:
        inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        # Other training code keeps the whole model under a name of its own, such as 'model.'.
        outer = prefix.removesuffix('backbone.') if prefix.endswith('backbone.') else ''
        others = {key.removeprefix(outer): value for key, value in state.items() if not key.startswith(prefix)}
    if name == 'birder' and 'features.0.weight' in inside:
        name = 'birder hieradet'
    if FORMATS[name].mark == _MARK:
        name = _guess_publisher(inside, wrapper, prefix)
    numbers, pairs = _block_numbers(inside), _name_pairs(name, inside)
    renamed = {_replace_names(_renumber_block(key, numbers), pairs): value for key, value in inside.items()}
    if name == 'hiera_mm':
        # This package's masked autoencoder has its decoder outside the backbone, with the same names.
        renamed |= {key: others.pop(key) for key in [*others] if part_of(key) == DECODER}
    return Weights(name, renamed, others)


def to_their_names(tensors: Mapping[str, Tensor], target: str) -> tuple[dict, list[str]]:
    """The content of a file in the format ``target``, and our names of the tensors that the format can't hold.

    Args:
        tensors: Tensors by our names.
        target: One of :data:`TARGETS`.

    Raises:
        UserError: if the format can't hold this backbone.
    """
    if target == 'transformers' and 'pos_embed_window' in tensors:
        target = 'sam2 in transformers'
    _check_representable(tensors, target)
    kept = {key: value for key, value in tensors.items() if _has_place(target, key)}
    numbers = {ours: theirs for theirs, ours in _stage_numbers(tensors).items()} if target == 'transformers' else {}
    swapped = [(ours, theirs) for theirs, ours in _name_pairs(target, tensors)]
    content = {}
    for key, value in kept.items():
        name = _replace_names(_renumber_block(key, numbers), swapped)
        beside = target == 'transformers' and not name.startswith(('embeddings.', 'encoder.', 'pooler.'))
        content[name if beside else FORMATS[target].prefix + name] = value
    return content, sorted(set(tensors) - set(kept))


def unwrap(checkpoint: Mapping, source: str, allow_nan: bool = False) -> tuple[dict[str, Tensor], str | None]:
    """The named tensors of a checkpoint, and the key under which it holds them, if any.

    Raises:
        UserError: if there are no tensors, or if some hold NaN without ``allow_nan``.
    """
    import torch

    wrappers = (*(known.wrapper for known in FORMATS.values() if known.wrapper), *OTHER_WRAPPERS)
    wrapper = next((key for key in wrappers if isinstance(checkpoint.get(key), Mapping)), None)
    if wrapper is None and not any(isinstance(value, torch.Tensor) for value in checkpoint.values()):
        wrapper = _only_weights_key(checkpoint, source)
    content = checkpoint if wrapper is None else checkpoint[wrapper]
    state = {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if not state:
        raise UserError(
            f"The file '{source}' holds no weights: its keys {sorted(map(str, content))[:5]} don't name tensors."
        )
    with_nan = [key for key, value in state.items() if value.is_floating_point() and torch.isnan(value).any()]
    if with_nan and not allow_nan:
        raise UserError(
            f"{len(with_nan)} of the {len(state)} tensors in '{source}' hold NaN, such as '{with_nan[0]}': the "
            'training that wrote them had failed; use an earlier checkpoint. To start the backbone from it anyway: '
            "init_cfg=dict(type='Pretrained', checkpoint=..., allow_nan=True)."
        )
    return {_without_wrappers(key): value for key, value in state.items()}, wrapper


def _without_wrappers(name: str) -> str:
    """A tensor's name without what torch's wrappers add: for several devices, for compiled parts, for sharding."""
    return WRAPPERS.sub('', name).removeprefix('module.')


def _only_weights_key(checkpoint: Mapping, source: str) -> str | None:
    """The only key that holds tensors, if no known key does; None if there is none."""
    import torch

    sets = [
        key
        for key, content in checkpoint.items()
        if isinstance(content, Mapping) and any(isinstance(value, torch.Tensor) for value in content.values())
    ]
    if len(sets) > 1:
        raise UserError(
            f"The file '{source}' holds several sets of weights, {first_few(list(map(str, sets)), 9)}; choose one with "
            "init_cfg=dict(type='Pretrained', checkpoint=..., key=NAME)."
        )
    return sets[0] if sets else None


def part_of(key: str) -> str | None:
    """The part of a model that one of our names belongs to; None for the backbone."""
    return next((part for start, part in NOT_THE_BACKBONE.items() if key.startswith(start)), None)


def count_beside(keys: Iterable[str]) -> Counter[str]:
    """How many of our names belong to each part of a model other than the backbone."""
    return Counter(part for key in keys if (part := part_of(key)) is not None)


def depths_of(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """How many blocks each stage has, by our names."""
    return tuple(len(list(group)) for _, group in groupby(width for _, width in _blocks(tensors).values()))


def block_number(key: str) -> int:
    """The number of the block that one of our names belongs to, counted over all stages; -1 outside the blocks."""
    found = _BLOCK.match(key)
    return int(found[1]) if found else -1


def describe(tensors: Mapping[str, Tensor]) -> str | None:
    """Describe the backbone that tensors belong to, by our names: "Hiera of arch='l' (images, 144 channels,
    2-6-36-4 blocks)". None if they are too incomplete.
    """
    found = architecture_of(tensors)
    if found is None:
        return None
    name = f"Hiera of arch='{found.arch}'" if isinstance(found.arch, str) else 'Hiera of no published size'
    input_type = 'clips' if tensors['patch_embed.proj.weight'].ndim == 5 else 'images'
    extras = [key.replace('_', ' ') for key in ('layer_scale', 'pooled_shortcut') if key in found.settings]
    blocks = '-'.join(map(str, found.settings['depths']))
    details = [input_type, f'{found.settings["embed_dim"]} channels', f'{blocks} blocks', *extras]
    return f'{name} ({", ".join(details)})'


class Architecture(NamedTuple):
    """A backbone's size, inferred from its tensors: its name if it is a published one, and ``arch`` as a dict, without
    the number of heads, which can't be inferred."""

    arch: str | None
    settings: dict[str, Any]


def architecture_of(tensors: Mapping[str, Tensor]) -> Architecture | None:
    """Infer the architecture of a backbone's tensors, by our names; None if they are too incomplete."""
    patch_weight, blocks = tensors.get('patch_embed.proj.weight'), _blocks(tensors)
    if patch_weight is None or not blocks:
        return None
    found = dict(embed_dim=patch_weight.shape[0], depths=depths_of(tensors))
    if 'blocks.0.ls1.weight' in tensors:
        found['layer_scale'] = True
    widening = [number for number, (width_in, width_out) in blocks.items() if width_in != width_out]
    if widening and not any(f'blocks.{number}.proj.weight' in tensors for number in widening):
        found['pooled_shortcut'] = True
    known = (
        arch
        for arch, settings in ARCHITECTURES.items()
        if settings | {'num_heads': None} == found | {'num_heads': None}
    )
    return Architecture(next(known, None), found)


def _recognise(state: Mapping[str, Tensor], source: str) -> tuple[str, str]:
    """The format's name and the backbone's prefix."""
    for name, known in FORMATS.items():
        prefixes = {key.removesuffix(known.mark) for key in state if f'.{key}'.endswith(f'.{known.mark}')}
        if len(prefixes) > 1:
            raise UserError(
                f"The checkpoint '{source}' holds more than one Hiera, under {', '.join(sorted(map(repr, prefixes)))}; "
                'save the wanted one in a separate file.'
            )
        if prefixes:
            return name, prefixes.pop()
    raise UserError(
        f"The checkpoint '{source}' holds no Hiera: the names of its {len(state)} tensors, such as "
        f"'{next(iter(state))}', fit none of the formats {', '.join(TARGETS)}; use a checkpoint of Hiera."
    )


def _guess_publisher(inside: Mapping[str, Tensor], wrapper: str | None, prefix: str) -> str:
    if any(_replace_names(key, FORMATS['timm'].pairs) != key for key in inside):
        return 'timm'
    if prefix or wrapper == 'state_dict' or not any(map(part_of, inside)):
        return 'hiera_mm'
    return 'meta'


def _name_pairs(name: str, keys: Iterable[str]) -> tuple[tuple[str, str], ...]:
    pairs = FORMATS[name].pairs
    if name != 'timm':
        return pairs
    keys = set(keys)
    # timm uses the same name for the norm of a masked autoencoder's encoder and of a classifier.
    autoencoder = 'encoder_norm.weight' in keys or not keys & {'norm.weight', 'head.fc.weight', 'pos_embed_window'}
    # timm's SAM 2 models have no LayerScale and use SAM 2's name for the table; its other models use another name.
    own_table = keys & {'pos_embed_win', 'blocks.0.ls1.weight'}
    if autoencoder:
        pairs = (('head.norm.', 'encoder_norm.'), *pairs[1:])
    return pairs if own_table else tuple(pair for pair in pairs if pair[0] != 'pos_embed_win')


def _replace_names(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    for old, new in pairs:
        if old.startswith('.'):
            name = name.replace(old, new)
        elif name == old or (old.endswith('.') and name.startswith(old)):
            name = new + name.removeprefix(old)
    return name


def _renumber_block(name: str, numbers: Mapping[str, str]) -> str:
    """Replace the prefix that numbers a block, such as ``blocks.3.``."""
    start = re.match(rf'(?:blocks\.\d+|{_STAGE})\.', name)
    return numbers.get(start[0], start[0]) + name[start.end() :] if start else name


def _block_numbers(names: Iterable[str]) -> dict[str, str]:
    """Map ``encoder.stages.s.layers.n.`` (transformers) or ``body.stages.n.`` (birder) to ``blocks.i.``, for the blocks
    that occur."""
    found = (re.match(rf'{_STAGE}\.', name) for name in names)
    starts = {match[0] for match in found if match}
    ordered = sorted(starts, key=lambda start: [int(number) for number in re.findall(r'\d+', start)])
    return {start: f'blocks.{i}.' for i, start in enumerate(ordered)}


def _stage_numbers(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The same map for tensors by our names; stages are told apart by the width of their blocks."""
    widths = [width for _, width in _blocks(tensors).values()]
    layers = [(s, n) for s, (_, group) in enumerate(groupby(widths)) for n, _ in enumerate(group)]
    return {f'encoder.stages.{s}.layers.{n}.': f'blocks.{i}.' for i, (s, n) in enumerate(layers)}


def _blocks(tensors: Mapping[str, Tensor]) -> dict[int, tuple[int, int]]:
    """The width before and after each block."""
    numbers = sorted({block_number(key) for key in tensors} - {-1})
    keys = {number: (f'blocks.{number}.norm1.weight', f'blocks.{number}.norm2.weight') for number in numbers}
    return {n: (tensors[a].shape[0], tensors[b].shape[0]) for n, (a, b) in keys.items() if {a, b} <= tensors.keys()}


def _has_place(target: str, key: str) -> bool:
    part = part_of(key)
    if target == 'hiera_mm':
        return True
    if part is None:
        return not key.startswith('out_norms.')
    if target == 'timm':
        return part == HEAD or key.startswith('encoder_norm.')
    return part in (HEAD, DECODER) and target in ('meta', 'transformers')


def _check_representable(tensors: Mapping[str, Tensor], target: str) -> None:
    has = {
        'two position tables': 'pos_embed_window' in tensors,
        'one position table': 'pos_embed_window' not in tensors,
        'LayerScale': 'blocks.0.ls1.weight' in tensors,
        'clips': 'pos_embed_spatial' in tensors,
    }
    no_place_for = {
        'meta': ('two position tables', 'LayerScale'),
        'transformers': ('LayerScale', 'clips'),
        'sam2 in transformers': ('LayerScale', 'clips'),
        'sam2': ('one position table', 'LayerScale', 'clips'),
    }
    for what in no_place_for.get(target, ()):
        if has[what]:
            raise UserError(
                f'The format {target} has no place for a Hiera with {what}, which this checkpoint holds; convert it '
                'to timm or hiera_mm.'
            )
