"""The channels of a set's images, where they are no colours."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hiera_mm.readers import tiff
from hiera_mm.readers.channel_statistics import mean_and_deviation, rounded, sums_of
from hiera_mm.readers.channels import ChannelReader

MAX_IMAGES = 100
"""How many images are read for their mean and deviation."""


def channel_settings(images: Sequence[str]) -> dict[str, Any]:
    """``channels``, ``mean`` and ``std`` for images whose channels are neither grey nor colours, with or without
    transparency, and for grey ones whose numbers don't become bytes; nothing for others.

    Args:
        images: The training images.
    """
    some = images[:: max(1, len(images) // MAX_IMAGES)]
    headers = [tiff.tiff_header(path) if Path(path).suffix.lower() in tiff.ENDINGS else None for path in some]
    counts = {header.bands if header else 3 for header in headers}
    if len(counts) != 1:
        return {}
    count = counts.pop()
    if count == 3 or (count == 1 and all(header is None or header.whole for header in headers)):
        return {}
    found = list(map(partial(sums_of, ChannelReader(count)), some))
    if any(one.fault for one in found):
        # The check of the data names what is wrong.
        return dict(channels=count)
    mean, deviation = mean_and_deviation(found)
    return dict(channels=count, mean=rounded(mean), std=rounded(deviation))
