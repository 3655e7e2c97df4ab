"""Masked autoencoding of images, clips and volumes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.checks.fault import class_of
from hiera_mm.complexity import Parts
from hiera_mm.datasets.volumes import VolumeDataset
from hiera_mm.errors import UserError
from hiera_mm.inference.prediction import Outcome
from hiera_mm.inference.trained import PageResult, TrainedModel
from hiera_mm.models.mae import MaskedAutoencoder
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.tasks.autoencoding.files import reconstruct_files
from hiera_mm.tasks.autoencoding.forward_pass import autoencoder_complexity, training_loss
from hiera_mm.tasks.autoencoding.reconstruction import Reconstructor
from hiera_mm.tasks.unlabelled import UnlabelledTask

from mmengine.config import Config, ConfigDict
from PIL import Image
from torch import Tensor

TINY_DECODER = dict(decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2)


class AutoencodingTask(UnlabelledTask):
    """Reconstructs masked parts of images, clips or volumes."""

    name = 'masked autoencoders'
    model_types = (MaskedAutoencoder,)
    options = dict(seed=0)
    draws_images = True

    def shrink(self, model: ConfigDict) -> None:
        model.update(TINY_DECODER)

    def shrink_input(self, config: Config, scaled: Callable) -> None:
        # Volumes get fewer slices as well; clips keep their frames.
        kind = class_of(config.train_dataloader.dataset, config.get('default_scope'))
        *depth, height, width = config.model.input_size
        depth = scaled(depth) if kind and issubclass(kind, VolumeDataset) else depth
        config.model.input_size = (*depth, *scaled((height, width)))

    def input_shape(self, config: Config) -> tuple[int, int]:
        return tuple(config.model.input_size[-2:])

    def complexity(self, model: ConfigDict, shape: Sequence[int] | None) -> tuple[Parts, Sequence[int]]:
        size = tuple(model.input_size[-2:])
        if shape and tuple(shape) != size:
            raise UserError("A masked autoencoder's size is its input_size; set model.input_size instead of --shape.")
        return autoencoder_complexity(model), size

    def training_loss(self, model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
        return training_loss(model, config, batch, shape)

    def predictor(self, trained: TrainedModel, classes: Any) -> Reconstructor:
        if classes is not None:
            raise UserError(f"'{trained.source}' is a masked autoencoder, which has no classes; leave --classes out.")
        return Reconstructor(trained)

    def predict_files(
        self, predictor: Reconstructor, inputs: Sequence[Input], folder: Path, options: Mapping[str, Any]
    ) -> Outcome:
        return reconstruct_files(predictor, inputs, folder, options['seed'])

    def page_result(self, predictor: Reconstructor, path: str, kind: Kind, persons: Any) -> PageResult:
        return ReconstructionResult(predictor.predict(path))

    def in_words(self, config: Config) -> str:
        return 'masked autoencoding'


class ReconstructionResult:
    """A :class:`Reconstruction` for the web page."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def results(self) -> dict:
        return dict(loss=self.found.loss)

    def rows(self, score_thr: float) -> list[dict[str, Any]]:
        return []

    def write(self, path: Path, score_thr: float) -> Path:
        path = path.with_suffix('.png')
        Image.fromarray(self.found.image).save(path)
        return path
