"""Semantic segmentation: images and index masks, registered under the names that mmsegmentation's configs use."""

from typing import Any

from hiera_mm.datasets.load_image import LoadImageFromFile
from hiera_mm.errors import UserError
from hiera_mm.readers.channels import loading_step
from hiera_mm.readers.class_names import with_class_names
from hiera_mm.readers.index_masks import (
    IGNORED,
    check_ignored,
    check_mask_size,
    check_mask_values,
    find_pairs,
    read_mask,
)

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import DATASETS
from mmseg.datasets import BaseSegDataset
from mmseg.registry import TRANSFORMS

# Faulty images get the same messages as in detection.
TRANSFORMS.register_module(name='LoadImageFromFile', module=LoadImageFromFile, force=True)


@DATASETS.register_module()
class SegmentationDataset(BaseSegDataset):
    """mmsegmentation's ``BaseSegDataset`` for custom classes: mask pixels are indices into ``metainfo.classes``, and
    ``ignore_index`` is neither trained nor scored.

    Args:
        img_suffix: Ending of the images' names; if empty, any image format, in upper or lower case.
        metainfo: ``classes``, the names or a file with one name a line.
        ignore_index: The value of mask pixels without a class; 255 everywhere behind the step that loads them.

    Raises:
        UserError: as :func:`hiera_mm.readers.index_masks.find_pairs`, without classes, and for a class that is ignored.
    """

    def __init__(self, *, img_suffix: str = '', metainfo: dict | None = None, **kwargs: Any) -> None:
        metainfo = with_class_names(metainfo) or {}
        if not metainfo.get('classes'):
            raise UserError(
                "The classes of the masks are not named; set classes = ('background', ...) at the top of the config, "
                'in the order of their numbers.'
            )
        check_ignored(kwargs.get('ignore_index', IGNORED), metainfo['classes'])
        self.channel_files = loading_step(kwargs.get('pipeline')).get('channel_files')
        super().__init__(img_suffix=img_suffix, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """A dict for each image, as in mmsegmentation, with ``num_classes``."""
        pairs = find_pairs(
            self.data_prefix.get('img_path') or '',
            self.data_prefix.get('seg_map_path') or None,
            self.img_suffix,
            self.seg_map_suffix,
            self.ann_file,
            self.channel_files,
        )
        shared = dict(
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            num_classes=len(self.metainfo['classes']),
            ignore_index=self.ignore_index,
        )
        return [
            dict(img_path=str(pair.image), seg_fields=[], **shared)
            | (dict(seg_map_path=str(pair.mask)) if pair.mask else {})
            for pair in pairs
        ]


# Registered under mmsegmentation's name, so that the masks of every set are checked.
@TRANSFORMS.register_module(name='LoadAnnotations', force=True)
class LoadAnnotations(BaseTransform):
    """mmsegmentation's ``LoadAnnotations`` for 8-bit masks. It refuses masks that would be learned or scored wrongly:
    in colour, of another size than the image, or with numbers that are not classes.

    Args:
        reduce_zero_label: Whether 0 is ignored and 1 is the first class; by default as in the data set.

    Raises:
        BrokenFileError: for a mask that is missing or can't be decoded.
        UserError: for the faults above.
    """

    def __init__(self, reduce_zero_label: bool | None = None) -> None:
        self.reduce_zero_label = reduce_zero_label

    def transform(self, results: dict) -> dict:
        """Add ``gt_seg_map`` ``(height, width)``, unsigned bytes."""
        path = results['seg_map_path']
        mask = read_mask(path)
        check_mask_size(path, mask, results['ori_shape'])
        ignored = results.get('ignore_index', IGNORED)
        if ignored != IGNORED:
            mask = np.where(mask == ignored, np.uint8(IGNORED), mask)
        reduced = results['reduce_zero_label'] if self.reduce_zero_label is None else self.reduce_zero_label
        if reduced:
            # 0 becomes 255, and 255 stays.
            mask = (mask - (mask != IGNORED)).astype(mask.dtype)
        if results.get('label_map') is not None:
            mask = _relabelled(mask, results['label_map'])
        if 'num_classes' in results:
            check_mask_values(path, mask, results['num_classes'], ignored)
        results['gt_seg_map'] = mask
        results['seg_fields'].append('gt_seg_map')
        return results


def _relabelled(mask: Any, label_map: dict[int, int]) -> Any:
    changed = mask.copy()
    for before, after in label_map.items():
        changed[mask == before] = after
    return changed
