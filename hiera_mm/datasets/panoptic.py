"""Panoptic data sets in COCO's format."""

import logging
from pathlib import Path

from hiera_mm.datasets.coco import EXIF_ORIENTATIONS
from hiera_mm.errors import UserError, first_few
from hiera_mm.readers.class_names import classes_from
from hiera_mm.readers.images import image_size
from hiera_mm.readers.panoptic_files import MAX_CLASSES, PanopticFile, read_panoptic
from hiera_mm.readers.segment_maps import check_segments, read_segment_map

import numpy as np
from mmdet.datasets import CocoPanopticDataset as PlainCocoPanopticDataset
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.datasets.transforms import LoadPanopticAnnotations as PlainLoadPanopticAnnotations
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

IGNORED = 255
"""The class of pixels that are neither trained nor scored."""


# Registered under mmdet's name, so that every config that names it, including mmdet's own, gets the checks.
@DATASETS.register_module(name='CocoPanopticDataset', force=True)
class CocoPanopticDataset(PlainCocoPanopticDataset):
    """mmdet's ``CocoPanopticDataset``, but the annotation file is read by
    :func:`~hiera_mm.readers.panoptic_files.read_panoptic`, labels follow the class names, whatever the order of the
    categories in the file, and each segment map has the name that its annotation says. Images without annotation are
    left out; segments of other categories, and crowds of stuff, are neither trained nor scored.

    Attributes:
        file: Set before ``full_init``, the annotations as read, which are not read again.

    Args:
        exif_orientation: As for :class:`hiera_mm.datasets.coco.CocoDataset`.

    Raises:
        UserError: for an annotation file that can't be used, or classes that it contradicts.
    """

    def __init__(self, *args, exif_orientation: str | None = None, **kwargs) -> None:
        if exif_orientation not in EXIF_ORIENTATIONS:
            raise UserError(
                f"A data set's exif_orientation must be 'displayed', 'stored' or None, but is '{exif_orientation}'."
            )
        self.exif_orientation = exif_orientation
        self.file: PanopticFile | None = None
        super().__init__(*args, **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        return super()._load_metainfo(with_things_and_stuff(metainfo))

    def load_data_list(self) -> list[dict]:
        """A dict for each image, as in mmdet.

        Raises:
            UserError: as for the class.
        """
        file = self.file or self._read()
        self.cat2label = file.labels(
            self.metainfo['thing_classes'], self.metainfo['stuff_classes'], some_suffice=self.test_mode
        )
        self.cat_ids = list(self.cat2label)
        annotations = {a['image_id']: a for a in file.annotations if a['segments_info']}
        return [
            self._parsed(image, annotations.get(image['id']))
            for image in file.images
            if image['id'] in annotations or not annotations
        ]

    def _read(self) -> PanopticFile:
        with get_local_path(self.ann_file, backend_args=self.backend_args) as path:
            file = read_panoptic(path, 'ann_file', without_annotations=self.test_mode)
        for sentence in file.repairs:
            print_log(sentence, 'current', level=logging.WARNING)
        return file

    def _parsed(self, image: dict, annotation: dict | None) -> dict:
        folder = self.data_prefix.get('seg')
        path = Path(self.data_prefix.get('img') or '', image['file_name'])
        if 'width' not in image:
            image['width'], image['height'] = image_size(path, self.exif_orientation == 'stored')
        segments = [self._segment(segment) for segment in annotation['segments_info']] if annotation else []
        return dict(
            img_path=str(path),
            img_id=image['id'],
            height=image['height'],
            width=image['width'],
            seg_map_path=str(Path(folder, annotation['file_name'])) if folder and annotation else None,
            segments_info=segments,
            instances=[dict(bbox_label=s['category'], ignore_flag=0) for s in segments if s['is_thing']],
            exif_orientation=self.exif_orientation,
        )

    def _segment(self, segment: dict) -> dict:
        label = self.cat2label.get(segment['category_id'], IGNORED)
        thing, crowd = label < len(self.metainfo['thing_classes']), bool(segment['iscrowd'])
        return dict(
            id=segment['id'],
            category=IGNORED if crowd and not thing else label,
            is_thing=thing and not crowd,
            iscrowd=int(crowd),
        )


def with_things_and_stuff(metainfo: dict | None) -> dict | None:
    """A data set's ``metainfo`` with the names of all classes, things first, as the model numbers them.

    Raises:
        UserError: for classes that are not these, for a name in both lists, and for too many or none.
    """
    if not metainfo or not {'classes', 'thing_classes', 'stuff_classes'} & metainfo.keys():
        return metainfo
    given = {name: classes_from(value) if value else () for name, value in metainfo.items() if name.endswith('classes')}
    if not {'thing_classes', 'stuff_classes'} <= given.keys():
        raise UserError(
            'The classes of a panoptic set are things and stuff; set thing_classes = (...) and stuff_classes = (...) '
            'at the top of the config, or both in metainfo.'
        )
    things, stuff = given['thing_classes'], given['stuff_classes']
    if both := [name for name in things if name in stuff]:
        raise UserError(
            f'The classes {first_few(both)} are in both thing_classes and stuff_classes; leave each in one of them.'
        )
    if not 0 < len(things + stuff) <= MAX_CLASSES:
        raise UserError(
            f'thing_classes and stuff_classes name {len(things + stuff)} classes; 1 to {MAX_CLASSES} are possible.'
        )
    if given.get('classes', things + stuff) != things + stuff:
        raise UserError(
            'The classes in metainfo must be its thing_classes and then its stuff_classes, in this order, as the model '
            'numbers them; leave classes out there.'
        )
    return {**metainfo, 'classes': things + stuff, 'thing_classes': things, 'stuff_classes': stuff}


# Registered under mmdet's name, so that the segment maps of every set are checked.
@TRANSFORMS.register_module(name='LoadPanopticAnnotations', force=True)
class LoadPanopticAnnotations(PlainLoadPanopticAnnotations):
    """mmdet's ``LoadPanopticAnnotations``, but boxes and masks follow from the segment map alone, and a map that does
    not fit its image or annotation is refused. Segments of which no pixel is left are left out.

    Raises:
        BrokenFileError, UserError: as :func:`hiera_mm.readers.segment_maps.read_segment_map` and
            :func:`hiera_mm.readers.segment_maps.check_segments`.
    """

    def __init__(
        self,
        with_bbox: bool = True,
        with_label: bool = True,
        with_mask: bool = True,
        with_seg: bool = True,
        box_type: str = 'hbox',
        imdecode_backend: str = 'cv2',
        backend_args: dict | None = None,
    ) -> None:
        # mmdet's own constructor needs panopticapi, which only scoring does.
        LoadAnnotations.__init__(
            self,
            with_bbox=with_bbox,
            with_label=with_label,
            with_mask=with_mask,
            with_seg=with_seg,
            box_type=box_type,
            imdecode_backend=imdecode_backend,
            backend_args=backend_args,
        )

    def transform(self, results: dict) -> dict:
        """Add ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags`` and ``gt_masks`` of the things, and
        ``gt_seg_map`` ``(H, W)``, the class of each pixel."""
        path = results.get('seg_map_path')
        if path is None:
            return results
        ids, listed = loaded_segments(path, results['segments_info'], results['ori_shape'], self.backend_args)
        things = [segment for segment in listed if segment['is_thing']]
        masks = np.array([ids == thing['id'] for thing in things], np.uint8).reshape(-1, *ids.shape)
        results['gt_ignore_flags'] = np.zeros(len(things), bool)
        if self.with_bbox:
            results['gt_bboxes'] = HorizontalBoxes(
                np.array([_box_of(mask) for mask in masks], np.float32).reshape(-1, 4)
            )
        if self.with_label:
            results['gt_bboxes_labels'] = np.array([thing['category'] for thing in things], np.int64)
        if self.with_mask:
            results['gt_masks'] = BitmapMasks(masks, *ids.shape)
        if self.with_seg:
            results['gt_seg_map'] = _classes_of_pixels(ids, listed)
        return results


def loaded_segments(
    path: str, segments: list[dict], size: tuple[int, int], backend_args: dict | None = None
) -> tuple[np.ndarray, list[dict]]:
    """A segment map ``(H, W)`` and those of its annotation's segments that have pixels in it.

    Args:
        path: The map's file.
        segments: Dicts with ``id``.
        size: Height and width of the image.
        backend_args: Where the file is stored, as in mmengine.

    Raises:
        BrokenFileError, UserError: as for :class:`LoadPanopticAnnotations`.
    """
    with get_local_path(path, backend_args=backend_args) as local:
        ids = read_segment_map(local)
    check_segments(path, ids, {segment['id'] for segment in segments}, size)
    present = set(np.unique(ids).tolist())
    return ids, [segment for segment in segments if segment['id'] in present]


def _box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 around the pixels of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _classes_of_pixels(ids: np.ndarray, segments: list[dict]) -> np.ndarray:
    classes = np.full(ids.shape, IGNORED, np.uint8)
    for segment in segments:
        classes[ids == segment['id']] = segment['category']
    return classes
