"""Classification of images and clips, by mmaction2's recognisers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.checks import images, videos
from hiera_mm.checks.fault import DataPart, Fault, Severity
from hiera_mm.complexity import Parts
from hiera_mm.datasets.images import ImageDataset
from hiera_mm.datasets.video import ClipDataset
from hiera_mm.engine.training_plan import pipeline_shape
from hiera_mm.inference.data_sheet import Sheet
from hiera_mm.inference.formats import Exported
from hiera_mm.inference.formats.graph import Graph
from hiera_mm.inference.prediction import Outcome
from hiera_mm.inference.report.parts import Section, Tested
from hiera_mm.inference.trained import PageResult, TrainedModel
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.rehearsal.stand_in import Artist
from hiera_mm.tasks.classification.classifier import Classifier
from hiera_mm.tasks.classification.data_sheet import draw_sheet
from hiera_mm.tasks.classification.files import classify_files
from hiera_mm.tasks.classification.forward_pass import USUAL_SIZE, recogniser_complexity, training_loss
from hiera_mm.tasks.classification.graph import ExportedClassifier, graph_of_classifier
from hiera_mm.tasks.classification.report import sections
from hiera_mm.tasks.classification.stand_in import draw_images, draw_videos
from hiera_mm.tasks.task import Task

from mmaction.datasets import VideoDataset
from mmaction.models import BaseRecognizer
from mmengine.config import Config, ConfigDict
from torch import Tensor


class ClassificationTask(Task):
    """Finds the class of images or of clips."""

    name = 'classifiers'
    model_types = (BaseRecognizer,)
    options = dict(batch_size=1, topk=5, fps=30.0, window=None, stride=None)
    lists_classes = True
    quantisable = True

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]:
        number = model.cls_head.get('num_classes')
        return [] if number is None else [('model.cls_head.num_classes', number)]

    def draw_sheet(self, dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> Sheet:
        return draw_sheet(dataset, dataset_type, scope, path)

    def check_of(self, dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None:
        return check_of(dataset_type)

    def class_names(self, dataset: ConfigDict, dataset_type: type) -> list[str] | None:
        return videos.classes_of_list(dataset) if issubclass(dataset_type, ClipDataset) else None

    def faults_of_model(self, model: ConfigDict) -> Iterator[Fault]:
        """Mixup or cutmix with another number of classes than the head."""
        blending = model.get('data_preprocessor', {}).get('blending') or {}
        for _, classes in self.class_places(model):
            for number, augment in enumerate(blending.get('augments', ())):
                if augment.get('num_classes') not in (None, classes):
                    yield Fault(
                        Severity.BLOCKS,
                        f'{augment.type} makes labels of {augment.num_classes} classes, but the model predicts '
                        f'{classes}; set model.data_preprocessor.blending.augments.{number}.num_classes={classes}.',
                    )

    def faults_between(self, datasets: Sequence[tuple[ConfigDict, type | None]]) -> Iterator[Fault]:
        return faults_between(datasets)

    def artist_of(self, dataset_type: type) -> Artist | None:
        return artist_of(dataset_type)

    def map_takers(self, model: ConfigDict) -> Iterator[ConfigDict]:
        yield model.cls_head

    def input_shape(self, config: Config) -> tuple[int, int]:
        return pipeline_shape(config.train_dataloader.dataset.pipeline) or USUAL_SIZE

    def complexity(self, model: ConfigDict, shape: Sequence[int] | None) -> tuple[Parts, Sequence[int]]:
        height, width = shape or USUAL_SIZE
        return recogniser_complexity(model, height, width), (height, width)

    def training_loss(self, model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
        return training_loss(model, config, batch, shape)

    def predictor(self, trained: TrainedModel, classes: Any) -> Classifier:
        return Classifier(trained, classes)

    def predict_files(
        self, predictor: Classifier, inputs: Sequence[Input], folder: Path, options: Mapping[str, Any]
    ) -> Outcome:
        more = options['topk'], options['fps'], options['window'], options['stride']
        return classify_files(predictor, inputs, folder, options['batch_size'], *more)

    def page_result(self, predictor: Classifier, path: str, kind: Kind, persons: Any) -> PageResult:
        return ClassesResult(predictor.predict(path))

    def graph(self, predictor: Classifier, size: tuple[int, int] | None) -> Graph:
        return graph_of_classifier(predictor, size)

    def exported_model(self, exported: Exported) -> ExportedClassifier:
        return ExportedClassifier(exported)

    def hub_name(self, trained: TrainedModel) -> str:
        return self.in_words(trained.config).replace(' ', '-')

    def in_words(self, config: Config) -> str:
        return f'{"image" if config.model.backbone.get("num_frames") is None else "video"} classification'

    def example(self, trained: TrainedModel) -> str:
        return "'photo.jpg'" if self._takes_images(trained) else "'clip.mp4'"

    def report(self, trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]:
        return sections(tested)

    def _takes_images(self, trained: TrainedModel) -> bool:
        return trained.config.model.backbone.get('num_frames') is None


class ClassesResult:
    """A :class:`Classification` for the web page, most probable class first; nothing is drawn."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def results(self) -> dict:
        return dict(self.found.top(len(self.found.names)))

    def rows(self, score_thr: float) -> list[dict[str, Any]]:
        return []

    def write(self, path: Path, score_thr: float) -> None:
        return None


def check_of(dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None:
    """The check of data sets of images or clips, with or without labels."""
    checks = {ClipDataset: videos.faults, ImageDataset: images.faults}
    return next((check for base, check in checks.items() if issubclass(dataset_type, base)), None)


def faults_between(datasets: Sequence[tuple[ConfigDict, type | None]]) -> Iterator[Fault]:
    """Faults of image folders whose class folders differ."""
    return images.faults_between([dataset for dataset, kind in datasets if kind and issubclass(kind, ImageDataset)])


def artist_of(dataset_type: type) -> Artist | None:
    """The function that draws stand-in images or clips, with or without labels."""
    artists = {ImageDataset: draw_images, VideoDataset: draw_videos}
    return next((artist for base, artist in artists.items() if issubclass(dataset_type, base)), None)
