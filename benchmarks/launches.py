"""Kernel launches of a GPU and waits for it, counted without one: ``python -m benchmarks.launches CONFIG``.

An operation of torch that is no view counts as a launch, and one whose result the processor has to know (``nonzero``,
``item``, ``tolist``, suppression, an index of booleans) as a wait. Both are exact and the same on every machine; what
they cost is not said.

- The backbone's forward pass on simulated CUDA tensors of the config's training size, under autocast in bfloat16 and
  with weights in bfloat16. Attention is one launch there, as by a fused kernel.
- Of a two-stage detector a training step by part, on a CPU under autocast, with four images of 256 pixels that have
  seven objects each, and 16 channels instead of the config's: widths change no counts.
"""

import argparse
import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.commands.faults import as_sentences
from hiera_mm.config import dicts_in, in_scope
from hiera_mm.models import Hiera
from hiera_mm.settings import read_config
from hiera_mm.tasks import task_of

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.report import parser_of, write

NO_LAUNCH = {
    *('device', 'empty', 'empty_like', 'empty_strided', 'new_empty', 'new_empty_strided', 'lift_fresh', 'is_same_size'),
    *('detach', 'alias', '_unsafe_view', '_reshape_alias', 'unsafe_split'),
}
WAITS = {
    *('_local_scalar_dense', 'item', 'is_nonzero', 'equal', 'nonzero', 'masked_select'),
    *('_unique2', 'unique_dim', 'unique_consecutive', 'nms'),
}
WIDTHS = ('in_channels', 'out_channels', 'feat_channels', 'conv_out_channels', 'fc_out_channels')
IMAGES, SIDE, OBJECTS = 4, 256, 7


class Count(TorchDispatchMode):
    """Counts launches and waits by the part that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.launches, self.waits = Counter[str](), Counter[str]()
        self.operations: dict[str, Counter[str]] = defaultdict(Counter)
        self.parts = ['the rest']
        self.quiet = False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = func.overloadpacket.__name__
        if not (self.quiet or func.is_view or name in NO_LAUNCH):
            self.add(name, waits=name in WAITS or name == 'index' and _has_booleans(args[1]))
        return func(*args, **(kwargs or {}))

    def add(self, name: str, waits: bool = False) -> None:
        part = self.parts[-1]
        self.launches[part] += 1
        self.waits[part] += waits
        self.operations[part][name] += 1

    def waiting(self, method: str) -> Any:
        """A method of tensors that no operation stands for, but that waits for the device."""
        plain = getattr(Tensor, method)

        def run(*args: Any, **named: Any) -> Any:
            self.waits[self.parts[-1]] += 1
            return plain(*args, **named)

        return patch.object(Tensor, method, run)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        self.parts.append(name)
        yield
        self.parts.pop()


def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments.config)
    rows = backbone_rows(config)
    if {'rpn_head', 'roi_head', 'neck'} <= set(config.model):
        rows += step_rows(config)
    for row in rows:
        print('{part:60} {launches:6} launches {waits:4} waits'.format(**row))
    if arguments.out:
        write(arguments.out, rows, f'Launches of {arguments.config}')


def backbone_rows(config: Config) -> list[dict[str, Any]]:
    """Launches of a forward pass of a config's backbone on simulated CUDA tensors."""
    shape = task_of(config).input_shape(config)
    settings = {key: value for key, value in config.model.backbone.items() if key not in ('type', 'init_cfg')}
    named = dict(autocast=torch.float32, weights=torch.bfloat16)
    names = dict(autocast='under autocast', weights='with weights in bfloat16')
    size = ' x '.join(map(str, shape))
    return [
        _row(f'backbone, forward, {size}, {names[kind]}', backbone_count(settings, shape, dtype))
        for kind, dtype in named.items()
    ]


def backbone_count(settings: dict, shape: tuple[int, int], dtype: torch.dtype, images: int = 4) -> Count:
    """Counts a forward pass of a Hiera with weights of a type, float32 under autocast in bfloat16."""
    count = Count()

    def attend(*parts: Tensor) -> Tensor:
        for _ in range(1 + sum(part.dtype != torch.bfloat16 for part in parts)):
            count.add('attention')
        count.quiet = True
        groups, heads, tokens, width = parts[0].shape
        made = torch.empty(groups, tokens, heads, width, dtype=torch.bfloat16).transpose(1, 2)
        count.quiet = False
        return made

    with simulated_gpu():
        model = model_of(settings, dtype)
        frames = () if model.num_frames is None else (model.num_frames,)
        pixels = torch.empty(images, model.in_channels, *frames, *shape, dtype=dtype)
        under = torch.autocast('cuda', torch.bfloat16, enabled=dtype == torch.float32)
        with patch.object(F, 'scaled_dot_product_attention', attend), torch.no_grad(), under, count:
            model(pixels)
    return count


