"""Segments large images without holding the logits of all their pixels, which for 48 megapixels and 150 classes would
take 29 GB.

mmsegmentation adds up the logits of overlapping windows, resizes the sums to the image and takes the best class of each
pixel. The result here is the same, but is computed in strips of columns, from the top row to the bottom row.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

LARGE_BYTES = 2**29
"""Bytes of an image's logits above which it is large."""

STRIP_BYTES = 2**28
"""Bytes of the logits that are held at once."""

BAND_ROWS = 32
"""Rows that are handed on at once."""


def is_large(model: BaseSegmentor, sample: dict) -> bool:
    """Whether the logits of a prepared sample take too much memory. A model that pads to a fixed size takes none."""
    if (model.data_preprocessor.test_cfg or {}).get('size'):
        return False
    pixels = max(np.prod(sample['inputs'].shape[-2:]), np.prod(sample['data_samples'].ori_shape[:2]))
    return model.out_channels > 1 and 4 * model.out_channels * pixels > LARGE_BYTES


@torch.no_grad()
def labels_of_large(model: BaseSegmentor, batch: dict) -> np.ndarray:
    """The class numbers ``(H, W)`` of an image at its original size.

    Args:
        model: A segmentor with several output channels.
        batch: A collated batch of one prepared sample.
    """
    image, meta = batch['inputs'][0], batch['data_samples'][0].metainfo
    height, width = meta['ori_shape'][:2]
    rows_of = _window_rows if model.test_cfg.get('mode') == 'slide' else _whole_rows
    lines, columns = (
        _Line.resized(source, target, model.align_corners)
        for source, target in zip(image.shape[1:], (height, width), strict=True)
    )
    labels = np.empty((height, width), np.uint8)
    for start, end in _strips(model, image, width):
        strip = columns.part(start, end)
        first, last = int(strip.before[0]), int(strip.after[-1]) + 1
        rows = rows_of(model, image, meta, first, last)
        labels[:, start:end] = _argmax_resized(rows, lines, strip.shifted(first))
    return labels


def _normalised(model: BaseSegmentor, part: Tensor, size: Sequence[int]) -> Tensor:
    """A part of an image as the model's input, a batch of one of ``size``, padded below and on the right. The whole
    image as numbers would take gigabytes."""
    preprocessor, (height, width) = model.data_preprocessor, part.shape[1:]
    found = preprocessor(dict(inputs=[part], data_samples=[SegDataSample()]), False)['inputs'][..., :height, :width]
    return F.pad(found, (0, size[1] - width, 0, size[0] - height), value=preprocessor.pad_val)


