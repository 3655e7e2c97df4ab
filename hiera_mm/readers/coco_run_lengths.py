"""Masks as COCO's run lengths (RLE), checked before pycocotools reads them."""

from hiera_mm.readers.coco_values import whole_number

from pycocotools import mask as run_lengths


def to_rle(mask: dict) -> tuple[dict, int, int]:
    """Convert a mask to compressed run lengths; returns them with their height and width.

    Raises:
        ValueError: if the run lengths don't match the mask's size.
    """
    height, width = (whole_number(side) or 0 for side in mask['size'])
    counts = mask['counts']
    if height <= 0 or width <= 0:
        raise ValueError
    if isinstance(counts, list):
        if any(type(run) is not int or run < 0 for run in counts) or sum(counts) != height * width:
            raise ValueError
        return run_lengths.frPyObjects(dict(size=[height, width], counts=counts), height, width), height, width
    runs = dict(size=[height, width], counts=counts.encode('ascii'))
    if count_pixels(runs['counts']) != height * width:
        raise ValueError
    return runs, height, width


def count_pixels(counts: bytes) -> int:
    """Count the pixels in compressed run lengths; pycocotools would read beyond the end of invalid ones.

    Each character carries 5 bits of a run, and a sixth bit that says whether the run continues; from the fourth run
    on, the number is the difference to the run two before (pycocotools' maskApi.c).
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            if len(runs) > 2:
                value += runs[-2]
            if value < 0:
                raise ValueError
            runs.append(value)
            value = shift = 0
    if shift:
        raise ValueError
    return sum(runs)
