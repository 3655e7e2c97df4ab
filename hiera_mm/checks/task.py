"""What checks ask of a task; :class:`hiera_mm.tasks.task.Task` says what each member means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from mmengine.config import Config, ConfigDict

if TYPE_CHECKING:
    from hiera_mm.checks.fault import DataPart, Fault


class CheckedTask(Protocol):
    """A task as far as data are checked."""

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]: ...
    def class_names(self, dataset: ConfigDict, kind: type) -> list[str] | None: ...
    def check_of(self, kind: type) -> Callable[[DataPart], Iterator[Fault]] | None: ...
    def faults_of_model(self, model: ConfigDict) -> Iterator[Fault]: ...
    def faults_of_evaluator(
        self, key: str, evaluator: ConfigDict, kind: type, config: Config, read: Callable
    ) -> Iterator[Fault]: ...
    def faults_between(self, datasets: Sequence[tuple[ConfigDict, type | None]]) -> Iterator[Fault]: ...
