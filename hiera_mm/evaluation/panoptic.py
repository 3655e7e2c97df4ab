"""Panoptic quality by panopticapi, with ground truth read by the same reader as in training."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hiera_mm.atomic_write import atomic_write
from hiera_mm.datasets.panoptic import IGNORED, loaded_segments
from hiera_mm.errors import UserError
from hiera_mm.evaluation.dump import WholeDump
from hiera_mm.readers.panoptic_files import read_panoptic
from hiera_mm.readers.segment_maps import VOID, save_segment_map, write_segment_map

import numpy as np
from mmdet.evaluation import CocoPanopticMetric as PlainCocoPanopticMetric
from mmdet.registry import METRICS
from mmdet.structures import INSTANCE_OFFSET
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get_local_path
from mmengine.logging import MMLogger

INSTALL = 'pip install --no-deps panopticapi-lite==0.2.0'
"""Its requirements name numpy below 2, which OpenCV and mmsegmentation refuse and its code does not need."""

GROUPS = {'': None, '_th': True, '_st': False}
"""The ends of the metrics' names, and whether they are of things alone or of stuff alone."""


class Segments(NamedTuple):
    """The segments of an image.

    Attributes:
        ids: The segment of each pixel ``(H, W)``, :data:`hiera_mm.readers.segment_maps.VOID` where there is none.
        listed: For each segment ``id`` and ``label``, and ``score`` if it was found, ``iscrowd`` if it was annotated.
    """

    ids: np.ndarray
    listed: list[dict]


def require_panopticapi() -> None:
    """Check that the package that scores panoptic quality is installed.

    Raises:
        UserError: with the command that installs it.
    """
    if importlib.util.find_spec('panopticapi') is None:
        raise UserError(
            f'Panoptic quality is scored by the package panopticapi-lite, which is not installed; run: {INSTALL}'
        )


def found_segments(sem_seg: np.ndarray, scores: Mapping[int, float], count: int) -> Segments:
    """The segments in a model's output, numbered from 1.

    Args:
        sem_seg: Class plus number of the thing times 1000 ``(H, W)``.
        scores: Scores by these values; may be empty.
        count: The number of classes, which stands for no segment.
    """
    ids, listed = np.zeros(sem_seg.shape, np.int32), list[dict]()
    for value in np.unique(sem_seg).tolist():
        label = value % INSTANCE_OFFSET
        if label < count:
            listed.append(dict(id=len(listed) + 1, label=label, score=round(float(scores.get(value, 1.0)), 5)))
            ids[sem_seg == value] = len(listed)
    return Segments(ids, listed)


def annotated_segments(path: str, segments: list[dict], size: tuple[int, int], backend_args: Any = None) -> Segments:
    """The ground truth of an image as it is scored: without what is neither trained nor scored.

    Args:
        path: The segment map.
        segments: As a :class:`~hiera_mm.datasets.panoptic.CocoPanopticDataset` has them.
        size: Height and width of the image.
        backend_args: Where the file is stored, as in mmengine.
    """
    ids, present = loaded_segments(path, segments, size, backend_args)
    ids = ids.copy()
    for segment in present:
        if segment['category'] == IGNORED:
            ids[ids == segment['id']] = VOID
    scored = [segment for segment in present if segment['category'] != IGNORED]
    return Segments(ids, [dict(id=s['id'], label=s['category'], iscrowd=s['iscrowd']) for s in scored])


def panoptic_statistics(truth: Segments, found: Segments, count: int) -> Any:
    """What an image adds to panoptic quality, a ``panopticapi.evaluation.PQStat`` by class.

    Args:
        truth, found: The image's segments, annotated and found.
        count: The number of classes.
    """
    from panopticapi.evaluation import pq_compute_single_core

    with TemporaryDirectory() as folder:
        annotations = []
        for name, part in (('truth', truth), ('found', found)):
            Path(folder, name).mkdir()
            save_segment_map(Path(folder, name, 'image.png'), part.ids)
            annotations.append(dict(image_id=0, file_name='image.png', segments_info=described(part)))
        with contextlib.redirect_stdout(io.StringIO()):
            categories = dict.fromkeys(range(count))
            folders = (f'{folder}/{name}' for name in ('truth', 'found'))
            return pq_compute_single_core(0, [tuple(annotations)], *folders, categories)


