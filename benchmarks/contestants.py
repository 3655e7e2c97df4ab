"""Models to time, by their names on the command line."""

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.config import read_config_file
from hiera_mm.errors import UserError
from hiera_mm.models import Hiera
from hiera_mm.models.cpu import plain
from hiera_mm.models.gpu import own_kernels
from hiera_mm.models.hiera import UNIT_PIXELS
from hiera_mm.models.mae import Q_POOLS
from hiera_mm.models.mask_units import UNIT_SIDE

import torch
import torch.nn as nn
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor
from torch.utils._pytree import tree_leaves

from benchmarks.whole_models import WholeModel

GLOBAL_BLOCKS = dict(t=(5, 7, 9), s=(7, 10, 13), b=(12, 16, 20), bp=(12, 16, 20), l=(23, 33, 43), h=(23, 33, 43))
"""SAM 2's for the depth of each size."""

BACKBONE_OF_CONFIG = ':backbone'
IN_BFLOAT16 = 'bfloat16:'


@dataclass(frozen=True)
class Scale:
    """The input: images, or clips of ``frames``; sides in pixels."""

    batch: int
    frames: int | None
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.batch, 3, *(() if self.frames is None else (self.frames,)), self.height, self.width)

    def __str__(self) -> str:
        return ' x '.join(map(str, self.shape))


class Backbone:
    """A model from pixels to tensors, which is trained to make them small, as there is no task."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def predict(self, pixels: Tensor) -> object:
        return self.model(pixels)

    def loss(self, pixels: Tensor) -> Tensor:
        outputs = [x for x in tree_leaves(self.predict(pixels)) if isinstance(x, Tensor)]
        return sum(x.float().square().mean() for x in outputs)

    def optimizer(self) -> OptimWrapper:
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return OptimWrapper(torch.optim.AdamW(parameters, fused=True))

    def to(self, device: str) -> None:
        self.model.to(device)

    def compile(self, replays: bool) -> None:
        """Compile it, and replay it as CUDA graphs if wanted."""
        self.model.compile(dynamic=False, mode='reduce-overhead' if replays else None)


class BackboneInBfloat16(Backbone):
    """With its weights and the pixels in bfloat16, instead of autocast."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model.bfloat16())

    def predict(self, pixels: Tensor) -> object:
        with torch.autocast(pixels.device.type, enabled=False):
            return self.model(pixels.bfloat16())


def build_contestant(name: str, scale: Scale) -> Backbone | WholeModel | None:
    """The model that a contestant's name means, or None, which is said, if its package is not installed.

    Raises:
        UserError: for a name that means nothing.
    """
    try:
        return _build(name, scale)
    except ImportError as error:
        print(f'{name}: left out, as it is not installed ({error})')
        return None


def _build(name: str, scale: Scale) -> Backbone | WholeModel:
    if name.startswith(IN_BFLOAT16):
        contestant = _build(name.removeprefix(IN_BFLOAT16), scale)
        if isinstance(contestant, WholeModel):
            raise UserError(f"'{name}': only backbones are timed with weights in bfloat16; take --dtype bfloat16.")
        return BackboneInBfloat16(contestant.model)
    if name.endswith('.py'):
        return WholeModel(read_config_file(name), scale.shape)
    if name.endswith(f'.py{BACKBONE_OF_CONFIG}'):
        config = read_config_file(name.removesuffix(BACKBONE_OF_CONFIG))
        return Backbone(_registered(config.model.backbone, config.default_scope))
    package, _, options = name.partition(':')
    if package in BUILDERS:
        return Backbone(BUILDERS[package](options, scale))
    scope, _, kind = package.partition('.')
    if kind:
        return Backbone(_registered(dict(type=kind, **_settings(name, options)), scope))
    raise UserError(
        f"There is no contestant '{name}'; give {', '.join(BUILDERS)} with a colon and an arch, a type of a registry "
        f'such as mmdet.SwinTransformer, or a config file, with {BACKBONE_OF_CONFIG} behind it for its backbone.'
    )


def _registered(config: dict, scope: str) -> nn.Module:
    """A model of a registry, without the weights that its config names."""
    config = ConfigDict(config)
    for key in {'init_cfg', 'pretrained'} & set(config):
        config[key] = None
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(config)


