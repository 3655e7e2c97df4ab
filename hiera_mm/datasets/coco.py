"""Data sets in COCO's format."""

import logging
from collections import defaultdict
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.class_names import with_class_names
from hiera_mm.readers.coco_files import CocoFile, read_annotations
from hiera_mm.readers.images import image_size

from mmdet.datasets import CocoDataset as PlainCocoDataset
from mmdet.registry import DATASETS
from mmengine.fileio import get_local_path
from mmengine.logging import print_log

EXIF_ORIENTATIONS = (None, 'displayed', 'stored')


# Registered under mmdet's name, so that every config that names it, including mmdet's own, gets the checks.
@DATASETS.register_module(name='CocoDataset', force=True)
class CocoDataset(PlainCocoDataset):
    """mmdet's ``CocoDataset``, but the annotation file is read by
    :func:`~hiera_mm.readers.coco_files.read_annotations`, and labels follow the class names: the order of categories in
    the file does not matter, and a validation file may lack some.

    Attributes:
        file: Set before ``full_init``, the annotations as read, which are not read again.

    Args:
        fill_masks_from_boxes: For objects without a mask: True takes the box as the mask in training and evaluation,
            False leaves the object out of the mask loss and mask AP. By default, a model with masks refuses such a set.
        exif_orientation: Whether annotations refer to images as ``'displayed'``, rotated by their EXIF data, or as
            ``'stored'``. By default, the size in the annotation file decides for each image.

    Raises:
        UserError: for an annotation file that can't be used, or classes that it does not list.
    """

    def __init__(
        self, *args, fill_masks_from_boxes: bool | None = None, exif_orientation: str | None = None, **kwargs
    ) -> None:
        if exif_orientation not in EXIF_ORIENTATIONS:
            raise UserError(
                f"A data set's exif_orientation must be 'displayed', 'stored' or None, but is '{exif_orientation}'."
            )
        if kwargs.get('proposal_file'):
            raise UserError(
                f"The data set's proposal_file='{kwargs['proposal_file']}' is a pickle, which could run code when it "
                'is loaded, and no model in hiera_mm uses it; leave it out.'
            )
        self.fill_masks_from_boxes, self.exif_orientation = fill_masks_from_boxes, exif_orientation
        self.file: CocoFile | None = None
        super().__init__(*args, **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        return super()._load_metainfo(with_class_names(metainfo))

    def load_data_list(self) -> list[dict]:
        """A dict for each image, as in mmdet.

        Raises:
            UserError: as for the class.
        """
        file = self._read()
        self._number_classes(file)
        objects = defaultdict(list)
        for annotation in file.annotations:
            objects[annotation['image_id']].append(annotation)
        self.cat_img_map = defaultdict(list)
        for annotation in file.annotations:
            self.cat_img_map[annotation['category_id']].append(annotation['image_id'])
        return [self._parsed(image, objects[image['id']]) for image in file.images]

    def filter_data(self) -> list[dict]:
        """The entries that mmdet's filter keeps.

        Raises:
            UserError: if it keeps none.
        """
        kept = super().filter_data()
        if self.data_list and not kept:
            least = (self.filter_cfg or {}).get('min_size', 0)
            raise UserError(
                f"None of the {len(self.data_list)} images in '{self.ann_file}' would be used: filter_cfg of the data "
                f'set leaves out images whose shorter side is under {least} pixels, and those without objects of the '
                'classes; set filter_cfg=None there, or correct the file.'
            )
        return kept

    def _read(self) -> CocoFile:
        steps = getattr(self.pipeline, 'transforms', ())
        file = self.file
        if file is None:
            with get_local_path(self.ann_file, backend_args=self.backend_args) as path:
                file = read_annotations(
                    path, 'ann_file', without_objects=self.test_mode and not any(hasattr(s, 'with_bbox') for s in steps)
                )
            for sentence in file.repairs + file.doubts:
                print_log(sentence, 'current', level=logging.WARNING)
        if any(getattr(step, 'with_mask', False) for step in steps):
            file = file.for_masks(self.fill_masks_from_boxes)
        self._metainfo['fill_masks_from_boxes'] = self.fill_masks_from_boxes
        return file

    def _number_classes(self, file: CocoFile) -> None:
        classes = self.metainfo['classes']
        ids = {category['name']: category['id'] for category in file.categories}
        present = [name for name in classes if name in ids]
        if not present or (len(present) < len(classes) and not self.test_mode):
            missing = next(name for name in classes if name not in ids)
            raise UserError(
                f"The annotation file '{file.path}' has no category '{missing}', but {list(ids)[:10]}; set "
                "metainfo = dict(classes=(...)) to the file's names."
            )
        self.cat_ids = [ids[name] for name in present]
        self.cat2label = {ids[name]: number for number, name in enumerate(classes) if name in ids}

    def _parsed(self, image: dict, objects: list[dict]) -> dict:
        image = dict(image, img_id=image['id'])
        if 'width' not in image:
            path = Path(self.data_prefix['img'], image['file_name'])
            image['width'], image['height'] = image_size(path, self.exif_orientation == 'stored')
        parsed = self.parse_data_info(dict(raw_img_info=image, raw_ann_info=objects))
        return dict(parsed, exif_orientation=self.exif_orientation)
