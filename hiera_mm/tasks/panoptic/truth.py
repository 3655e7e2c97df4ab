"""The annotated segments of a data set's images."""

from typing import Any

from hiera_mm.evaluation.panoptic import Segments, annotated_segments


def truth_of(info: dict, backend_args: Any = None) -> Segments | None:
    """The annotated segments of an image; None without annotation.

    Args:
        info: What a :class:`~hiera_mm.datasets.panoptic.CocoPanopticDataset` knows of the image.
        backend_args: Where its files are stored, as in mmengine.
    """
    if info.get('seg_map_path') is None:
        return None
    size = info['height'], info['width']
    return annotated_segments(info['seg_map_path'], info['segments_info'], size, backend_args)


def infos_by_id(dataset: Any) -> dict[Any, dict]:
    """What a data set knows of each image, by the image's id."""
    infos = (dataset.get_data_info(number) for number in range(len(dataset)))
    return {info['img_id']: info for info in infos}
