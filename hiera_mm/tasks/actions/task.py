"""Action detection in AVA's formats: who does what, and when."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.checks import ava
from hiera_mm.checks.fault import DataPart, Fault, Severity, class_of
from hiera_mm.complexity import Parts
from hiera_mm.datasets.ava import AVAClipDataset
from hiera_mm.engine.training_plan import pipeline_shape
from hiera_mm.errors import UserError
from hiera_mm.inference.data_sheet import Sheet
from hiera_mm.inference.formats import Exported
from hiera_mm.inference.formats.graph import Graph
from hiera_mm.inference.prediction import Outcome
from hiera_mm.inference.report.parts import Section, Table, Tested
from hiera_mm.inference.trained import PageResult, TrainedModel
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.rehearsal.stand_in import Artist
from hiera_mm.tasks.actions.action_detector import ActionDetector
from hiera_mm.tasks.actions.data_sheet import draw_sheet
from hiera_mm.tasks.actions.files import act_in_files, read_boxes
from hiera_mm.tasks.actions.forward_pass import USUAL_SIZE, action_detector_complexity, training_loss
from hiera_mm.tasks.actions.graph import ExportedActionDetector, graph_of_action_detector
from hiera_mm.tasks.actions.page_result import ActionsResult
from hiera_mm.tasks.actions.stand_in import draw_ava
from hiera_mm.tasks.task import Task

import numpy as np
from mmaction.datasets import AVADataset
from mmaction.evaluation import AVAMetric
from mmaction.models.roi_heads import AVARoIHead
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS
from torch import Tensor


class ActionsTask(Task):
    """Finds the actions of persons in videos."""

    name = 'action detectors'
    options = dict(
        pred_score_thr=0.5,
        no_save_vis=False,
        boxes=None,
        det_checkpoint=None,
        det_config=None,
        det_score_thr=None,
        det_classes=None,
        step=1.0,
    )
    names_key = 'actions'
    page_score = 0.5
    needs_persons = True

    def recognises(self, config: Config) -> bool:
        model = config.get('model')
        if not isinstance(model, dict):
            return False
        head = class_of(model.get('roi_head'), model.get('_scope_') or config.get('default_scope'), MODELS)
        return head is not None and issubclass(head, AVARoIHead)

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]:
        return [('model.roi_head.bbox_head.num_classes', model.roi_head.bbox_head.num_classes)]

    def draw_sheet(self, dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> Sheet:
        return draw_sheet(dataset, scope, path) if issubclass(dataset_type, AVAClipDataset) else Sheet(0)

    def check_of(self, dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None:
        return ava.faults if issubclass(dataset_type, AVAClipDataset) else None

    def faults_of_model(self, model: ConfigDict) -> Iterator[Fault]:
        """Recall among more actions than there are, at which mmaction2 stops without a message."""
        head = model.roi_head.bbox_head
        beyond = [count for count in np.atleast_1d(head.get('topk') or (3, 5)) if count >= head.num_classes]
        if beyond:
            yield Fault(
                Severity.BLOCKS,
                f'The head counts recall among the best {beyond[-1]} of {head.num_classes - 1} actions; set '
                'model.roi_head.bbox_head.topk to fewer, such as (1,).',
            )

    def faults_of_evaluator(
        self, key: str, evaluator: ConfigDict, metric_type: type, config: Config, read: Callable
    ) -> Iterator[Fault]:
        if issubclass(metric_type, AVAMetric):
            yield from ava.faults_of_metric(key, evaluator, self.class_places(config.model))

    def artist_of(self, dataset_type: type) -> Artist | None:
        return draw_ava if issubclass(dataset_type, AVADataset) else None

    def map_takers(self, model: ConfigDict) -> Iterator[ConfigDict]:
        yield model.roi_head.bbox_head

    def input_shape(self, config: Config) -> tuple[int, int]:
        return pipeline_shape(config.train_dataloader.dataset.pipeline) or USUAL_SIZE

    def complexity(self, model: ConfigDict, shape: Sequence[int] | None) -> tuple[Parts, Sequence[int]]:
        height, width = shape or USUAL_SIZE
        return action_detector_complexity(model, height, width), (height, width)

    def training_loss(self, model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
        return training_loss(model, config, batch, shape)

    def predictor(self, trained: TrainedModel, classes: Any) -> ActionDetector:
        if classes is not None and not isinstance(classes, Mapping):
            raise UserError(
                f"'{trained.source}' detects actions, whose names are given by number; give an action list: --classes "
                'FILE.pbtxt.'
            )
        return ActionDetector(trained, classes)

    def predict_files(
        self, predictor: ActionDetector, inputs: Sequence[Input], folder: Path, options: Mapping[str, Any]
    ) -> Outcome:
        return act_in_files(
            predictor,
            inputs,
            folder,
            None if options['boxes'] is None else read_boxes(options['boxes']),
            options['persons'],
            options['step'],
            options['pred_score_thr'],
            not options['no_save_vis'],
        )

    def page_result(self, predictor: ActionDetector, path: str, kind: Kind, persons: Any) -> PageResult:
        return ActionsResult(path, predictor.predict(path, persons=persons, score_thr=0))

    def graph(self, predictor: ActionDetector, size: tuple[int, int] | None) -> Graph:
        return graph_of_action_detector(predictor, size)

    def exported_model(self, exported: Exported) -> ExportedActionDetector:
        return ExportedActionDetector(exported)

    def hub_name(self, trained: TrainedModel) -> str:
        return self.in_words(trained.config).replace(' ', '-')

    def in_words(self, config: Config) -> str:
        return 'action detection'

    def pipeline_tag(self, trained: TrainedModel) -> None:
        return None

    def example(self, trained: TrainedModel) -> str:
        return "'film.mp4', boxes={1.5: [[10, 20, 200, 400]]}"

    def report(self, trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]:
        by_action = tested.runner.test_evaluator.metrics[0].by_action
        rows = sorted(((name, f'{value:.3f}') for name, value in by_action.items()), key=lambda row: row[1])
        yield Section('Actions', 'Average precision of each, the worst first.', [Table(('action', 'AP'), rows)])