def model_of(settings: dict, dtype: torch.dtype) -> Hiera:
    """A Hiera with weights of a type; simulated ones can't be cast afterwards."""
    torch.set_default_dtype(dtype)
    try:
        return Hiera(**settings).eval()
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def simulated_gpu() -> Iterator[None]:
    """Tensors made inside are on a GPU, but hold nothing."""
    draws = [name for name in vars(nn.init) if name.endswith('_') and not name.startswith('_')]
    with contextlib.ExitStack() as stack:
        for name in draws:
            stack.enter_context(patch.object(nn.init, name, lambda tensor, *_, **__: tensor))
        # Without a GPU torch would switch autocast off.
        stack.enter_context(patch.object(torch.cuda.amp.common, 'amp_definitely_not_available', lambda: False))
        stack.enter_context(patch.object(torch.cuda, 'is_bf16_supported', lambda *_, **__: True))
        stack.enter_context(FakeTensorMode())
        stack.enter_context(torch.device('cuda'))
        yield


def step_rows(config: Config) -> list[dict[str, Any]]:
    """Launches and waits of a two-stage detector's training step."""
    count = step_count(config)
    rows = [dict(part=part, launches=count.launches[part], waits=count.waits[part]) for part in count.launches]
    return [*rows, _row('a training step', count)]


def step_count(config: Config) -> Count:
    """Counts a two-stage detector's loss and its backward pass by part."""
    torch.manual_seed(0)
    with in_scope(config):
        model = MODELS.build(narrowed(config.model)).train()
        data = model.data_preprocessor(_batch(), training=True)
    count, roi_head = Count(), model.roi_head
    with contextlib.ExitStack() as stack:
        for owner, method, part in (
            *((model.backbone, 'forward', 'backbone'), (model.neck, 'forward', 'neck')),
            *((model.rpn_head, 'forward', 'RPN head'), (model.rpn_head, 'loss_by_feat', 'RPN loss')),
            *(
                (model.rpn_head, 'propose', 'proposals'),
                (model.rpn_head, 'predict_by_feat', 'proposals'),
                (roi_head, 'loss', 'assignment and sampling of regions'),
            ),
            *((roi_head, 'bbox_loss', 'box head'), (roi_head, 'mask_loss', 'mask head')),
        ):
            if hasattr(owner, method):
                stack.enter_context(patch.object(owner, method, count.part(part)(getattr(owner, method))))
        for method in ('tolist', 'cpu'):
            stack.enter_context(count.waiting(method))
        stack.enter_context(count)
        with torch.autocast('cpu', torch.bfloat16):
            loss = model.parse_losses(model(**data, mode='loss'))[0]
        with count.part('backward'):
            loss.backward()
    return count


def narrowed(model: ConfigDict) -> ConfigDict:
    arch = model.backbone.arch
    depths = (ARCHITECTURES[arch] if isinstance(arch, str) else arch)['depths']
    model.backbone.update(arch=dict(embed_dim=16, num_heads=1, depths=depths), init_cfg=None)
    model.neck.in_channels = [16, 32, 64, 128]
    model.data_preprocessor.pad_size_divisor = 32
    for part in dicts_in([model.neck, model.rpn_head, model.roi_head]):
        part.update({key: 16 for key in WIDTHS if isinstance(part.get(key), int)})
    return model


def _batch() -> dict:
    random, samples = np.random.default_rng(0), []
    sides = dict(img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE), pad_shape=(SIDE, SIDE), batch_input_shape=(SIDE, SIDE))
    for _ in range(IMAGES):
        corners, lengths = random.uniform(0, 160, (OBJECTS, 2)), random.uniform(24, 90, (OBJECTS, 2))
        boxes = np.concatenate([corners, corners + lengths], 1).astype(np.float32)
        masks = np.zeros((OBJECTS, SIDE, SIDE), np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
            mask[top:bottom, left:right] = 1
        sample = DetDataSample(metainfo=dict(sides, scale_factor=(1.0, 1.0)))
        labels = torch.tensor(random.integers(0, 3, OBJECTS))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes), labels=labels, masks=BitmapMasks(masks, SIDE, SIDE)
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    images = [torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8) for _ in samples]
    return dict(inputs=images, data_samples=samples)


def _row(part: str, count: Count) -> dict[str, Any]:
    return dict(part=part, launches=count.launches.total(), waits=count.waits.total())


def _has_booleans(indices: Any) -> bool:
    return any(isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in indices or ())


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument('config', help='a config with a Hiera')
    return parser.parse_args()


if __name__ == '__main__':
    with as_sentences():
        main()