def _settings(name: str, options: str) -> dict[str, object]:
    """``'arch=base,depth=2'`` as keyword arguments."""
    settings = {}
    for option in filter(None, options.split(',')):
        key, equals, value = option.partition('=')
        if not equals:
            raise UserError(f"The contestant '{name}' needs its options as KEY=VALUE with commas between.")
        try:
            settings[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[key] = value
    return settings


def _ours(options: str, scale: Scale, kind: type[Hiera] = Hiera) -> nn.Module:
    arch, windows = _arch_and_windows(options)
    if windows is None:
        return kind(arch, num_frames=scale.frames)
    return kind(arch, window_sizes=windows, global_blocks=GLOBAL_BLOCKS[arch], pos_embed='absolute_win')


class AsWritten(Hiera):
    """Hiera without the faster code of ``models/cpu.py`` and ``models/gpu.py``."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        with plain():
            return super().forward(pixels)


class WithOwnKernels(Hiera):
    """Hiera whose narrow stages are computed by ``models/gpu_kernels.py``, on a GPU with weights in bfloat16."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        with own_kernels():
            return super().forward(pixels)


def _masked(options: str, scale: Scale) -> nn.Module:
    return Masked(*_arch_and_ratio('masked', options), scale)


def _dense(options: str, scale: Scale) -> nn.Module:
    return DenselyMasked(*_arch_and_ratio('dense', options), scale)


def _arch_and_ratio(kind: str, options: str) -> tuple[str, float]:
    arch, _, ratio = options.partition(':')
    _check_arch(arch)
    ratio = ratio or '0.6'
    if not ratio.replace('.', '', 1).isdigit() or float(ratio) >= 1:
        raise UserError(f'{kind}:{arch}:{ratio} needs a share of mask units from 0 to below 1, such as 0.6.')
    return arch, float(ratio)


class Masked(nn.Module):
    """The encoder on the mask units that are kept, drawn once for all runs."""

    def __init__(self, arch: str, ratio: float, scale: Scale) -> None:
        super().__init__()
        self.encoder = Hiera(arch, num_frames=scale.frames, q_pools=Q_POOLS)
        self.grid = ((scale.frames or 2) // 2, scale.height // UNIT_PIXELS, scale.width // UNIT_PIXELS)
        units = math.prod(self.grid)
        self.register_buffer('kept', torch.randperm(units)[: int(units * (1 - ratio))])

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return self.encoder.forward_kept(pixels, self.kept.expand(len(pixels), -1))


class DenselyMasked(Masked):
    """The encoder on all mask units, with a learned token in place of the masked ones' patches, as MaskFeat (arXiv
    2112.09133) and SimMIM (arXiv 2111.09886) have it."""

    def __init__(self, arch: str, ratio: float, scale: Scale) -> None:
        super().__init__(arch, ratio, scale)
        masked = torch.ones(math.prod(self.grid), dtype=torch.bool)
        masked[self.kept] = False
        patches = masked.reshape(self.grid)
        for axis in (1, 2):
            patches = patches.repeat_interleave(UNIT_SIDE, dim=axis)
        self.register_buffer('masked', patches if scale.frames else patches[0])
        channels = self.encoder.patch_embed.proj.out_channels
        self.token = nn.Parameter(torch.zeros(channels, *[1] * self.masked.ndim))
        self.encoder.patch_embed.register_forward_hook(self._with_tokens)

    def _with_tokens(self, module: nn.Module, inputs: object, patches: Tensor) -> Tensor:
        return torch.where(self.masked, self.token, patches)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return self.encoder(pixels)


def _official(options: str, scale: Scale) -> nn.Module:
    import hiera

    settings = _published(options, 'The official package')
    clip = dict(
        q_stride=(1, 2, 2),
        mask_unit_size=(1, 8, 8),
        patch_kernel=(3, 7, 7),
        patch_stride=(2, 4, 4),
        patch_padding=(1, 3, 3),
        sep_pos_embed=True,
    )
    model = hiera.Hiera(
        input_size=scale.shape[2:],
        embed_dim=settings['embed_dim'],
        num_heads=settings['num_heads'],
        stages=settings['depths'],
        **({} if scale.frames is None else clip),
    )
    model.forward = lambda pixels, forward=model.forward: forward(pixels, return_intermediates=True)[1]
    return model


def _sam2(options: str, scale: Scale) -> nn.Module:
    from sam2.modeling.backbones.hieradet import Hiera as Trunk

    arch, windows = _arch_and_windows(options)
    if windows is None:
        raise UserError("SAM 2's trunk needs windows, such as sam2:b:8/4/14/7.")
    settings = ARCHITECTURES[arch]
    return Trunk(
        embed_dim=settings['embed_dim'],
        num_heads=settings['num_heads'],
        stages=settings['depths'],
        window_spec=windows,
        global_att_blocks=GLOBAL_BLOCKS[arch],
    )


def _timm(options: str, scale: Scale) -> nn.Module:
    import timm

    if not timm.is_model(options):
        raise UserError(f"timm has no model '{options}'; timm.list_models() names them.")
    try:
        return timm.create_model(options, features_only=True, img_size=(scale.height, scale.width))
    except TypeError:
        # Convolutional models take any size and no such argument.
        return timm.create_model(options, features_only=True)


def _transformers(options: str, scale: Scale) -> nn.Module:
    from transformers import HieraBackbone, HieraConfig

    settings = _published(options, 'transformers')
    model = HieraBackbone(
        HieraConfig(
            embed_dim=settings['embed_dim'],
            num_heads=[settings['num_heads'] * 2**stage for stage in range(4)],
            depths=list(settings['depths']),
            image_size=[scale.height, scale.width],
            out_features=[f'stage{stage}' for stage in range(1, 5)],
        )
    )
    model.forward = lambda pixels, forward=model.forward: forward(pixels).feature_maps
    return model


BUILDERS: dict[str, Callable[[str, Scale], nn.Module]] = {
    'hiera_mm': _ours,
    'plain': partial(_ours, kind=AsWritten),
    'kernels': partial(_ours, kind=WithOwnKernels),
    'masked': _masked,
    'dense': _dense,
    'hiera-transformer': _official,
    'sam2': _sam2,
    'timm': _timm,
    'transformers': _transformers,
}


def _arch_and_windows(options: str) -> tuple[str, tuple[int, ...] | None]:
    arch, colon, windows = options.partition(':')
    _check_arch(arch)
    if not colon:
        return arch, None
    try:
        return arch, tuple(int(side) for side in windows.split('/'))
    except ValueError:
        raise UserError(f"Windows are given as 8/4/14/7, not '{windows}'.") from None


def _published(arch: str, package: str) -> dict:
    if ':' in arch:
        raise UserError(f"{package} has no windows; leave out what follows the arch in '{arch}'.")
    _check_arch(arch)
    return ARCHITECTURES[arch]


def _check_arch(arch: str) -> None:
    if arch not in GLOBAL_BLOCKS:
        raise UserError(f"Hiera has no size '{arch}'; take one of {', '.join(GLOBAL_BLOCKS)}.")
