"""Changes of colour for images of any number of channels."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

WHOLE_RANGE = 255


@TRANSFORMS.register_module()
class ChannelDistortion(BaseTransform):
    """Change the brightness and the contrast of each channel by itself, as changes of light and sensors do.

    Takes the place of ``PhotoMetricDistortion`` and RandAugment, whose colours are red, green and blue. The amounts are
    mmsegmentation's for brightness and contrast; brightness is relative to the spread of the image's channel where
    pixels are no bytes.

    Args:
        brightness: Largest change, as a share of the whole range.
        contrast: Largest change of the factor 1.
        prob: Probability of each of the two for a channel.
    """

    def __init__(self, brightness: float = 32 / 255, contrast: float = 0.5, prob: float = 0.5) -> None:
        self.brightness, self.contrast, self.prob = brightness, contrast, prob

    def transform(self, results: dict) -> dict:
        """Change ``img``, or all frames of ``imgs`` alike: ``(H, W, channels)`` of bytes or floats."""
        frames = results['imgs'] if 'imgs' in results else [results['img']]
        count = frames[0].shape[2]
        factor = np.where(np.random.rand(count) < self.prob, self._draw(count, self.contrast) + 1, 1)
        shift = np.where(np.random.rand(count) < self.prob, self._draw(count, self.brightness), 0)
        changed = [self._changed(frame, factor.astype(np.float32), shift.astype(np.float32)) for frame in frames]
        return dict(results, imgs=changed) if 'imgs' in results else dict(results, img=changed[0])

    def _draw(self, count: int, most: float) -> np.ndarray:
        return np.random.uniform(-most, most, count)

    def _changed(self, frame: np.ndarray, factor: np.ndarray, shift: np.ndarray) -> np.ndarray:
        if frame.dtype == np.uint8:
            changed = frame * factor + shift * WHOLE_RANGE
            return np.clip(np.rint(changed), 0, WHOLE_RANGE).astype(np.uint8)
        spread = frame.max((0, 1)) - frame.min((0, 1))
        return (frame * factor + shift * spread).astype(np.float32)
