"""A model's backbone cut down in width and depth, and pictures in size; nothing else of a config changes."""

from collections.abc import Iterator, Sequence

from hiera_mm.architectures import ARCHITECTURES, LONG_NAMES
from hiera_mm.checks.run import LOADERS
from hiera_mm.config import dicts_in
from hiera_mm.errors import UserError
from hiera_mm.models.hiera import UNIT_PIXELS

from mmengine.config import Config, ConfigDict

TINY = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
DECODER = dict(decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2)

CHANNELS = 8
"""Of the decoder of volumes at full resolution."""

SIDES_OF_VOLUMES = ('spatial_size', 'roi_size')
"""Keys of steps of volumes, with three sides."""

SIZES = ('scale', 'img_scale', 'scale_range', 'size', 'crop_size', *SIDES_OF_VOLUMES)
"""Keys of pipeline steps that hold sides in pixels: one, or several of which -1 stands for any."""


def shrink_model(config: Config) -> None:
    """Make the Hiera of a config 16 channels wide and a block a stage deep, and a masked autoencoder's decoder as well.

    Parts that take the maps follow where they were told the true widths; where they were told others, they keep them,
    and fail as they would in the run.

    Raises:
        UserError: if the backbone is no Hiera.
    """
    model = config.model
    backbone = model.get('backbone', {})
    if str(backbone.get('type', '')).rpartition('.')[2] != 'Hiera':
        raise UserError(f"--tiny cuts a Hiera down, but the config's backbone is {backbone.get('type')}; leave it out.")
    before, after = _widths(_architecture(backbone.get('arch', 'b'))), _widths(TINY)
    backbone.arch = ConfigDict(TINY)
    if backbone.get('global_blocks'):
        # The third stage's one block, where the published ones are.
        backbone.global_blocks = (2,)
    chosen = [*backbone.get('out_indices', range(4))]
    for part in _takers_of_maps(model):
        told, index = part.get('in_channels'), part.get('in_index', -1)
        stage = chosen[index if isinstance(index, int) else -1]
        if told == before[stage]:
            part.in_channels = after[stage]
        elif isinstance(told, list | tuple) and [*told] == [before[index] for index in chosen]:
            part.in_channels = [after[index] for index in chosen]
    if model.type == 'MaskedAutoencoder':
        model.update(DECODER)
    if 'decoder' in model:
        model.decoder.channels = CHANNELS


def shrink_pictures(config: Config, side: int) -> None:
    """Where pictures have a side longer than ``side`` pixels at any step of a pipeline, make all sides smaller in
    proportion: those of the steps, of the padding, and of a masked autoencoder's input.
    """
    sizes = [(step, key) for step in _steps(config) for key in SIZES if _is_size(step.get(key))]
    factor = side / max((value for step, key in sizes for value in _sides(step[key])), default=side)
    if factor >= 1:
        return
    for step, key in sizes:
        step[key] = _scaled(step[key], factor)
    if config.model.get('input_size') and any(key in SIDES_OF_VOLUMES for _, key in sizes):
        config.model.input_size = _scaled(config.model.input_size, factor)
    elif config.model.get('input_size'):
        *frames, height, width = config.model.input_size
        config.model.input_size = (*frames, _scaled(height, factor), _scaled(width, factor))
    padding = config.model.get('data_preprocessor', {})
    if padding.get('pad_size_divisor', 1) > UNIT_PIXELS:
        padding.pad_size_divisor = _scaled(padding.pad_size_divisor, factor)
    windows = config.model.get('test_cfg') or {}
    for owner, key in ((padding, 'size'), (windows, 'crop_size'), (windows, 'stride')):
        if _is_size(owner.get(key)):
            owner[key] = _scaled(owner[key], factor)


def _architecture(arch: str | dict) -> dict:
    # An unknown one is left for the model to refuse.
    return ARCHITECTURES.get(LONG_NAMES.get(arch, arch), TINY) if isinstance(arch, str) else arch


def _widths(architecture: dict) -> list[int]:
    return [architecture['embed_dim'] * 2**stage for stage in range(4)]


def _takers_of_maps(model: ConfigDict) -> Iterator[ConfigDict]:
    if model.get('neck'):
        yield from model.neck if isinstance(model.neck, list | tuple) else [model.neck]
        return
    of_masks = (model.get(name) for name in ('decode_head', 'auxiliary_head', 'panoptic_head', 'decoder'))
    for head in (model.get('cls_head'), model.get('roi_head', {}).get('bbox_head'), *of_masks):
        if isinstance(head, dict):
            yield head


def _steps(config: Config) -> Iterator[ConfigDict]:
    """The steps of all pipelines, also inside wrappers and branching steps, among the other dicts of the data sets."""
    for loader in LOADERS:
        if config.get(loader) is not None:
            yield from dicts_in(config[loader].dataset)


def _sides(value: int | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _is_size(value: object) -> bool:
    sides = [value] if isinstance(value, int) else value if isinstance(value, list | tuple) else []
    return bool(sides) and all(isinstance(side, int) and (side > 0 or side == -1) for side in sides)


def _scaled(value: int | Sequence[int], factor: float) -> int | tuple[int, ...]:
    """Whole mask units, so that sides that were the same stay the same."""
    scaled = tuple(
        side if side < 0 else max(UNIT_PIXELS, round(side * factor / UNIT_PIXELS) * UNIT_PIXELS)
        for side in _sides(value)
    )
    return scaled[0] if isinstance(value, int) else scaled
