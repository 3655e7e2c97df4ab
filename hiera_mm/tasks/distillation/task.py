"""Distillation: a small Hiera learns from a larger backbone, on images without labels."""

from collections.abc import Iterator, Sequence
from typing import Any

from hiera_mm.checks.fault import Fault
from hiera_mm.complexity import Parts
from hiera_mm.engine.training_plan import pipeline_shape
from hiera_mm.errors import UserError
from hiera_mm.inference.trained import Predictor, TrainedModel
from hiera_mm.models.distillation import FeatureDistillation
from hiera_mm.rehearsal.tiny import shrink_hiera
from hiera_mm.tasks.classification.forward_pass import USUAL_SIZE
from hiera_mm.tasks.distillation.checks import faults_of_teacher, is_hiera
from hiera_mm.tasks.distillation.forward_pass import distillation_complexity, training_loss
from hiera_mm.tasks.unlabelled import UnlabelledTask

from mmengine.config import Config, ConfigDict
from torch import Tensor


class DistillationTask(UnlabelledTask):
    """Teaches a Hiera the maps of a larger backbone; it is used by the models that start from it."""

    name = 'distillations'
    model_types = (FeatureDistillation,)

    def faults_of_model(self, model: ConfigDict) -> Iterator[Fault]:
        yield from faults_of_teacher(model.teacher)

    def shrink(self, model: ConfigDict) -> None:
        model.maps_folder = None
        if is_hiera(model.teacher):
            shrink_hiera(model.teacher)
        else:
            # Nothing is downloaded in a rehearsal of a tiny model.
            model.teacher.pretrained = None

    def input_shape(self, config: Config) -> tuple[int, int]:
        return pipeline_shape(config.train_dataloader.dataset.pipeline) or USUAL_SIZE

    def complexity(self, model: ConfigDict, shape: Sequence[int] | None) -> tuple[Parts, Sequence[int]]:
        shape = shape or USUAL_SIZE
        return distillation_complexity(model, shape), shape

    def training_loss(self, model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
        return training_loss(model, config, batch, shape)

    def predictor(self, trained: TrainedModel, classes: Any) -> Predictor:
        raise UserError(
            f"'{trained.source}' is a distilled backbone, which predicts nothing by itself; start a model of another "
            f"task from it (weights = '{trained.source}'), or take its maps by hiera_mm.backbone('{trained.source}')."
        )

    def in_words(self, config: Config) -> str:
        return 'distillation'