def described(part: Segments, category_ids: Sequence[int] | None = None) -> list[dict]:
    """The entries of ``segments_info`` in COCO's format, with the area and box of each segment's pixels.

    Args:
        part: The segments.
        category_ids: By class; by default the class itself.
    """
    entries = []
    for segment in part.listed:
        rows, columns = np.nonzero(part.ids == segment['id'])
        left, top = int(columns.min()), int(rows.min())
        entry = dict(
            id=segment['id'],
            category_id=segment['label'] if category_ids is None else category_ids[segment['label']],
            area=len(rows),
            bbox=[left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1],
            iscrowd=segment.get('iscrowd', 0),
        )
        entries.append(entry | ({'score': segment['score']} if 'score' in segment else {}))
    return entries


def qualities(statistics: Any, things: int, count: int) -> dict[str, dict]:
    """Panoptic, segmentation and recognition quality, 0 to 1, and the number of classes that they are the mean of, for
    each of :data:`GROUPS`; and by class under ``'classes'``, where classes that don't occur are missing.

    Args:
        statistics: A sum of what images add.
        things: The number of things among the classes, which come first.
        count: The number of classes.
    """
    every = {label: dict(isthing=int(label < things)) for label in range(count)}
    found: dict[str, Any] = {}
    for ending, isthing in GROUPS.items():
        occurring = {
            label: info
            for label, info in every.items()
            if (stat := statistics[label]).tp + stat.fp + stat.fn and isthing in (None, bool(info['isthing']))
        }
        # The mean of no class can't be taken.
        mean, by_class = (
            statistics.pq_average(occurring, isthing) if occurring else (dict(pq=0.0, sq=0.0, rq=0.0, n=0), {})
        )
        found[ending] = mean
        if isthing is None:
            found['classes'] = by_class
    return found


