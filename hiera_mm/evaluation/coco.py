"""COCO's metrics, with ground truth read by the same reader as in training."""

from collections.abc import Sequence
from dataclasses import replace

from hiera_mm.readers.coco_files import CocoFile, UnknownMask, read_annotations

import faster_coco_eval
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric as PlainCocoMetric
from mmdet.evaluation import FasterCocoMetric as PlainFasterCocoMetric
from mmdet.registry import METRICS
from mmengine.fileio import get_local_path

ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


class NormalisedGroundTruth(PlainCocoMetric):
    """Makes mmdet's COCO metrics consistent with :class:`hiera_mm.datasets.coco.CocoDataset`: the annotation file is
    read by the same reader, classes are matched by name, only images that were tested count, and a model that predicts
    nothing scores 0.

    Raises:
        UserError: for an annotation file that can't be used.
    """

    api: type
    metrics: list[str]
    takes_any_id = True
    """Whether image ids may be strings."""

    def __init__(
        self, ann_file: str | None = None, *, format_only: bool = False, backend_args: dict | None = None, **settings
    ) -> None:
        super().__init__(format_only=format_only, backend_args=backend_args, **settings)
        self._file: CocoFile | None = None
        if ann_file is not None:
            with get_local_path(ann_file, backend_args=backend_args) as path:
                self._file = read_annotations(path, 'ann_file', without_objects=format_only)
            # Without this object mmdet would collect the ground truth from the data set.
            self._coco_api = self.api()

    def compute_metrics(self, results: Sequence[tuple[dict, dict]]) -> dict[str, float]:
        """As in mmdet."""
        if self._file is None:
            return super().compute_metrics(results)
        file = self._file
        if not self.takes_any_id:
            file, results = _numbered(file, results)
        if 'segm' not in self.metrics or self.format_only:
            return self._scored(file, results)
        return self._scored_with_masks(file, results)

    def _scored_with_masks(self, file: CocoFile, results: Sequence[tuple[dict, dict]]) -> dict[str, float]:
        file = file.for_masks(self.dataset_meta.get('fill_masks_from_boxes'))
        unknown = [isinstance(annotation['segmentation'], UnknownMask) for annotation in file.annotations]
        if not any(unknown):
            return self._scored(file, results)
        # Objects without a mask are scored by their boxes, and ignored like crowds in mask AP.
        plain = [
            a | dict(segmentation=list(a['segmentation'])) if u else a
            for a, u in zip(file.annotations, unknown, strict=True)
        ]
        crowds = [a | dict(iscrowd=1) if u else a for a, u in zip(plain, unknown, strict=True)]
        metrics = self.metrics
        values: dict[str, float] = {}
        for metric in metrics:
            self.metrics = [metric]
            values |= self._scored(replace(file, annotations=crowds if metric == 'segm' else plain), results)
        self.metrics = metrics
        return values

    def _scored(self, file: CocoFile, results: Sequence[tuple[dict, dict]]) -> dict[str, float]:
        self._use_ground_truth(file, [ground_truth for ground_truth, _ in results])
        values = super().compute_metrics(results)
        if not self.format_only:
            floor = 0.0 if file.annotations else -1.0
            for metric in {'bbox', 'segm'} & set(self.metrics):
                for item in self.metric_items or ITEMS:
                    values.setdefault(f'{metric}_{item}', floor)
        return values

    def _use_ground_truth(self, file: CocoFile, tested: list[dict]) -> None:
        ids = {category['name']: category['id'] for category in file.categories}
        unused = iter(range(1, len(ids) + len(self.dataset_meta['classes']) + 1))
        taken = set(ids.values())
        self.cat_ids = [
            ids[name] if name in ids else next(number for number in unused if number not in taken)
            for name in self.dataset_meta['classes']
        ]
        names = zip(self.cat_ids, self.dataset_meta['classes'], strict=True)
        others = [category for category in file.categories if category['id'] not in self.cat_ids]
        self._coco_api.dataset = dict(
            info={},
            images=self._with_sizes(file.images, tested),
            annotations=file.annotations,
            categories=[dict(id=number, name=name) for number, name in names] + others,
        )
        self._coco_api.createIndex()
        self.img_ids = [ground_truth['img_id'] for ground_truth in tested]

    @staticmethod
    def _with_sizes(images: list[dict], tested: list[dict]) -> list[dict]:
        """The images, with sizes that the file lacks taken from the tested images."""
        sizes = {g['img_id']: dict(width=g['width'], height=g['height']) for g in tested}
        return [image if 'width' in image else image | sizes.get(image['id'], {}) for image in images]


@METRICS.register_module(name='CocoMetric', force=True)
class CocoMetric(NormalisedGroundTruth):
    """mmdet's ``CocoMetric``, which uses pycocotools, with :class:`NormalisedGroundTruth`."""

    api = COCO


@METRICS.register_module(name='FasterCocoMetric', force=True)
class FasterCocoMetric(NormalisedGroundTruth, PlainFasterCocoMetric):
    """mmdet's ``FasterCocoMetric``, which uses faster-coco-eval, with :class:`NormalisedGroundTruth`."""

    api = faster_coco_eval.COCO
    takes_any_id = False


def _numbered(file: CocoFile, results: Sequence[tuple[dict, dict]]) -> tuple[CocoFile, Sequence[tuple[dict, dict]]]:
    """The ground truth and predictions, with numbers for image ids that are strings."""
    if all(isinstance(image['id'], int) for image in file.images):
        return file, results
    numbers = {image['id']: number for number, image in enumerate(file.images, start=1)}
    images = [dict(image, id=numbers[image['id']]) for image in file.images]
    annotations = [dict(annotation, image_id=numbers[annotation['image_id']]) for annotation in file.annotations]
    renamed = [
        (dict(truth, img_id=numbers[truth['img_id']]), dict(found, img_id=numbers[found['img_id']]))
        for truth, found in results
    ]
    return replace(file, images=images, annotations=annotations), renamed
