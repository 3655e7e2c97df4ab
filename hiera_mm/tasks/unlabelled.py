"""What tasks that learn from inputs without labels have in common."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hiera_mm.checks import volumes
from hiera_mm.checks.fault import DataPart, Fault
from hiera_mm.datasets.volumes import VolumeDataset
from hiera_mm.evaluation.features import FeatureMetric
from hiera_mm.inference.data_sheet import Sheet
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.rehearsal.stand_in import Artist
from hiera_mm.tasks.classification import data_sheet
from hiera_mm.tasks.classification import task as classification
from hiera_mm.tasks.label_checks import faults_of_labels
from hiera_mm.tasks.task import Task
from hiera_mm.tasks.volumes.stand_in import draw_volumes

from mmengine.config import Config, ConfigDict


class UnlabelledTask(Task):
    """Learns from images, clips or volumes without labels; what it learns is judged by a labelled set."""

    def draw_sheet(self, dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> Sheet:
        return data_sheet.draw_sheet(dataset, dataset_type, scope, path)

    def check_of(self, dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None:
        return volumes.faults if issubclass(dataset_type, VolumeDataset) else classification.check_of(dataset_type)

    def faults_of_evaluator(
        self, key: str, evaluator: ConfigDict, metric_type: type, config: Config, read: Callable
    ) -> Iterator[Fault]:
        if issubclass(metric_type, FeatureMetric):
            yield from faults_of_labels(key, config[key.replace('evaluator', 'dataloader')].dataset)

    def faults_between(self, datasets: Sequence[tuple[ConfigDict, type | None]]) -> Iterator[Fault]:
        return classification.faults_between(datasets)

    def artist_of(self, dataset_type: type) -> Artist | None:
        return draw_volumes if issubclass(dataset_type, VolumeDataset) else classification.artist_of(dataset_type)

    def hub_name(self, trained: TrainedModel) -> str:
        return self.in_words(trained.config).replace(' ', '-')

    def pipeline_tag(self, trained: TrainedModel) -> str:
        return 'image-feature-extraction'
