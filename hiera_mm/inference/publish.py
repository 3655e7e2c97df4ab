"""Writes a trained model as a folder for others: weights, settings as data, and a model card."""

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

KEPT_TEST_SET_KEYS = ('type', 'pipeline', 'metainfo', 'test_mode', 'fps', 'num_classes', 'timestamp_start')
"""Keys of a test set that describe the model rather than the location of the data."""

EXAMPLE = 'example.jpg'


def publish(predictor: Predictor, folder: Path, licence: str | None = None, example: str | None = None) -> dict:
    """Write ``model.safetensors``, ``config.py``, ``hiera_mm.json`` and a ``README.md`` for the Hugging Face hub.

    Args:
        predictor: A predictor from :func:`hiera_mm.load`.
        folder: A folder that does not exist yet.
        licence: Licence by its name on the hub, such as ``'apache-2.0'``; by default that of the initial weights.
            Models trained from weights under CC BY-NC are under it as well.
        example: An image for the card, shown with its prediction.

    Returns:
        The content of ``hiera_mm.json``.

    Raises:
        UserError: if the folder exists, or the initial weights don't allow the licence.
        BrokenFileError: if the example can't be read.
    """
    if folder.exists():
        raise UserError(f"'{folder}' already exists; name a new folder, or remove it.")
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
    # Only the names of files, not their paths on this machine.
    described[ORIGINS_KEY] = [dict(origin, source=Path(origin['source']).name) for origin in trained.origins]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f'{folder.name}.', suffix=ENDING, dir=folder.parent) as unfinished:
        whole = Path(unfinished, folder.name)
        whole.mkdir()
        # Copies, as the format does not allow shared tensors.
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
    """The validation metrics of exactly these weights, from the log next to a run's checkpoint; empty if not found.

    Args:
        checkpoint: A checkpoint of the run, or its folder.
        meta: The checkpoint's ``meta``.
    """
    run = checkpoint if checkpoint.is_dir() else checkpoint.parent
    entries = read_entries(run)[::-1]
    # A validation's step is the iteration, or in runs by epochs the epoch; entries of training have a learning rate.
    # By default mmengine writes step 0 for every validation of a run by iterations.
    for step in filter(None, (meta.get('iter'), meta.get('epoch'))):
        for entry in entries:
            if 'lr' not in entry and entry.get('step') == step:
                return {key: value for key, value in entry.items() if key not in ('step', 'time', 'data_time')}
    return {}


def names_of(predictor: Predictor) -> dict:
    """``classes`` in order, or ``actions`` by number."""
    return {predictor.trained.task.names_key: predictor.names}


def _licence(origins: Sequence[Origin], wanted: str | None) -> str | None:
    """The hub's name of the licence; None if it is unknown.

    Raises:
        UserError: for a licence that the origins forbid.
    """
    held = [origin for origin in origins if origin['licence'] == NON_COMMERCIAL]
    if held and wanted not in (None, _HUB_LICENCES[NON_COMMERCIAL]):
        raise UserError(
            f"Training began with '{held[0]['source']}', whose licence {NON_COMMERCIAL} forbids commercial use of what "
            f"is made from it, so the model can't be published under '{wanted}'; leave --license out."
        )
    if wanted or held:
        return wanted or _HUB_LICENCES[NON_COMMERCIAL]
    known = {origin['licence'] for origin in origins}
    return _HUB_LICENCES.get(next(iter(known)) or '') if len(known) == 1 else None


_HUB_LICENCES = {NON_COMMERCIAL: 'cc-by-nc-4.0', 'Apache-2.0': 'apache-2.0'}
"""Licence names on the Hugging Face hub."""


def settings_of(trained: TrainedModel) -> Config:
    """The parts of a config that inference needs: nothing about training, and no paths of this machine."""
    config, test_set = trained.config, trained.test_set
    dataset = {key: test_set[key] for key in KEPT_TEST_SET_KEYS if key in test_set}
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
        raise UserError('--example is for models whose predictions can be drawn on an image; leave it out.')
    result = task.page_result(predictor, example, Kind.IMAGE, None)
    assert isinstance(result, ImageResult)
    return Image.fromarray(result.drawn(0.5))
