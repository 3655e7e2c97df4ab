"""Loads masks of images in which some objects have only a box."""

from hiera_mm.errors import UserError
from hiera_mm.readers.coco_files import UNKNOWN_PIXEL, UnknownMask

from mmdet.datasets.transforms import LoadAnnotations as PlainLoadAnnotations
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks


@TRANSFORMS.register_module(name='LoadAnnotations', force=True)
class LoadAnnotations(PlainLoadAnnotations):
    """mmdet's ``LoadAnnotations`` that marks masks that were not annotated: their pixels are 2 instead of 1, which
    flips, crops and nearest-neighbour resizing preserve, so that :class:`hiera_mm.models.mask_head.FCNMaskHead` can
    leave them out.

    Raises:
        UserError: for such masks as polygons (``poly2mask=False``), which can't be marked.
    """

    def _load_masks(self, results: dict) -> None:
        super()._load_masks(results)
        unknown = [isinstance(instance['mask'], UnknownMask) for instance in results.get('instances', [])]
        if not any(unknown):
            return
        masks = results['gt_masks']
        if not isinstance(masks, BitmapMasks):
            raise UserError(
                f"The image '{results['img_path']}' has objects without masks, and fill_masks_from_boxes=False needs "
                'bitmaps; leave poly2mask=False out of LoadAnnotations.'
            )
        masks.masks[unknown] *= UNKNOWN_PIXEL
