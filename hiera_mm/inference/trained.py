"""Trained models, and the interface of tasks for inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hiera_mm.checks.fault import CheckedTask, class_of, classes_of
from hiera_mm.errors import UserError, examples
from hiera_mm.evaluation.dump import WholeDump
from hiera_mm.inference.closed_config import test_set_of
from hiera_mm.inference.formats import Exported
from hiera_mm.inference.formats.graph import Graph
from hiera_mm.inference.report.parts import Section, Tested
from hiera_mm.readers.channels import ChannelReader, channel_reader, loading_step
from hiera_mm.readers.inputs import Kind
from hiera_mm.weights.origin import Origin

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel

LOADERS_OF_ANNOTATIONS = ('LoadAnnotations', 'LoadPanopticAnnotations')


@dataclass(frozen=True)
class TrainedModel:
    """A model in evaluation mode, with its config and origin.

    Attributes:
        task: Its task.
        model: The module.
        config: The config it was built from.
        meta: The checkpoint's ``meta``, such as ``dataset_meta`` with the classes.
        source: The name by which it was requested.
        version: Identifies its file; it changes when the file does.
        origins: The files that its training began with.
        trusted: Whether the config is the user's own or of an author whom the user trusts; of others no file that it
            names is opened.
        half: Whether it computes in half precision.
    """

    task: InferenceTask
    model: BaseModel
    config: Config
    meta: Mapping[str, Any]
    source: str
    version: str
    origins: list[Origin]
    trusted: bool
    half: bool = False

    @property
    def test_set(self) -> ConfigDict:
        """The config of its test set, without wrappers."""
        return test_set_of(self.config)

    @property
    def test_pipeline(self) -> list[ConfigDict]:
        """The steps of the test pipeline, without those that read annotations."""
        return [step for step in self.test_set.pipeline if not str(step.type).endswith(LOADERS_OF_ANNOTATIONS)]

    @property
    def channels(self) -> ChannelReader | None:
        """Reads its images, if they are not red, green and blue in one file."""
        of_set = self.config.get('test_dataloader') is not None
        step = loading_step(self.test_set.pipeline if of_set else self.config.get('test_pipeline'))
        return channel_reader(step.get('channels', 3), step.get('channel_files'))

    @property
    def class_count(self) -> int:
        """The number of classes of the model."""
        return self.task.class_count(self.config.model)

    def classes(self, given: Sequence[str] | Mapping[int, str] | None = None) -> list[str]:
        """The class names: those given, else those of training or of the test set, else the class numbers.

        Raises:
            UserError: if the number of names differs from that of classes.
        """
        count = self.class_count
        names = list(given.values()) if isinstance(given, Mapping) else given
        names = names or (self.meta.get('dataset_meta') or {}).get('classes') or self._test_set_classes()
        if names is None:
            return [str(number) for number in range(count)]
        if len(names) != count:
            raise UserError(
                f"'{self.source}' has {count} classes, but there are {examples(list(names))} names; give the names of "
                'all, in the order of training.'
            )
        return list(names)

    def _test_set_classes(self) -> list[str] | None:
        dataset_class = class_of(self.test_set, self.config.get('default_scope'))
        if not self.test_set.get('metainfo') and not hasattr(dataset_class, 'METAINFO'):
            return None
        try:
            return classes_of(self.test_set, dataset_class)
        except KeyError:
            # The data set reads the names from its files.
            return None


class Predictor(Protocol):
    """A trained model with a method ``predict`` for one input or a list of them."""

    @property
    def trained(self) -> TrainedModel:
        """The model."""
        ...

    @property
    def names(self) -> Any:
        """The classes in order, or the actions by number."""
        ...

    @property
    def kinds(self) -> Sequence[Kind]:
        """The kinds of files that ``predict`` takes."""
        ...

    @property
    def predict(self) -> Callable[..., Any]:
        """Predict for one input, or for each of a list."""
        ...


class PageResult(Protocol):
    """The prediction for a file."""

    def results(self) -> Any:
        """The whole prediction in JSON types."""
        ...

    def rows(self, score_thr: float) -> list[dict[str, Any]]:
        """The rows of a table of what was found with at least this score, by column; empty without a table."""
        ...

    def write(self, path: Path, score_thr: float) -> Path | None:
        """Draw predictions of at least this score.

        Args:
            path: The file to write, without its ending.
            score_thr: 0 to 1.

        Returns:
            The file that was written, a ``.png`` or an ``.mp4``; None if there is nothing to draw.
        """
        ...


class InferenceTask(CheckedTask, Protocol):
    """The part of a task that inference needs; :class:`hiera_mm.tasks.task.Task` documents the members."""

    name: str
    names_key: str
    page_score: float | None
    lists_classes: bool
    draws_images: bool
    finds_persons: bool
    quantisable: bool
    dump: type[WholeDump]

    def class_count(self, model: ConfigDict) -> int: ...
    def hub_name(self, trained: TrainedModel) -> str: ...
    def in_words(self, config: Config) -> str: ...
    def example(self, trained: TrainedModel) -> str: ...
    def pipeline_tag(self, trained: TrainedModel) -> str | None: ...
    def predictor(self, trained: TrainedModel, classes: Any) -> Predictor: ...
    def graph(self, predictor: Any, size: tuple[int, int] | None) -> Graph: ...
    def exported_model(self, exported: Exported) -> BaseModel: ...
    def page_result(self, predictor: Any, path: str, kind: Kind, persons: Any) -> PageResult: ...
    def report(self, trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]: ...
