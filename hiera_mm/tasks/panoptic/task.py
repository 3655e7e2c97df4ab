"""Panoptic segmentation, by those of mmdet's models that predict masks of queries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.checks import panoptic
from hiera_mm.checks.fault import DataPart, Fault, class_of
from hiera_mm.errors import UserError
from hiera_mm.evaluation.panoptic import DumpPanoptic
from hiera_mm.inference.data_sheet import Sheet
from hiera_mm.inference.formats import Exported
from hiera_mm.inference.formats.graph import Graph
from hiera_mm.inference.page_results import frame_result
from hiera_mm.inference.prediction import Outcome
from hiera_mm.inference.report.parts import Section, Tested
from hiera_mm.inference.trained import PageResult, TrainedModel
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.rehearsal.stand_in import Artist
from hiera_mm.tasks.detection import DetectionTask
from hiera_mm.tasks.panoptic.checks import COUNTS, HEADS, count_images, faults_of_model, faults_of_quality
from hiera_mm.tasks.panoptic.data_sheet import draw_sheet
from hiera_mm.tasks.panoptic.drawing import DrawPanopticHook
from hiera_mm.tasks.panoptic.files import segment_files
from hiera_mm.tasks.panoptic.report import sections
from hiera_mm.tasks.panoptic.results import PanopticSegmentation, draw_segments
from hiera_mm.tasks.panoptic.segmenter import PanopticSegmenter
from hiera_mm.tasks.panoptic.stand_in import draw_panoptic

import numpy as np
from mmdet.evaluation import CocoPanopticMetric
from mmdet.models.detectors import MaskFormer
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel


class PanopticTask(DetectionTask):
    """Finds the segment of every pixel: things, which are counted, and stuff. What a model of this kind is made of is
    as in detection."""

    name = 'panoptic segmentors'
    model_types = (MaskFormer,)
    options = dict(batch_size=1, no_save_vis=False, frame_interval=1, ann_file=None)
    page_score = None
    finds_persons = False
    quantisable = False
    dump = DumpPanoptic

    def recognises(self, config: Config) -> bool:
        # The same models find instances alone.
        return super().recognises(config) and (config.model.get('test_cfg') or {}).get('panoptic_on', True)

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]:
        return [(f'model.{head}.{key}', model[head][key]) for head in HEADS for key in COUNTS]

    def class_count(self, model: ConfigDict) -> int:
        return sum(model.panoptic_head[key] for key in COUNTS)

    def check_of(self, dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None:
        return panoptic.faults if panoptic.reads_panoptic(dataset_type) else None

    def class_names(self, dataset: ConfigDict, dataset_type: type) -> list[str] | None:
        if panoptic.reads_panoptic(dataset_type):
            things, stuff = panoptic.things_and_stuff(dataset, dataset_type)
            return [*things, *stuff]
        return super().class_names(dataset, dataset_type)

    def faults_of_model(self, model: ConfigDict) -> Iterator[Fault]:
        return faults_of_model(model)

    def faults_of_evaluator(
        self, key: str, evaluator: ConfigDict, metric_type: type, config: Config, read: Callable
    ) -> Iterator[Fault]:
        if issubclass(metric_type, CocoPanopticMetric):
            return faults_of_quality(key, evaluator, config)
        return super().faults_of_evaluator(key, evaluator, metric_type, config, read)

    def count_images(self, key: str, dataset: ConfigDict) -> int | None:
        kind = class_of(dataset, 'mmdet')
        if kind is None or not panoptic.reads_panoptic(kind):
            return super().count_images(key, dataset)
        return count_images(key, dataset)

    def artist_of(self, dataset_type: type) -> Artist | None:
        return draw_panoptic if panoptic.reads_panoptic(dataset_type) else None

    def predictor(self, trained: TrainedModel, classes: Any) -> Any:
        return PanopticSegmenter(trained, classes)

    def predict_files(
        self, predictor: Any, inputs: Sequence[Input], folder: Path, options: Mapping[str, Any]
    ) -> Outcome:
        drawn = not options['no_save_vis']
        return segment_files(
            predictor, inputs, folder, options['batch_size'], drawn, options['frame_interval'], options['ann_file']
        )

    def page_result(self, predictor: Any, path: str, kind: Kind, persons: Any) -> PageResult:
        return frame_result(predictor, path, kind, _drawn)

    def graph(self, predictor: Any, size: tuple[int, int] | None) -> Graph:
        raise UserError(
            f"'{predictor.trained.source}' is one of the {self.name}, which can't be exported yet, as joining the "
            'masks of queries depends on their number; use the model by hiera_mm.load.'
        )

    def exported_model(self, exported: Exported) -> BaseModel:
        raise UserError(f'There are no exported files of {self.name}.')

    def hub_name(self, trained: TrainedModel) -> str:
        return 'image-segmentation'

    def in_words(self, config: Config) -> str:
        return 'panoptic segmentation'

    def report(self, trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]:
        return sections(trained, tested)

    def draw_test(self, config: Config, folder: str) -> None:
        config.default_hooks.visualization = dict(type=DrawPanopticHook.__name__, folder=folder)

    def draw_sheet(self, dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> Sheet:
        return draw_sheet(dataset, scope, path) if panoptic.reads_panoptic(dataset_type) else Sheet(0)


def _drawn(frame: np.ndarray, found: PanopticSegmentation, score_thr: float) -> np.ndarray:
    return draw_segments(frame, found)
