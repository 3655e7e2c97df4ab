"""The web page of a model: drop a file to see the prediction."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hiera_mm.errors import UserError, first_line, require_extra
from hiera_mm.inference.page_results import page_kinds, small_copy
from hiera_mm.inference.trained import PageResult, Predictor
from hiera_mm.readers.inputs import ENDINGS

from mmengine.logging import print_log

KEPT_SECONDS = 3600
"""How long uploaded files and their results are kept."""

SHOWN_CLASSES = 5

NAME_IMAGES = """() => {
    const names = {found: 'The image with what was found in it', original: 'Your image'};
    const name = () => Object.entries(names).forEach(([place, text]) =>
        document.querySelectorAll(`#${place} img`).forEach(image => { image.alt ||= text; }));
    new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
}"""
"""Names the images for screen readers, since gradio's are buttons without a name."""

MAX_ROWS = 200
"""Longest table."""

MAX_QUEUE = 20
"""Most waiting requests; further ones are refused."""

MAX_VISITORS = 50
"""Most visitors whose results are kept at a time."""


@dataclass(frozen=True)
class VisitorFile:
    """A visitor's file with its result; the drawings are deleted with it."""

    name: str
    result: PageResult
    folder: TemporaryDirectory = field(default_factory=TemporaryDirectory)

    def annotated(self, score_thr: float) -> tuple[str | None, str | None]:
        """Paths of an image and a video, one of them None, with predictions of at least this score."""
        drawn = self.result.write(self._path('annotated'), score_thr)
        return tuple(str(drawn) if drawn and drawn.suffix == ending else None for ending in ('.png', '.mp4'))  # type: ignore

    def results(self) -> str:
        path = self._path('predictions').with_suffix('.json')
        path.write_text(json.dumps(self.result.results(), indent=1))
        return str(path)

    def _path(self, what: str) -> Path:
        return Path(self.folder.name, f'{Path(self.name).stem}_{what}')


@contextmanager
def opened_page(
    predictor: Predictor,
    look: Callable[[str], PageResult],
    host: str,
    port: int,
    most_bytes: int,
    allowed_hosts: Sequence[str] = (),
) -> Iterator[Any]:
    """Serve the page, a ``gradio.Blocks``, until the context ends.

    Args:
        predictor: The model.
        look: Predicts for a file.
        host, port: Address of the page.
        most_bytes: Largest upload.
        allowed_hosts: Names under which the page is reached besides this machine's own, such as that of a proxy.

    Raises:
        UserError: if gradio is not installed, or the address can't be used.
    """
    require_extra('gradio', 'serve')
    from hiera_mm.inference.host_check import HostCheck

    from starlette.middleware import Middleware

    # Uploads and results are deleted with the server; gradio reads the folder when the page is made.
    with TemporaryDirectory(prefix='hiera_mm_page_') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder
        page = _page(predictor, look).queue(max_size=MAX_QUEUE)
        try:
            page.launch(
                server_name=host,
                server_port=port,
                max_file_size=most_bytes,
                state_session_capacity=MAX_VISITORS,
                footer_links=[],
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                app_kwargs=dict(middleware=[Middleware(HostCheck, names=[host, *allowed_hosts])]),
            )
        except OSError as error:
            why = first_line(str(error))
            raise UserError(
                f"The page can't be opened at {host}:{port} ({why}); choose another --port or --host."
            ) from error
        try:
            yield page
        finally:
            page.close(verbose=False)


def _page(predictor: Predictor, look: Callable[[str], PageResult]) -> Any:
    import gradio

    kinds, task = page_kinds(predictor), predictor.trained.task
    endings = [ending for kind in kinds for ending in ENDINGS[kind]]
    title = f'{predictor.trained.config.model.type} with Hiera: {task.in_words(predictor.trained.config)}'

    def answer(file: str | None, score_thr: float) -> tuple:
        if file is None:
            return None, *draw(None, score_thr), None, gradio.DownloadButton(interactive=False), ''
        began = time.perf_counter()
        seen = VisitorFile(Path(file).name, _explained(look, Path(file).name, file))
        took = f'{Path(file).name}: predicted in {time.perf_counter() - began:.2f} seconds.'
        scores = seen.result.results() if task.lists_classes else None
        download = gradio.DownloadButton(value=seen.results(), interactive=True)
        return seen, *draw(seen, score_thr), scores, download, took

    def draw(seen: VisitorFile | None, score_thr: float) -> tuple:
        image, video = (None, None) if seen is None else _explained(seen.annotated, seen.name, score_thr)
        rows = [] if seen is None else _explained(seen.result.rows, seen.name, score_thr)[:MAX_ROWS]
        columns = list(rows[0]) if rows else []
        return (
            gradio.Image(image, visible=image is not None),
            gradio.Video(video, visible=video is not None),
            gradio.Dataframe([[*row.values()] for row in rows], headers=columns, visible=True)
            if rows
            else gradio.Dataframe(visible=False),
        )

    def preview(file: str | None) -> Any:
        shown = None if file is None else small_copy(file)
        return gradio.Image(shown, visible=shown is not None)

    page = gradio.Blocks(title=title, analytics_enabled=False, delete_cache=(KEPT_SECONDS // 6, KEPT_SECONDS))
    with page:
        gradio.Markdown(f'# {title}')
        kept = gradio.State(time_to_live=KEPT_SECONDS)
        with gradio.Row():
            with gradio.Column():
                what = ' or '.join(kind.value.removesuffix('s') for kind in kinds)
                file = gradio.File(label=f'{"An" if what[0] in "aeiou" else "A"} {what}', file_types=endings)
                score = gradio.Slider(
                    *(0, 1, task.page_score or 0),
                    step=0.01,
                    label='Confidence threshold',
                    visible=task.page_score is not None,
                )
                download = gradio.DownloadButton('Download all results (JSON)', interactive=False)
                original = gradio.Image(label='Your image', elem_id='original', format='png', visible=False, buttons=[])
            with gradio.Column():
                image = gradio.Image(
                    label='Found', elem_id='found', format='png', visible=False, buttons=['download', 'fullscreen']
                )
                video = gradio.Video(label='Found', visible=False, buttons=['download'])
                scores = gradio.Label(label='Classes', num_top_classes=SHOWN_CLASSES, visible=task.lists_classes)
                table = gradio.Dataframe(label='What was found', interactive=False, visible=False, wrap=True)
                took = gradio.Markdown()
        drawn = [image, video, table]
        file.change(preview, file, original, api_visibility='private', show_progress='hidden')
        file.change(answer, [file, score], [kept, *drawn, scores, download, took], api_name='predict')
        page.load(None, js=NAME_IMAGES)
        # Of many moves only the last one is drawn.
        score.change(draw, [kept, score], drawn, trigger_mode='always_last', api_visibility='private')
    return page


def _explained(function: Callable, name: str, *arguments: Any) -> Any:
    """Call a function for a visitor's file of this name; an error becomes a sentence on the page, without paths of the
    server."""
    import gradio

    try:
        return function(*arguments)
    except UserError as error:
        sentence = str(error)
        for argument in filter(lambda argument: isinstance(argument, str), arguments):
            sentence = sentence.replace(argument, name)
        raise gradio.Error(sentence, duration=None, print_exception=False) from error
    except Exception as error:
        print_log(f"Predicting '{name}' failed: {error!r}", logger='current', level=40)
        raise gradio.Error(
            f"The model failed on '{name}'; see the log of the server.", duration=None, print_exception=True
        ) from error
