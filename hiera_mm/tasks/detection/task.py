"""Detection and instance segmentation, by mmdet's models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.checks import coco
from hiera_mm.checks.fault import DataPart, Fault, classes_of
from hiera_mm.complexity import Parts
from hiera_mm.engine.training_plan import pipeline_shape
from hiera_mm.evaluation.dump import DumpDetections
from hiera_mm.inference.data_sheet import Sheet
from hiera_mm.inference.formats import Exported
from hiera_mm.inference.formats.graph import Graph
from hiera_mm.inference.page_results import frame_result
from hiera_mm.inference.prediction import Outcome
from hiera_mm.inference.report.parts import Section, Tested
from hiera_mm.inference.trained import PageResult, TrainedModel
from hiera_mm.inference.visualization import draw
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.rehearsal.stand_in import Artist
from hiera_mm.tasks.detection import heads
from hiera_mm.tasks.detection.checks import count_images, faults_of_evaluator
from hiera_mm.tasks.detection.data_sheet import draw_sheet
from hiera_mm.tasks.detection.detector import Detector
from hiera_mm.tasks.detection.drawing import DrawObjectsHook
from hiera_mm.tasks.detection.files import detect_in_files
from hiera_mm.tasks.detection.forward_pass import USUAL_SIZE, detector_complexity, query_complexity, training_loss
from hiera_mm.tasks.detection.graph import ExportedDetector, graph_of_detector
from hiera_mm.tasks.detection.report import sections
from hiera_mm.tasks.detection.results import Detections, labels_of
from hiera_mm.tasks.detection.stand_in import draw_coco
from hiera_mm.tasks.detection.tiles import Tiles
from hiera_mm.tasks.task import Task

import numpy as np
from mmdet.datasets import CocoDataset, CocoPanopticDataset
from mmdet.models.detectors import BaseDetector
from mmengine.config import Config, ConfigDict
from torch import Tensor


class DetectionTask(Task):
    """Finds objects in images: boxes, and masks if the model has them."""

    name = 'detectors'
    model_types = (BaseDetector,)
    options = dict(
        batch_size=1,
        pred_score_thr=0.3,
        no_save_vis=False,
        frame_interval=1,
        tile=None,
        tile_overlap=0.2,
        ann_file=None,
        track=False,
    )
    page_score: float | None = 0.3
    draws_images = True
    finds_persons = True
    quantisable = True
    dump = DumpDetections

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]:
        return heads.class_places(model)

    def class_count(self, model: ConfigDict) -> int:
        return heads.class_count(model)

    def check_of(self, dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None:
        return coco.faults if coco.reads_coco(dataset_type) else None

    def class_names(self, dataset: ConfigDict, dataset_type: type) -> list[str] | None:
        return classes_of(dataset, dataset_type) if coco.reads_coco(dataset_type) else None

    def faults_of_evaluator(
        self, key: str, evaluator: ConfigDict, metric_type: type, config: Config, read: Callable
    ) -> Iterator[Fault]:
        return faults_of_evaluator(key, evaluator, metric_type, config, read)

    def count_images(self, key: str, dataset: ConfigDict) -> int | None:
        return count_images(key, dataset)

    def artist_of(self, dataset_type: type) -> Artist | None:
        # mmdet's other panoptic models are of another kind.
        panoptic = issubclass(dataset_type, CocoPanopticDataset)
        return draw_coco if issubclass(dataset_type, CocoDataset) and not panoptic else None

    def map_takers(self, model: ConfigDict) -> Iterator[ConfigDict]:
        if model.get('neck'):
            yield from model.neck if isinstance(model.neck, list | tuple) else [model.neck]
            return
        found = (model.get('bbox_head'), model.get('panoptic_head'), (model.get('roi_head') or {}).get('bbox_head'))
        yield from (head for head in found if isinstance(head, dict))

    def input_shape(self, config: Config) -> tuple[int, int]:
        return pipeline_shape(config.train_dataloader.dataset.pipeline) or USUAL_SIZE

    def complexity(self, model: ConfigDict, shape: Sequence[int] | None) -> tuple[Parts, Sequence[int]]:
        height, width = shape or USUAL_SIZE
        count = query_complexity if 'panoptic_head' in model else detector_complexity
        return count(model, height, width), (height, width)

    def training_loss(self, model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
        return training_loss(model, config, batch, shape)

    def predictor(self, trained: TrainedModel, classes: Any) -> Detector:
        return Detector(trained, classes)

    def predict_files(
        self, predictor: Detector, inputs: Sequence[Input], folder: Path, options: Mapping[str, Any]
    ) -> Outcome:
        return detect_in_files(
            predictor,
            inputs,
            folder,
            options['batch_size'],
            options['pred_score_thr'],
            not options['no_save_vis'],
            options['frame_interval'],
            Tiles(options['tile'], options['tile_overlap']) if options['tile'] else None,
            options['ann_file'],
            options['track'],
        )

    def page_result(self, predictor: Detector, path: str, kind: Kind, persons: Any) -> PageResult:
        return frame_result(predictor, path, kind, _drawn)

    def graph(self, predictor: Detector, size: tuple[int, int] | None) -> Graph:
        return graph_of_detector(predictor, size)

    def exported_model(self, exported: Exported) -> ExportedDetector:
        return ExportedDetector(exported)

    def hub_name(self, trained: TrainedModel) -> str:
        return 'image-segmentation' if heads.predicts_masks(trained.config.model) else 'object-detection'

    def in_words(self, config: Config) -> str:
        masks = heads.predicts_masks(config.model)
        return 'object detection and instance segmentation' if masks else 'object detection'

    def report(self, trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]:
        return sections(trained, tested, score_thr)

    def draw_test(self, config: Config, folder: str) -> None:
        config.default_hooks.visualization = dict(type=DrawObjectsHook.__name__, folder=folder)

    def draw_sheet(self, dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> Sheet:
        return Sheet(draw_sheet(dataset, path) if coco.reads_coco(dataset_type) else 0)


def _drawn(frame: np.ndarray, found: Detections, score_thr: float) -> np.ndarray:
    return draw(frame, labels_of(found.above(score_thr)))
