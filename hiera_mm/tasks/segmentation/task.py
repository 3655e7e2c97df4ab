"""Semantic segmentation, by mmsegmentation's models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.checks import masks
from hiera_mm.checks.fault import DataPart, Fault, class_of, classes_of
from hiera_mm.complexity import Parts
from hiera_mm.config import dicts_in
from hiera_mm.engine.training_plan import pipeline_shape
from hiera_mm.evaluation.dump import DumpRegions
from hiera_mm.inference.data_sheet import Sheet
from hiera_mm.inference.formats import Exported
from hiera_mm.inference.formats.graph import Graph
from hiera_mm.inference.page_results import frame_result
from hiera_mm.inference.prediction import Outcome
from hiera_mm.inference.report.parts import Section, Tested
from hiera_mm.inference.trained import PageResult, TrainedModel
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.rehearsal.stand_in import Artist
from hiera_mm.tasks.segmentation.data_sheet import draw_sheet
from hiera_mm.tasks.segmentation.drawing import DrawRegionsHook
from hiera_mm.tasks.segmentation.files import segment_files
from hiera_mm.tasks.segmentation.forward_pass import USUAL_SIZE, segmentor_complexity, training_loss
from hiera_mm.tasks.segmentation.graph import ExportedSegmenter, graph_of_segmenter
from hiera_mm.tasks.segmentation.report import sections
from hiera_mm.tasks.segmentation.results import Segmentation, draw_regions
from hiera_mm.tasks.segmentation.segmenter import Segmenter
from hiera_mm.tasks.segmentation.stand_in import draw_masks
from hiera_mm.tasks.task import Task

import numpy as np
from mmengine.config import Config, ConfigDict
from mmseg.datasets import BaseSegDataset
from mmseg.models import BaseSegmentor
from torch import Tensor

HEAD_KEYS = ('decode_head', 'auxiliary_head')


class SegmentationTask(Task):
    """Finds the class of every pixel of images."""

    name = 'segmentors'
    model_types = (BaseSegmentor,)
    options = dict(batch_size=1, no_save_vis=False, frame_interval=1, full_size=False)
    draws_images = True
    quantisable = True
    dump = DumpRegions

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]:
        return [
            (f'model.{name}.num_classes', head.num_classes)
            for name in HEAD_KEYS
            for head in dicts_in(model.get(name))
            if 'num_classes' in head
        ]

    def draw_sheet(self, dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> Sheet:
        return draw_sheet(dataset, path) if issubclass(dataset_type, BaseSegDataset) else Sheet(0)

    def check_of(self, dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None:
        return masks.faults if issubclass(dataset_type, BaseSegDataset) else None

    def class_names(self, dataset: ConfigDict, dataset_type: type) -> list[str] | None:
        named = issubclass(dataset_type, BaseSegDataset) and masks.names_classes(dataset, dataset_type)
        return classes_of(dataset, dataset_type) if named else None

    def count_images(self, key: str, dataset: ConfigDict) -> int | None:
        kind = class_of(dataset, 'mmseg')
        if kind is None or not masks.reads_masks(kind) or dataset.get('backend_args'):
            return None
        return len(masks.image_mask_pairs(dataset, kind))

    def artist_of(self, dataset_type: type) -> Artist | None:
        return draw_masks if masks.reads_masks(dataset_type) else None

    def map_takers(self, model: ConfigDict) -> Iterator[ConfigDict]:
        parts = [model.neck] if model.get('neck') else [model.get(name) for name in HEAD_KEYS]
        yield from (part for part in parts if isinstance(part, dict))

    def input_shape(self, config: Config) -> tuple[int, int]:
        # mmsegmentation's crops are (height, width).
        return pipeline_shape(config.train_dataloader.dataset.pipeline, ('crop_size',)) or USUAL_SIZE

    def complexity(self, model: ConfigDict, shape: Sequence[int] | None) -> tuple[Parts, Sequence[int]]:
        height, width = shape or USUAL_SIZE
        return segmentor_complexity(model, height, width), (height, width)

    def training_loss(self, model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
        return training_loss(model, config, batch, shape)

    def predictor(self, trained: TrainedModel, classes: Any) -> Segmenter:
        return Segmenter(trained, classes)

    def predict_files(
        self, predictor: Segmenter, inputs: Sequence[Input], folder: Path, options: Mapping[str, Any]
    ) -> Outcome:
        drawn = not options['no_save_vis']
        more = options['frame_interval'], options['full_size']
        return segment_files(predictor, inputs, folder, options['batch_size'], drawn, *more)

    def page_result(self, predictor: Segmenter, path: str, kind: Kind, persons: Any) -> PageResult:
        return frame_result(predictor, path, kind, _drawn)

    def graph(self, predictor: Segmenter, size: tuple[int, int] | None) -> Graph:
        return graph_of_segmenter(predictor, size)

    def exported_model(self, exported: Exported) -> ExportedSegmenter:
        return ExportedSegmenter(exported)

    def hub_name(self, trained: TrainedModel) -> str:
        return self.in_words(trained.config).replace(' ', '-')

    def in_words(self, config: Config) -> str:
        return 'semantic segmentation'

    def pipeline_tag(self, trained: TrainedModel) -> str:
        return 'image-segmentation'

    def report(self, trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]:
        return sections(trained, tested)

    def draw_test(self, config: Config, folder: str) -> None:
        config.default_hooks.visualization = dict(type=DrawRegionsHook.__name__, folder=folder)


def _drawn(frame: np.ndarray, found: Segmentation, score_thr: float) -> np.ndarray:
    return draw_regions(frame, found)
