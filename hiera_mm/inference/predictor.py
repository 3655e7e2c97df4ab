"""From the name of a model to an object that predicts."""

from collections.abc import Mapping, Sequence

from hiera_mm.datasets.ava import AVAClipDataset
from hiera_mm.errors import UserError
from hiera_mm.inference.action_detector import ActionDetector
from hiera_mm.inference.classifier import Classifier
from hiera_mm.inference.detector import Detector
from hiera_mm.inference.exported import ExportedClassifier, ExportedDetector
from hiera_mm.inference.segmenter import Segmenter
from hiera_mm.inference.trained import load_model
from hiera_mm.inference.volume_segmenter import VolumeSegmenter
from hiera_mm.models import MaskedAutoencoder, VolumeSegmentor
from hiera_mm.program import command_line

from mmaction.models import BaseRecognizer
from mmdet.models.detectors import BaseDetector

Predictor = Detector | Segmenter | Classifier | ActionDetector | VolumeSegmenter


def load(
    model: str,
    config: str | None = None,
    device: str | None = None,
    classes: Sequence[str] | Mapping[int, str] | None = None,
) -> Predictor:
    """A trained model with a method ``predict``.

    Args:
        model: A checkpoint of a run, or the folder of one, whose newest is taken; a folder that ``hiera-mm publish``
            wrote, or the ``hf://OWNER/NAME`` of one; with ``config`` any checkpoint.
        config: Name or path of its config, where the file does not hold it.
        device: Such as ``'cuda:0'``; by default a GPU if there is one.
        classes: Their names, in the order of training, or by number for an action detector; by default those of its
            training.

    Returns:
        A :class:`~hiera_mm.inference.detector.Detector`, a :class:`~hiera_mm.inference.segmenter.Segmenter`, a
        :class:`~hiera_mm.inference.classifier.Classifier`, an
        :class:`~hiera_mm.inference.action_detector.ActionDetector` or a
        :class:`~hiera_mm.inference.volume_segmenter.VolumeSegmenter`.

    Raises:
        UserError: for what is no trained model of one of these kinds, or can't be read.
    """
    trained = load_model(model, config, device)
    kind = trained.kind_of_test_set if trained.config.get('test_dataloader') else None
    if kind is not None and issubclass(kind, AVAClipDataset):
        return ActionDetector(trained, dict(classes) if isinstance(classes, Mapping) else None)
    if isinstance(trained.model, BaseRecognizer | ExportedClassifier):
        return Classifier(trained, _list(classes))
    if isinstance(trained.model, BaseDetector | ExportedDetector):
        return Detector(trained, _list(classes))
    if 'decode_head' in trained.config.model:
        return Segmenter(trained, _list(classes))
    if isinstance(trained.model, VolumeSegmentor):
        return VolumeSegmenter(trained, _list(classes))
    hint = (
        f'; {command_line("visualize-mae")} shows what it fills in'
        if isinstance(trained.model, MaskedAutoencoder)
        else ''
    )
    raise UserError(
        f"'{model}' is a {type(trained.model).__name__}, which predicts neither objects nor regions nor classes nor "
        f'actions{hint}.'
    )


def _list(classes: Sequence[str] | Mapping[int, str] | None) -> list[str] | None:
    return list(classes.values()) if isinstance(classes, Mapping) else None if classes is None else list(classes)
