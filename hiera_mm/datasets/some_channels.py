"""MONAI's transforms of intensities, for some channels of a volume alone."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import UserError


class OnChannels:
    """A step that changes the intensities of some channels, as CT and MRI in one volume need steps of their own.

    Args:
        step: One of MONAI's dictionary transforms of intensities, without random numbers: only such are computed once
            and held in memory.
        channels: Numbers of the channels, from 0 on.

    Raises:
        UserError: for another step.
    """

    def __init__(self, step: Any, channels: Sequence[int]) -> None:
        from monai.transforms import RandomizableTrait
        from monai.transforms.intensity import dictionary as intensity

        if isinstance(step, RandomizableTrait) or type(step).__module__ != intensity.__name__:
            raise UserError(
                f"The pipeline sets channels = {list(channels)} of MONAI's '{type(step).__name__}', but only "
                'transforms that change intensities, and not at random, can be limited to some channels; leave '
                'channels out.'
            )
        self.step, self.channels = step, list(channels)

    def __call__(self, item: dict) -> dict:
        """Change the channels of the step's keys, each ``(channels, X, Y, Z)``."""
        found = self.step(item | {key: item[key][self.channels] for key in self.step.keys})
        return item | {key: self._put_back(item[key], found[key]) for key in self.step.keys}

    def _put_back(self, image: Any, changed: Any) -> Any:
        joined = image.clone()
        joined[self.channels] = changed
        return joined
