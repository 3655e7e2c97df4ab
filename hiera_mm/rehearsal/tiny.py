"""Reduces width and depth of a config's backbone, and the size of its images."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from hiera_mm.architectures import ARCHITECTURES, LONG_NAMES
from hiera_mm.checks.fault import CheckedTask
from hiera_mm.checks.run import LOADERS
from hiera_mm.config import dicts_in
from hiera_mm.errors import UserError
from hiera_mm.evaluation.dump import WholeDump
from hiera_mm.models.hiera import UNIT_PIXELS
from hiera_mm.rehearsal.stand_in import StandInTask

from mmengine.config import Config, ConfigDict

TINY_ARCH = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
SIZE_KEYS = ('scale', 'img_scale', 'scale_range', 'size', 'crop_size', 'spatial_size', 'roi_size')
"""Keys of pipeline steps with sides in pixels: one or several, where -1 means any."""


class RehearsedTask(CheckedTask, StandInTask, Protocol):
    """The part of a task that a rehearsal needs; :class:`hiera_mm.tasks.task.Task` documents the members."""

    dump: type[WholeDump]

    def map_takers(self, model: ConfigDict) -> Iterator[ConfigDict]: ...
    def shrink(self, model: ConfigDict) -> None: ...
    def shrink_input(self, config: Config, scaled: Callable) -> None: ...


def shrink_model(config: Config, task: RehearsedTask) -> None:
    """Reduce the Hiera of a config to 16 channels and one block per stage, and a masked autoencoder's decoder as well.

    Parts that take the maps are adapted if their ``in_channels`` were right. Wrong ones stay, so that they fail as in
    the run.

    Raises:
        UserError: if the backbone is not a Hiera.
    """
    model = config.model
    backbone = model.get('backbone', {})
    if str(backbone.get('type', '')).rpartition('.')[2] != 'Hiera':
        raise UserError(f"--tiny reduces a Hiera, but the config's backbone is {backbone.get('type')}; leave it out.")
    before, after = _widths(_architecture(backbone.get('arch', 'b'))), _widths(TINY_ARCH)
    shrink_hiera(backbone)
    chosen = [*backbone.get('out_indices', range(4))]
    for part in task.map_takers(model):
        channels, index = part.get('in_channels'), part.get('in_index', -1)
        stage = chosen[index if isinstance(index, int) else -1]
        if channels == before[stage]:
            part.in_channels = after[stage]
        elif isinstance(channels, list | tuple) and [*channels] == [before[index] for index in chosen]:
            part.in_channels = [after[index] for index in chosen]
    task.shrink(model)


def shrink_hiera(backbone: ConfigDict) -> None:
    """Reduce a Hiera to 16 channels and one block per stage."""
    backbone.arch = ConfigDict(TINY_ARCH)
    if backbone.get('global_blocks'):
        # The only block of the third stage, where the published models have theirs.
        backbone.global_blocks = (2,)


def shrink_images(config: Config, task: RehearsedTask, side: int) -> None:
    """If images have a side longer than ``side`` pixels at any step of a pipeline, reduce all sizes in proportion:
    those of the steps, of the padding, and of a masked autoencoder's input.
    """
    sizes = [(step, key) for step in _steps(config) for key in SIZE_KEYS if _is_size(step.get(key))]
    factor = side / max((value for step, key in sizes for value in _sides(step[key])), default=side)
    if factor >= 1:
        return
    for step, key in sizes:
        before, step[key] = step[key], _scaled(step[key], factor)
        if key == 'scale_range' and len({*_sides(step[key])}) < len({*_sides(before)}):
            # A range that sizes are drawn from must not become a single size.
            step[key] = (step[key][0], step[key][0] + UNIT_PIXELS)
    task.shrink_input(config, partial(_scaled, factor=factor))
    padding = config.model.get('data_preprocessor', {})
    if padding.get('pad_size_divisor', 1) > UNIT_PIXELS:
        padding.pad_size_divisor = _scaled(padding.pad_size_divisor, factor)
    windows = config.model.get('test_cfg') or {}
    for owner, key in ((padding, 'size'), (windows, 'crop_size'), (windows, 'stride')):
        if _is_size(owner.get(key)):
            owner[key] = _scaled(owner[key], factor)


def _architecture(arch: str | dict) -> dict:
    # The model itself refuses an unknown one.
    return ARCHITECTURES.get(LONG_NAMES.get(arch, arch), TINY_ARCH) if isinstance(arch, str) else arch


def _widths(architecture: dict) -> list[int]:
    return [architecture['embed_dim'] * 2**stage for stage in range(4)]


def _steps(config: Config) -> Iterator[ConfigDict]:
    """All dicts of the data sets, among them the steps of pipelines inside wrappers and branching steps."""
    for loader in LOADERS:
        if config.get(loader) is not None:
            yield from dicts_in(config[loader].dataset)


def _sides(value: int | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _is_size(value: object) -> bool:
    sides = [value] if isinstance(value, int) else value if isinstance(value, list | tuple) else []
    return bool(sides) and all(isinstance(side, int) and (side > 0 or side == -1) for side in sides)


def _scaled(value: int | Sequence[int], factor: float) -> int | tuple[int, ...]:
    """Scale sides to multiples of a mask unit, so that equal sides stay equal."""
    scaled = tuple(
        side if side < 0 else max(UNIT_PIXELS, round(side * factor / UNIT_PIXELS) * UNIT_PIXELS)
        for side in _sides(value)
    )
    return scaled[0] if isinstance(value, int) else scaled
