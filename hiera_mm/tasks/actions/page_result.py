"""The result of action detection for the web page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hiera_mm.inference.visualization import write_annotated
from hiera_mm.readers.videos import open_video
from hiera_mm.tasks.actions.action_detector import labels_at


@dataclass(frozen=True)
class ActionsResult:
    """The actions of persons in a video, see :meth:`ActionDetector.predict`."""

    video: str
    result: dict

    def results(self) -> dict:
        return dict(self.result, video=Path(self.video).name)

    def rows(self, score_thr: float) -> list[dict[str, Any]]:
        return [
            dict(second=second['timestamp'], person=number, action=action['name'], confidence=round(action['score'], 2))
            for second in self._above(score_thr)['predictions']
            for number, person in enumerate(second['persons'], start=1)
            for action in person['actions']
        ]

    def write(self, path: Path, score_thr: float) -> Path:
        path = path.with_suffix('.mp4')
        write_annotated(path, open_video(self.video), labels_at(self._above(score_thr)))
        return path

    def _above(self, score_thr: float) -> dict:
        seconds = [
            dict(second, persons=[_with_actions(person, score_thr) for person in second['persons']])
            for second in self.result['predictions']
        ]
        return dict(self.result, predictions=seconds)


def _with_actions(person: dict, score_thr: float) -> dict:
    return dict(person, actions=[action for action in person['actions'] if action['score'] >= score_thr])
