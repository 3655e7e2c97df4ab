"""The interface of a task: what it must define so that all commands work for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.checks.fault import DataPart, Fault, class_of
from hiera_mm.complexity import Parts
from hiera_mm.errors import UserError
from hiera_mm.evaluation.dump import DumpNamedResults, WholeDump
from hiera_mm.inference.data_sheet import Sheet
from hiera_mm.inference.formats import Exported
from hiera_mm.inference.formats.graph import Graph
from hiera_mm.inference.prediction import Outcome, images_of
from hiera_mm.inference.report.parts import Section, Tested
from hiera_mm.inference.trained import PageResult, Predictor, TrainedModel
from hiera_mm.readers.inputs import Input, Kind, find_inputs
from hiera_mm.rehearsal.stand_in import Artist

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor


class Task:
    """What the suite does with one type of model. The base class is a task that can only be trained and tested.

    A subclass overrides what it supports. After :func:`hiera_mm.tasks.register` all commands work for the configs that
    the instance recognises.

    Attributes:
        name: The name used in messages.
        model_types: Classes of its models.
        options: The supported options of ``hiera-mm predict``, with their defaults.
        names_key: Whether published models list ``'classes'`` in order or ``'actions'`` by number.
        page_score: Initial score threshold of the web page; None if predictions have no scores to filter by.
        lists_classes: Whether the web page lists classes instead of drawing.
        draws_images: Whether a prediction can be drawn on an image.
        finds_persons: Whether a predictor can find persons for an action detector.
        needs_persons: Whether a predictor needs a model that finds persons.
        quantisable: Whether exported files can compute in 8-bit integers.
        dump: The metric that writes a test's predictions to a file.
    """

    name = 'other models'
    model_types: tuple[type, ...] = ()
    options: Mapping[str, Any] = {}
    names_key = 'classes'
    page_score: float | None = None
    lists_classes = False
    draws_images = False
    finds_persons = False
    needs_persons = False
    quantisable = False
    dump: type[WholeDump] = DumpNamedResults

    # Reading a config.

    def recognises(self, config: Config) -> bool:
        """Whether a config belongs to this task: by default, whether its model is of one of ``model_types``."""
        model_class = class_of(config.get('model'), config.get('default_scope'), MODELS)
        return model_class is not None and issubclass(model_class, self.model_types)

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]:
        """The config keys that set how many classes the model predicts, such as
        ``('model.cls_head.num_classes', 400)``."""
        return []

    def class_count(self, model: ConfigDict) -> int:
        """How many classes the model predicts."""
        return self.class_places(model)[0][1]

    # Checking data.

    def check_of(self, dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None:
        """The check for data sets of the class ``dataset_type``; None without one."""
        return None

    def class_names(self, dataset: ConfigDict, dataset_type: type) -> list[str] | None:
        """The classes of a data set whose labels are names; None for others."""
        return None

    def faults_of_model(self, model: ConfigDict) -> Iterator[Fault]:
        """Faults in the model's config."""
        yield from ()

    def faults_of_evaluator(
        self, key: str, evaluator: ConfigDict, metric_type: type, config: Config, read: Callable
    ) -> Iterator[Fault]:
        """Faults of one evaluator.

        Args:
            key: ``'val_evaluator'`` or ``'test_evaluator'``.
            evaluator: Its config.
            metric_type: Its Python class.
            config: The whole config.
            read: Reads a COCO file, with a cache.
        """
        yield from ()

    def faults_between(self, datasets: Sequence[tuple[ConfigDict, type | None]]) -> Iterator[Fault]:
        """Faults between several data sets, given by config and Python class."""
        yield from ()

    def count_images(self, key: str, dataset: ConfigDict) -> int | None:
        """How many images a data set has according to its files; None if that is unknown without building it.

        Args:
            key: Its key in the config.
            dataset: Its config, without wrappers.
        """
        return None

    # Rehearsing a run.

    def artist_of(self, dataset_type: type) -> Artist | None:
        """The function that draws stand-in data for data sets of the class ``dataset_type``; None without one."""
        return None

    def map_takers(self, model: ConfigDict) -> Iterator[ConfigDict]:
        """The parts of a model whose ``in_channels`` are the widths of the backbone's maps."""
        yield from ()

    def shrink(self, model: ConfigDict) -> None:
        """Reduce everything but the backbone, for a rehearsal of a tiny model."""

    def shrink_input(self, config: Config, scaled: Callable) -> None:
        """Reduce sizes that only this task's models set; ``scaled`` returns the reduced sides."""

    # Costs of a forward pass.

    def input_shape(self, config: Config) -> tuple[int, int]:
        """Height and width, in pixels, of a config's training inputs."""
        raise UserError(f'The size of the inputs is not known for {self.name}; set it with --shape.')

    def complexity(self, model: ConfigDict, shape: Sequence[int] | None) -> tuple[Parts, Sequence[int]]:
        """Parameters and multiply-accumulates of each part of a model for one input, and the input's height and width.

        Args:
            model: Its config.
            shape: Height and width in pixels; None for the usual ones.
        """
        raise UserError(f'Operations are not counted for {self.name}.')

    def training_loss(self, model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
        """A scalar that depends on all tensors that the loss of a batch depends on, computed from dummy inputs.

        Args:
            model: The module.
            config: The config of the model.
            batch: Number of inputs.
            shape: Their height and width in pixels.
        """
        raise UserError(f'The memory of training is not counted for {self.name}.')

    # Using a model.

    def predictor(self, trained: TrainedModel, classes: Any) -> Predictor:
        """A predictor for a trained model; ``classes`` are the class names, None for those of training."""
        raise UserError(
            f"'{trained.source}' is a {type(trained.model).__name__}, which predicts neither objects nor regions nor "
            'classes nor actions.'
        )

    def find_inputs(self, predictor: Any, given: Sequence[str]) -> list[Input]:
        """Find what a user asks predictions for.

        Args:
            predictor: A predictor from :meth:`predictor`.
            given: As for :func:`hiera_mm.readers.inputs.find_inputs`.
        """
        return images_of(predictor, find_inputs(given, predictor.kinds))

    def predict_files(
        self, predictor: Any, inputs: Sequence[Input], folder: Path, options: Mapping[str, Any]
    ) -> Outcome:
        """Predict for many files and write the results.

        Args:
            predictor: A predictor from :meth:`predictor`.
            inputs: Files of the predictor's ``kinds``.
            folder: Output folder.
            options: A value for each of :attr:`options`, and ``persons``, which finds persons for an action detector.
        """
        raise NotImplementedError

    def page_result(self, predictor: Any, path: str, kind: Kind, persons: Any) -> PageResult:
        """The prediction for one file on the web page; ``persons`` finds persons for an action detector."""
        raise UserError(f'The web page does not show {self.name}.')

    # Exporting, publishing and reporting.

    def graph(self, predictor: Any, size: tuple[int, int] | None) -> Graph:
        """The exportable graph of a predictor's model, for inputs of a height and width."""
        raise UserError(
            f"'{predictor.trained.source}' is one of the {self.name}, which can't be exported yet; use the model by "
            'hiera_mm.load.'
        )

    def exported_model(self, exported: Exported) -> BaseModel:
        """An exported file as a model with the inputs and outputs that the original has in testing."""
        raise UserError(f'There are no exported files of {self.name}.')

    def hub_name(self, trained: TrainedModel) -> str:
        """The task's name in published models: the Hugging Face hub's name where it has one."""
        return self.name.replace(' ', '-')

    def in_words(self, config: Config) -> str:
        """What a config's model does, in the field's words."""
        return self.name

    def pipeline_tag(self, trained: TrainedModel) -> str | None:
        """The hub's tag; None without a suitable one."""
        return self.hub_name(trained)

    def example(self, trained: TrainedModel) -> str:
        """The arguments of ``predict`` in the README of a published model."""
        return "'photo.jpg'"

    def report(self, trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]:
        """The sections of a report about a model's errors; scores below ``score_thr`` don't count."""
        yield from ()

    def draw_test(self, config: Config, folder: str) -> None:
        """Make a test write each image with the ground truth next to the prediction.

        Raises:
            UserError: if that can't be drawn.
        """
        raise UserError('--show-dir draws boxes and masks, which this model does not predict; use --out instead.')

    def draw_sheet(self, dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> Sheet:
        """Write a sheet of a data set's samples with their annotations.

        Args:
            dataset: The config of the set, without wrappers.
            dataset_type: Its class.
            scope: The default scope of the whole config.
            path: The image to write.

        Returns:
            What was drawn.
        """
        return Sheet(0)
