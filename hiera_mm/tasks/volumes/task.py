"""Segmentation of volumes such as CT and MRI."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.checks import volumes
from hiera_mm.checks.fault import DataPart, Fault, Severity, classes_of
from hiera_mm.complexity import Parts, channels_of
from hiera_mm.datasets.volumes import VolumeDataset
from hiera_mm.errors import UserError
from hiera_mm.inference.data_sheet import Sheet
from hiera_mm.inference.prediction import Outcome
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.models.volume_encoder_decoder import VolumeEncoderDecoder
from hiera_mm.readers.inputs import Input
from hiera_mm.readers.volume_inputs import find_volume_inputs
from hiera_mm.rehearsal.stand_in import Artist
from hiera_mm.tasks.task import Task
from hiera_mm.tasks.volumes.data_sheet import draw_sheet
from hiera_mm.tasks.volumes.files import segment_volumes
from hiera_mm.tasks.volumes.forward_pass import training_loss, volume_complexity
from hiera_mm.tasks.volumes.stand_in import draw_volumes
from hiera_mm.tasks.volumes.volume_segmenter import VolumeSegmenter

from mmengine.config import Config, ConfigDict
from torch import Tensor

TINY_CHANNELS = 8
"""Channels of a tiny decoder at full resolution."""


class VolumesTask(Task):
    """Finds the class of every voxel of volumes."""

    name = 'segmentors of volumes'
    model_types = (VolumeEncoderDecoder,)

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]:
        return [('model.decoder.num_classes', model.decoder.num_classes)]

    def draw_sheet(self, dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> Sheet:
        return draw_sheet(dataset, scope, path) if issubclass(dataset_type, VolumeDataset) else Sheet(0)

    def check_of(self, dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None:
        return volumes.faults if issubclass(dataset_type, VolumeDataset) else None

    def faults_of_model(self, model: ConfigDict) -> Iterator[Fault]:
        taken, channels = model.decoder.get('image_channels', 1), channels_of(model)
        if model.decoder.get('type') == 'UNETRDecoder' and taken != channels:
            yield Fault(
                Severity.BLOCKS,
                f'model.decoder.image_channels is {taken}, but model.backbone.in_channels is {channels}; set channels '
                'at the top of the config instead, which sets both.',
            )

    def faults_between(self, datasets: Sequence[tuple[ConfigDict, type | None]]) -> Iterator[Fault]:
        of_volumes = [dataset for dataset, kind in datasets if kind and issubclass(kind, VolumeDataset)]
        return volumes.faults_between(of_volumes)

    def class_names(self, dataset: ConfigDict, dataset_type: type) -> list[str] | None:
        named = issubclass(dataset_type, VolumeDataset) and dataset.get('metainfo', {}).get('classes')
        return classes_of(dataset, dataset_type) if named else None

    def artist_of(self, dataset_type: type) -> Artist | None:
        return draw_volumes if issubclass(dataset_type, VolumeDataset) else None

    def map_takers(self, model: ConfigDict) -> Iterator[ConfigDict]:
        yield model.decoder

    def shrink(self, model: ConfigDict) -> None:
        model.decoder.channels = TINY_CHANNELS

    def input_shape(self, config: Config) -> tuple[int, int]:
        return tuple(config.model.test_cfg.crop_size[-2:])

    def complexity(self, model: ConfigDict, shape: Sequence[int] | None) -> tuple[Parts, Sequence[int]]:
        size = tuple(model.test_cfg.crop_size[-2:])
        if shape and tuple(shape) != size:
            raise UserError('Volumes are computed in crops of model.test_cfg.crop_size; set that instead of --shape.')
        return volume_complexity(model), size

    def training_loss(self, model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
        return training_loss(model, config, batch, shape)

    def predictor(self, trained: TrainedModel, classes: Any) -> VolumeSegmenter:
        return VolumeSegmenter(trained, classes)

    def find_inputs(self, predictor: VolumeSegmenter, given: Sequence[str]) -> list[Input]:
        return find_volume_inputs(given, channels_of(predictor.trained.config.model))

    def predict_files(
        self, predictor: VolumeSegmenter, inputs: Sequence[Input], folder: Path, options: Mapping[str, Any]
    ) -> Outcome:
        return segment_volumes(predictor, inputs, folder)

    def hub_name(self, trained: TrainedModel) -> str:
        return self.in_words(trained.config).replace(' ', '-')

    def in_words(self, config: Config) -> str:
        return 'volume segmentation'

    def pipeline_tag(self, trained: TrainedModel) -> str:
        return 'image-segmentation'

    def example(self, trained: TrainedModel) -> str:
        channels = channels_of(trained.config.model)
        files = ', '.join(f"'scan_{channel:04d}.nii.gz'" for channel in range(channels))
        return "'ct.nii.gz'" if channels == 1 else f'[({files})]'
