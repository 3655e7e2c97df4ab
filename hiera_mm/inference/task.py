"""What using a model asks of its task, and what each task's predictor has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hiera_mm.checks.task import CheckedTask
from hiera_mm.evaluation.dump import WholeDump
from hiera_mm.readers.inputs import Kind

from mmengine.config import ConfigDict
from mmengine.model import BaseModel

if TYPE_CHECKING:
    from hiera_mm.inference.formats import Exported
    from hiera_mm.inference.formats.graph import Graph
    from hiera_mm.inference.loading import TrainedModel
    from hiera_mm.inference.page_results import PageResult
    from hiera_mm.inference.report.parts import Section, Tested


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
        """The kinds of inputs that ``predict`` takes."""
        ...

    @property
    def predict(self) -> Callable[..., Any]:
        """Predicts for one input, or for each of a list."""
        ...


class InferenceTask(CheckedTask, Protocol):
    """A task as far as models are used; :class:`hiera_mm.tasks.task.Task` says what each member means."""

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
    def example(self, trained: TrainedModel) -> str: ...
    def pipeline_tag(self, trained: TrainedModel) -> str | None: ...
    def predictor(self, trained: TrainedModel, classes: Any) -> Predictor: ...
    def graph(self, predictor: Any, size: tuple[int, int] | None) -> Graph: ...
    def exported_model(self, exported: Exported) -> BaseModel: ...
    def page_result(self, predictor: Any, path: str, kind: Kind, persons: Any) -> PageResult: ...
    def report(self, trained: TrainedModel, tested: Tested, score_thr: float) -> Iterator[Section]: ...
