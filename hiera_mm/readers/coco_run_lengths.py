"""Masks as COCO's run lengths, checked before pycocotools reads them."""

from hiera_mm.readers.coco_values import whole_number

from pycocotools import mask as run_lengths


def compressed(mask: dict) -> tuple[dict, int, int]:
    """Run lengths as pycocotools reads them, and their height and width.

    Raises:
        ValueError: if they don't fit their own size.
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
    if pixels_in(runs['counts']) != height * width:
        raise ValueError
    return runs, height, width


def pixels_in(counts: bytes) -> int:
    """How many pixels compressed run lengths describe; pycocotools reads beyond the end of wrong ones.

    Each run is a number of 5 bits a character, the sixth saying that it goes on, and from the third run on the
    difference to the one before the last (pycocotools' maskApi.c).
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
