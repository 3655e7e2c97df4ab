"""A trained model as a folder that others can use: weights alone, settings as data, and a card."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hiera_mm.atomic_write import ENDING
from hiera_mm.errors import UserError
from hiera_mm.inference.card import card_of
from hiera_mm.inference.page_results import ImageResult
from hiera_mm.inference.trained import Predictor, TrainedModel
from hiera_mm.inference.training_log import read_entries
from hiera_mm.readers.inputs import Kind
from hiera_mm.version import __version__
from hiera_mm.weights.files import write_checkpoint
from hiera_mm.weights.origin import ORIGINS_KEY, Origin
from hiera_mm.weights.published import CONFIG, DESCRIPTION, WEIGHTS
from hiera_mm.weights.zoo import NON_COMMERCIAL

from mmengine.config import Config
from PIL import Image

KEPT_OF_TEST_SET = ('type', 'pipeline', 'metainfo', 'test_mode', 'fps', 'num_classes', 'timestamp_start')
"""What a test set says of the model, and not of where the data lie."""

EXAMPLE = 'example.jpg'


def publish(predictor: Predictor, folder: Path, licence: str | None = None, example: str | None = None) -> dict:
    """Write ``model.safetensors``, ``config.py``, ``hiera_mm.json`` and a ``README.md`` for the Hugging Face hub.

    Args:
        predictor: What :func:`hiera_mm.load` gives.
        folder: A folder that does not exist yet.
        licence: As the hub names it, such as ``'apache-2.0'``; by default that of the weights which training began
            with. What is trained from weights under CC BY-NC is under it as well.
        example: An image for the card, on which the prediction is drawn.

    Returns:
        What ``hiera_mm.json`` holds.

    Raises:
        UserError: if the folder exists, or the licence is not one that the weights allow.
        BrokenFileError: if the example can't be read.
    """
    if folder.exists():
        raise UserError(f"'{folder}' exists already; name a new folder, or remove it.")
    trained = predictor.trained
    described: dict[str, Any] = dict(
        hiera_mm=__version__,
        task=trained.task.hub_name(trained),
        **names_of(predictor),
        licence=_licence(trained.origins, licence),
        metrics=metrics_of(Path(trained.source), trained.meta),
        iteration=trained.meta.get('iter'),
        parameters=sum(parameter.numel() for parameter in trained.model.parameters()),
    )
    # Where a file lay on this machine concerns nobody.
    described[ORIGINS_KEY] = [dict(origin, source=Path(origin['source']).name) for origin in trained.origins]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f'{folder.name}.', suffix=ENDING, dir=folder.parent) as unfinished:
        whole = Path(unfinished, folder.name)
        whole.mkdir()
        # Copies, as the format holds no tensor twice.
        state = {key: value.detach().cpu().clone() for key, value in trained.model.state_dict().items()}
        write_checkpoint(state, whole / WEIGHTS)
        (whole / CONFIG).write_text(settings_of(trained).pretty_text, encoding='utf-8')
        (whole / DESCRIPTION).write_text(json.dumps(described, indent=1), encoding='utf-8')
        if example is not None:
            _drawn(predictor, example).save(whole / EXAMPLE, quality=90)
        card = card_of(described, trained, EXAMPLE if example else None)
        (whole / 'README.md').write_text(card, encoding='utf-8')
        whole.rename(folder)
    return described


def metrics_of(checkpoint: Path, meta: Mapping[str, Any]) -> dict[str, float]:
    """What validation gave for these very weights, as the log beside a run's checkpoint tells; empty where it does not.

    Args:
        checkpoint: Of the run, or its folder.
        meta: The checkpoint's.
    """
    run = checkpoint if checkpoint.is_dir() else checkpoint.parent
    entries = read_entries(run)[::-1]
    # A validation's step is the iteration, or in runs of epochs the epoch; training's entries have a rate.
    # Step 0 is what mmengine writes for every validation of a run of iterations, unless told otherwise.
    for step in filter(None, (meta.get('iter'), meta.get('epoch'))):
        for entry in entries:
            if 'lr' not in entry and entry.get('step') == step:
                return {key: value for key, value in entry.items() if key not in ('step', 'time', 'data_time')}
    return {}


def names_of(predictor: Predictor) -> dict:
    """``classes`` in order, or ``actions`` by number."""
    return {predictor.trained.task.names_key: predictor.names}


def _licence(origins: Sequence[Origin], wanted: str | None) -> str | None:
    """The hub's name of the licence; None where nobody knows it.

    Raises:
        UserError: for one that the origins forbid.
    """
    held = [origin for origin in origins if origin['licence'] == NON_COMMERCIAL]
    if held and wanted not in (None, _HUB[NON_COMMERCIAL]):
        raise UserError(
            f"Training began with '{held[0]['source']}', whose licence {NON_COMMERCIAL} forbids commercial use of what "
            f"is made from it, so the model can't be published under '{wanted}'; leave --license out."
        )
    if wanted or held:
        return wanted or _HUB[NON_COMMERCIAL]
    known = {origin['licence'] for origin in origins}
    return _HUB.get(next(iter(known)) or '') if len(known) == 1 else None


_HUB = {NON_COMMERCIAL: 'cc-by-nc-4.0', 'Apache-2.0': 'apache-2.0'}
"""Licences by the names that the Hugging Face hub has for them."""


def settings_of(trained: TrainedModel) -> Config:
    """What of a config others need: nothing of training, and no path of this machine."""
    config, test_set = trained.config, trained.test_set
    dataset = {key: test_set[key] for key in KEPT_OF_TEST_SET if key in test_set}
    kept = {key: config[key] for key in ('default_scope', 'visualizer') if key in config}
    sampler = dict(type='DefaultSampler', shuffle=False)
    kept |= dict(
        custom_imports=dict(imports=['hiera_mm'], allow_failed_imports=False),
        model=config.model,
        test_dataloader=dict(batch_size=1, num_workers=0, sampler=sampler, dataset=dataset),
    )
    return Config(kept)


def _drawn(predictor: Predictor, example: str) -> Image.Image:
    task = predictor.trained.task
    if not task.draws_images:
        raise UserError('--example is for what can be drawn on an image, objects or regions; leave it out.')
    result = task.page_result(predictor, example, Kind.IMAGE, None)
    assert isinstance(result, ImageResult)
    return Image.fromarray(result.drawn(0.5))
