"""Transforms that mmaction2 lacks."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from PIL import Image, ImageEnhance, ImageOps

FILL = (128, 128, 128)
MAX_MAGNITUDE = 10


class Operation(NamedTuple):
    """A change of a frame, and its strength at a magnitude of 0 to 10 and a sign of 1 or -1."""

    apply: Callable[[Image.Image, float], Image.Image]
    strength: Callable[[float, int], float]


def _affine(coefficients: Callable[[Image.Image, float], tuple]) -> Callable[[Image.Image, float], Image.Image]:
    def apply(frame: Image.Image, value: float) -> Image.Image:
        return frame.transform(
            frame.size,
            Image.Transform.AFFINE,
            coefficients(frame, value),
            resample=Image.Resampling.BICUBIC,
            fillcolor=FILL,
        )

    return apply


def _enhance(enhancer: type) -> Callable[[Image.Image, float], Image.Image]:
    return lambda frame, factor: enhancer(frame).enhance(factor)


def _rotate(frame: Image.Image, degrees: float) -> Image.Image:
    return frame.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=FILL)


def _brighten_dark_pixels(frame: Image.Image, amount: float) -> Image.Image:
    table = [min(255, value + int(amount)) if value < 128 else value for value in range(256)]
    return frame.point(table * 3)


def _none(magnitude: float, sign: int) -> float:
    return 0.0


def _share(most: float) -> Callable[[float, int], float]:
    return lambda magnitude, sign: sign * most * magnitude / MAX_MAGNITUDE


def _factor(magnitude: float, sign: int) -> float:
    return max(0.1, 1 + sign * 0.9 * magnitude / MAX_MAGNITUDE)


OPERATIONS = {
    'AutoContrast': Operation(lambda frame, _: ImageOps.autocontrast(frame), _none),
    'Equalize': Operation(lambda frame, _: ImageOps.equalize(frame), _none),
    'Invert': Operation(lambda frame, _: ImageOps.invert(frame), _none),
    'Rotate': Operation(_rotate, _share(30)),
    'Posterize': Operation(
        lambda frame, bits: ImageOps.posterize(frame, int(bits)),
        # Pillow keeps at least one bit.
        lambda magnitude, _: max(1, 4 - int(4 * magnitude / MAX_MAGNITUDE)),
    ),
    'Solarize': Operation(
        lambda frame, threshold: ImageOps.solarize(frame, int(threshold)),
        lambda magnitude, _: 256 - min(256, int(256 * magnitude / MAX_MAGNITUDE)),
    ),
    'SolarizeAdd': Operation(
        _brighten_dark_pixels, lambda magnitude, _: min(128, int(110 * magnitude / MAX_MAGNITUDE))
    ),
    'Color': Operation(_enhance(ImageEnhance.Color), _factor),
    'Contrast': Operation(_enhance(ImageEnhance.Contrast), _factor),
    'Brightness': Operation(_enhance(ImageEnhance.Brightness), _factor),
    'Sharpness': Operation(_enhance(ImageEnhance.Sharpness), _factor),
    'ShearX': Operation(_affine(lambda _, value: (1, value, 0, 0, 1, 0)), _share(0.3)),
    'ShearY': Operation(_affine(lambda _, value: (1, 0, 0, value, 1, 0)), _share(0.3)),
    'TranslateX': Operation(_affine(lambda frame, value: (1, 0, value * frame.size[0], 0, 1, 0)), _share(0.45)),
    'TranslateY': Operation(_affine(lambda frame, value: (1, 0, 0, 0, 1, value * frame.size[1])), _share(0.45)),
}
"""timm's operations for ``rand-m7-mstd0.5-inc1``, whose strength always increases with the magnitude."""


@TRANSFORMS.register_module()
class ClipRandAugment(BaseTransform):
    """RandAugment (arXiv 1909.13719) with the same operations on all frames of a clip.

    Follows timm's ``rand-m{magnitude}-mstd{magnitude_std}-inc1``, as the paper's recipes do (tables 11 and 12):
    ``num_layers`` operations are drawn with replacement, each is applied with probability ``prob``, and its
    magnitude is drawn from a normal distribution, once for all frames.

    Args:
        magnitude: Mean of the magnitude, 0 to 10.
        magnitude_std: Standard deviation of the magnitude.
        num_layers: Number of operations drawn for a clip.
        prob: Probability that a drawn operation is applied.
    """

    def __init__(
        self, magnitude: float = 7, magnitude_std: float = 0.5, num_layers: int = 2, prob: float = 0.5
    ) -> None:
        self.magnitude = magnitude
        self.magnitude_std = magnitude_std
        self.num_layers = num_layers
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Change ``imgs``, RGB frames ``(H, W, 3)`` of unsigned bytes."""
        frames = [Image.fromarray(frame) for frame in results['imgs']]
        for name in np.random.choice(list(OPERATIONS), self.num_layers):
            if np.random.random() < self.prob:
                value = self._strength(OPERATIONS[name])
                frames = [OPERATIONS[name].apply(frame, value) for frame in frames]
        return dict(results, imgs=[np.array(frame) for frame in frames])

    def _strength(self, operation: Operation) -> float:
        magnitude = np.clip(np.random.normal(self.magnitude, self.magnitude_std), 0, MAX_MAGNITUDE)
        return operation.strength(magnitude, np.random.choice([-1, 1]))
