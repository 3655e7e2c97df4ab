"""Detects actions in many videos: JSON files and annotated videos."""

import json
from collections.abc import Sequence
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError
from hiera_mm.inference.prediction import Outcome, names_without_endings, result_path
from hiera_mm.inference.visualization import write_annotated
from hiera_mm.readers.inputs import Input
from hiera_mm.readers.videos import open_video
from hiera_mm.tasks.actions.action_detector import ActionDetector, Boxes, PersonFinder, check_step, labels_at


def act_in_files(
    detector: ActionDetector,
    inputs: Sequence[Input],
    folder: Path,
    boxes: Boxes | None = None,
    persons: PersonFinder | None = None,
    step: float = 1.0,
    score_thr: float = 0.5,
    drawn: bool = True,
) -> Outcome:
    """Write ``NAME_actions.json`` for each video, see :meth:`ActionDetector.predict`, and ``NAME_actions.mp4``.

    Args:
        detector: The model.
        inputs: Videos.
        folder: Output folder.
        boxes, persons, step, score_thr: As for :meth:`ActionDetector.predict`.
        drawn: Whether to write the videos.
    """
    finder = persons and dict(
        model=persons.detector.trained.version, score_thr=persons.score_thr, wanted=persons.wanted
    )
    settings = dict(model=detector.trained.version, boxes=boxes, persons=finder, step=step, score_thr=score_thr)
    check_step(step)
    names = names_without_endings(inputs)
    outcome = Outcome(folder, dict(settings, drawn=drawn), inputs)
    for entry in outcome.left:
        with outcome.unless_broken(entry):
            result = detector.predict(entry.source, boxes, persons, step, score_thr)
            name = names[entry]
            with atomic_write(result_path(folder, name, '_actions.json')) as unfinished:
                unfinished.write_text(json.dumps(result, indent=1))
            if drawn:
                write_annotated(result_path(folder, name, '_actions.mp4'), open_video(entry.source), labels_at(result))
            outcome.finish(entry)
    outcome.close()
    return outcome


def read_boxes(path: str) -> Boxes:
    """Boxes of persons by seconds, from JSON such as ``{"1.5": [[10, 20, 50, 90]]}``.

    Raises:
        UserError: for a file that can't be read as such.
    """
    try:
        boxes = json.loads(Path(path).read_text(encoding='utf-8'))
        return {float(second): given for second, given in boxes.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"The file '{path}' can't be read as boxes by seconds, such as {{\"1.5\": [[10, 20, 50, 90]]}}: {error}."
        ) from error