def _padded_size(model: BaseSegmentor, image: Tensor) -> list[int]:
    divisor = (model.data_preprocessor.test_cfg or {}).get('size_divisor') or 1
    return [-(-side // divisor) * divisor for side in image.shape[1:]]


class _Line(NamedTuple):
    """Bilinear interpolation along an axis: the source positions before and after each one, and the latter's weight."""

    before: Tensor
    after: Tensor
    weight: Tensor

    @classmethod
    def resized(cls, source: int, target: int, align_corners: bool) -> '_Line':
        places = torch.arange(target, dtype=torch.float64)
        if align_corners:
            at = places * ((source - 1) / max(target - 1, 1))
        else:
            at = ((places + 0.5) * (source / target) - 0.5).clamp(min=0)
        before = at.floor().long().clamp(max=source - 1)
        return cls(before, (before + 1).clamp(max=source - 1), (at - before).float())

    def part(self, start: int, end: int) -> '_Line':
        return _Line(self.before[start:end], self.after[start:end], self.weight[start:end])

    def shifted(self, by: int) -> '_Line':
        return _Line(self.before - by, self.after - by, self.weight)


def _strips(model: BaseSegmentor, image: Tensor, width: int) -> Iterator[tuple[int, int]]:
    """Start and end of strips of columns of the result whose logits fit into memory."""
    if model.test_cfg.get('mode') != 'slide':
        yield 0, width
        return
    most = max(int(STRIP_BYTES / (4 * model.out_channels * model.test_cfg.crop_size[0]) * width / image.shape[2]), 1)
    count = -(-width // most)
    for number in range(count):
        yield width * number // count, width * (number + 1) // count


def _whole_rows(model: BaseSegmentor, image: Tensor, meta: dict, left: int, right: int) -> Iterator[Tensor]:
    inputs = _normalised(model, image, _padded_size(model, image))
    yield model.inference(inputs, [dict(meta, img_shape=inputs.shape[2:])])[0, :, :, left:right]


def _window_rows(model: BaseSegmentor, image: Tensor, meta: dict, left: int, right: int) -> Iterator[Tensor]:
    """The mean logits of all windows in columns ``left`` to ``right``, as bands ``(classes, rows, columns)`` that are
    yielded as soon as no further window reaches them."""
    crop, stride = model.test_cfg.crop_size, model.test_cfg.stride
    size = _padded_size(model, image)
    tops, lefts = (_starts(length, side, step) for length, side, step in zip(size, crop, stride, strict=True))
    high, wide = min(crop[0], size[0]), min(crop[1], size[1])
    device = model.data_preprocessor.device
    sums, counts = (torch.zeros(depth, high, right - left, device=device) for depth in (model.out_channels, 1))
    above = 0
    for top in tops:
        done = top - above
        if done:
            yield from _mean_bands(sums[:, :done], counts[:, :done])
            for kept in (sums, counts):
                kept[:, : high - done] = kept[:, done:].clone()
                kept[:, high - done :] = 0
            above = top
        for start in (start for start in lefts if start < right and start + wide > left):
            window = _normalised(model, image[:, top : top + high, start : start + wide], (high, wide))
            logits = model.encode_decode(window, [dict(meta, img_shape=window.shape[2:])])[0]
            first, last = max(start, left), min(start + wide, right)
            sums[:, :, first - left : last - left] += logits[:, :, first - start : last - start]
            counts[:, :, first - left : last - left] += 1
    yield from _mean_bands(sums, counts)


def _mean_bands(sums: Tensor, counts: Tensor) -> Iterator[Tensor]:
    for start in range(0, sums.shape[1], BAND_ROWS):
        band = slice(start, start + BAND_ROWS)
        yield sums[:, band] / counts[:, band]


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where mmsegmentation's windows begin along an axis."""
    count = max(length - side + step - 1, 0) // step + 1
    return [max(min(number * step + side, length) - side, 0) for number in range(count)]


def _argmax_resized(rows: Iterator[Tensor], lines: _Line, columns: _Line) -> np.ndarray:
    """The best class of each resized pixel, from bands of rows of logits."""
    found, pending, top, line = [], None, 0, 0
    count = len(lines.before)
    for band in rows:
        pending = band if pending is None else torch.cat([pending, band], 1)
        ready = int(torch.searchsorted(lines.after, top + pending.shape[1])) if top + pending.shape[1] else 0
        at_once = max(int(STRIP_BYTES / 8 / (4 * pending.shape[0] * len(columns.before))), 1)
        for start in range(line, ready, at_once):
            found.append(_best(pending, lines.part(start, min(start + at_once, ready)).shifted(top), columns))
        line = ready
        if line < count:
            unused = min(int(lines.before[line]) - top, pending.shape[1])
            pending, top = pending[:, unused:], top + unused
    return np.concatenate(found)


def _best(logits: Tensor, lines: _Line, columns: _Line) -> np.ndarray:
    first, last = int(lines.before[0]), int(lines.after[-1]) + 1
    wide = _between(logits[:, first:last], columns, 2)
    return _between(wide, lines.shifted(first), 1).argmax(0).to(torch.uint8).cpu().numpy()


def _between(values: Tensor, line: _Line, axis: int) -> Tensor:
    before, after = (values.index_select(axis, places.to(values.device)) for places in (line.before, line.after))
    weight = line.weight.to(values)
    return torch.lerp(before, after, weight if axis == 2 else weight[:, None])