@METRICS.register_module(name='CocoPanopticMetric', force=True)
class CocoPanopticMetric(PlainCocoPanopticMetric):
    """mmdet's ``CocoPanopticMetric``, but the annotation file is read by the same reader as in training, classes are
    matched by name, areas are those of the segment maps, and classes that don't occur don't stop it.

    Args:
        ann_file: The annotation file; None takes mmdet's way, the ground truth of the data set.
        seg_prefix: The folder of the segment maps.
        classwise: Whether to print a table of all classes.
        format_only: Only write the results; needs ``outfile_prefix``.
        outfile_prefix: Where to write the results in COCO's format: ``PREFIX.panoptic.json`` and the folder
            ``PREFIX.panoptic``.
        nproc: As in mmdet; with an annotation file each image is scored as it is predicted.
        backend_args, collect_device, prefix: As in mmdet.

    Raises:
        UserError: for an annotation file that can't be used, or without the package panopticapi-lite.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        seg_prefix: str | None = None,
        classwise: bool = False,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        nproc: int = 32,
        backend_args: dict | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        require_panopticapi()
        self._file = None
        self._labels: dict[int, int] | None = None
        if ann_file is None:
            super().__init__(
                None,
                seg_prefix,
                classwise,
                format_only,
                outfile_prefix,
                nproc,
                None,
                backend_args,
                collect_device,
                prefix,
            )
            return
        BaseMetric.__init__(self, collect_device=collect_device, prefix=prefix)
        if format_only and outfile_prefix is None:
            raise UserError(
                'CocoPanopticMetric with format_only=True needs outfile_prefix, where to write the results.'
            )
        if not format_only and seg_prefix is None:
            raise UserError('CocoPanopticMetric needs seg_prefix, the folder of the segment maps of its ann_file.')
        self.tmp_dir = None
        self.seg_prefix, self.classwise, self.format_only = seg_prefix, classwise, format_only
        self.outfile_prefix, self.backend_args = outfile_prefix, backend_args
        with get_local_path(ann_file, backend_args=backend_args) as path:
            self._file = read_panoptic(path, 'ann_file', without_annotations=format_only)
        self._annotations = {annotation['image_id']: annotation for annotation in self._file.annotations}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score the images of a batch, and write their segments."""
        if self._file is None:
            super().process(data_batch, data_samples)
            return
        count = len(self.dataset_meta['classes'])
        for sample in data_samples:
            panoptic = sample['pred_panoptic_seg']
            found = found_segments(panoptic['sem_seg'][0].cpu().numpy(), panoptic.get('scores', {}), count)
            statistics = None if self.format_only else panoptic_statistics(self._truth(sample), found, count)
            entry = self._written(sample['img_id'], found) if self.outfile_prefix else None
            self.results.append((statistics, entry))

    def _truth(self, sample: dict) -> Segments:
        annotation = self._annotations.get(sample['img_id'])
        if annotation is None or self._file is None:
            raise UserError(
                f"The image '{sample['img_path']}' has no annotation in the file of CocoPanopticMetric; give it the "
                'same ann_file as the data set.'
            )
        if self._labels is None:
            names = self.dataset_meta['thing_classes'], self.dataset_meta['stuff_classes']
            self._labels = self._file.labels(*names, some_suffice=True)
        things, listed = self.dataset_meta['thing_classes'], []
        for segment in annotation['segments_info']:
            label = self._labels.get(segment['category_id'], IGNORED)
            ignored = segment['iscrowd'] and label >= len(things)
            listed.append(dict(id=segment['id'], category=IGNORED if ignored else label, iscrowd=segment['iscrowd']))
        path = str(Path(self.seg_prefix or '', annotation['file_name']))
        return annotated_segments(path, listed, sample['ori_shape'][:2], self.backend_args)

    def _written(self, image_id: Any, found: Segments) -> dict:
        ids = {category['name']: category['id'] for category in self._file.categories} if self._file else {}
        names = self.dataset_meta['classes']
        annotation = self._annotations.get(image_id, {})
        name = annotation.get('file_name', f'{image_id}.png')
        write_segment_map(Path(f'{self.outfile_prefix}.panoptic', name), found.ids)
        category_ids = [ids.get(class_name, -1) for class_name in names]
        return dict(image_id=image_id, file_name=name, segments_info=described(found, category_ids))

    def compute_metrics(self, results: Sequence[Any]) -> dict[str, float]:
        """As in mmdet: PQ, SQ and RQ in per cent, of all classes, things (``_th``) and stuff (``_st``)."""
        if self._file is None:
            return super().compute_metrics(results)
        from panopticapi.evaluation import PQStat

        if self.outfile_prefix:
            path = Path(f'{self.outfile_prefix}.panoptic.json')
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as unfinished:
                unfinished.write_text(json.dumps(dict(annotations=[entry for _, entry in results])))
        if self.format_only:
            return {}
        total, names = PQStat(), self.dataset_meta['classes']
        for statistics, _ in results:
            total += statistics
        found = qualities(total, len(self.dataset_meta['thing_classes']), len(names))
        if self.classwise:
            rows = [
                f'{names[label]}: PQ {100 * v["pq"]:.1f}, SQ {100 * v["sq"]:.1f}, RQ {100 * v["rq"]:.1f}'
                for label, v in found['classes'].items()
            ]
            MMLogger.get_current_instance().info('\n'.join(['Panoptic quality by class:', *rows]))
        return {
            f'{key.upper()}{ending}': 100 * found[ending][key]
            for ending in GROUPS
            if found[ending]['n']
            for key in ('pq', 'sq', 'rq')
        } or dict(PQ=0.0, SQ=0.0, RQ=0.0)


class DumpPanoptic(WholeDump):
    """Dumps the segments of each image: ``ids`` ``(H, W)``, ``segments``, ``img_id`` and ``img_path``."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        count = len(self.dataset_meta['classes'])
        for sample in data_samples:
            panoptic = sample['pred_panoptic_seg']
            found = found_segments(panoptic['sem_seg'][0].cpu().numpy(), panoptic.get('scores', {}), count)
            self.results.append(
                dict(img_id=sample['img_id'], img_path=sample['img_path'], ids=found.ids, segments=found.listed)
            )
