"""Volumes with a class label for every voxel, prepared by MONAI's transforms."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from hiera_mm.datasets.some_channels import OnChannels
from hiera_mm.errors import BrokenFileError, UserError, first_line, require_extra
from hiera_mm.readers.class_names import with_class_names
from hiera_mm.readers.listed_volumes import VolumePair, read_volume_list
from hiera_mm.readers.volume_grids import axes_turn, check_alignment, check_channels, same_grid
from hiera_mm.readers.volume_labels import check_label_values
from hiera_mm.readers.volumes import Header, check_finite, read_header

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS
from mmengine.structures import BaseDataElement

THREADS = 4
"""How many volumes are prepared at once."""

MAX_CLASSES = 256


@DATASETS.register_module()
class VolumeDataset(BaseDataset):
    """A list of volumes in the Medical Segmentation Decathlon's format, see
    :func:`hiera_mm.readers.listed_volumes.read_volume_list`.

    The results of the steps before the first random one are cached in memory (MONAI's ``CacheDataset``).

    Args:
        ann_file: The JSON file.
        data_root: Folder that ``ann_file`` is relative to.
        data_list_key: ``'training'``, ``'validation'`` or ``'test'``.
        fold: Which of the folds in ``training`` is ``'validation'``; None for a file that has these parts itself.
        channels: How many channels each volume must have; None for any number.
        metainfo: ``classes``, the names or a file of them, 0 being the background; by default those in the JSON file.
        pipeline: ``LoadVolumes``, then MONAI's transforms of the keys ``image`` and ``label``, as ``MonaiTransform``;
            axes are ``(channels, X, Y, Z)``.
        with_label: Whether to read labels; False for masked autoencoding.
        cache_rate: Share of the volumes that is cached in memory.
        **more: As for mmengine's ``BaseDataset``.

    Raises:
        UserError: without MONAI, for a list or files that can't be used, labels that don't fit their image or the
            classes, or a failing step.
    """

    def __init__(
        self,
        ann_file: str,
        data_root: str = '',
        data_list_key: str = 'training',
        fold: int | None = None,
        channels: int | None = None,
        metainfo: dict | None = None,
        pipeline: Sequence[dict] = (),
        with_label: bool = True,
        cache_rate: float = 1.0,
        **more: Any,
    ) -> None:
        self.data_list_key, self.fold, self.channels = data_list_key, fold, channels
        self.with_label, self.cache_rate = with_label, cache_rate
        self.steps = volume_steps(pipeline)
        super().__init__(ann_file, metainfo=with_class_names(metainfo), data_root=data_root, **more)

    def full_init(self) -> None:
        """Read the list and fill the cache."""
        if self._fully_initialized:
            return
        super().full_init()
        from monai.data import CacheDataset

        items = [dict(self.get_data_info(number)) for number in range(len(self))]
        with explained_steps():
            self.prepared = CacheDataset(
                items, self.steps, cache_rate=self.cache_rate, num_workers=THREADS, progress=False
            )

    def load_data_list(self) -> list[dict]:
        """The input of the pipeline for each volume, see :func:`pipeline_input`."""
        listed = read_volume_list(self.ann_file, self.data_list_key, self.with_label, self.fold)
        classes = self._metainfo.get('classes') or listed.classes
        if self.with_label and not classes:
            raise UserError(
                f"The classes of the labels are not named; give the list of volumes '{self.ann_file}' "
                '"labels": {"0": "background", ...}, or set metainfo = dict(classes=(...)) of its data set.'
            )
        if classes and len(classes) > MAX_CLASSES:
            raise UserError(
                f"The list of volumes '{self.ann_file}' has {len(classes)} classes, but there can be {MAX_CLASSES}, "
                'as labels are held in bytes; join some.'
            )
        self._metainfo['classes'] = tuple(classes or ())
        return [pipeline_input(pair, len(classes or ()), self.channels) for pair in listed.pairs]

    def prepare_data(self, idx: int) -> dict:
        """``inputs`` and ``data_samples`` as :class:`hiera_mm.models.VolumeEncoderDecoder` takes them."""
        # MONAI's own generators would be the same in every process.
        self.steps.set_random_state(seed=int(np.random.randint(2**31)))
        with explained_steps():
            return packed(self.prepared[idx])


@TRANSFORMS.register_module()
class LoadVolumes:
    """Read an image, and its labels if there are any, from NIfTI files as MONAI's tensors ``(channels, X, Y, Z)`` with
    their affines. The channels of several files are joined on the first file's grid.

    Raises:
        BrokenFileError: for a file that can't be read.
        UserError: for files that don't show one place, another number of channels, labels that don't lie where the
            image does or are not classes, and for voxels that are not finite.
    """

    def __call__(self, item: dict) -> dict:
        """Replace the paths ``image`` and ``label`` by tensors; adds ``source``, the path of the image's first file."""
        from monai.data import MetaTensor
        from monai.transforms import LoadImage
        from nibabel.orientations import apply_orientation

        pair = VolumePair(tuple(item['image']), item.get('label'))
        headers = check_alignment(pair)
        if item.get('channels') is not None:
            check_channels(pair, headers, item['channels'])
        read = LoadImage(image_only=True, ensure_channel_first=True)
        files = [_image(read, path, header) for path, header in zip(pair.images, headers, strict=True)]
        image = torch.cat([_on_grid(file, header, headers[0]) for file, header in zip(files, headers, strict=True)])
        affine = torch.as_tensor(headers[0].affine)
        loaded = dict(item, image=MetaTensor(image, affine=affine), source=pair.images[0])
        if pair.label is not None:
            labels = _read(read, pair.label)
            turn = axes_turn(headers[0], read_header(pair.label))
            labels = torch.as_tensor(np.ascontiguousarray(apply_orientation(labels.numpy()[0], turn)))[None]
            check_label_values(pair.label, labels.numpy(), item['num_classes'])
            # Both lie in the same place, so rounding errors in the affine must not lead to different sizes.
            loaded['label'] = MetaTensor(labels.to(torch.uint8), affine=affine)
        return loaded


@TRANSFORMS.register_module(name='MonaiTransform')
def monai_transform(name: str, channels: Sequence[int] | None = None, **settings: Any) -> Any:
    """Build one of MONAI's dictionary transforms that crop, pad, change geometry or intensities, from
    ``dict(type='MonaiTransform', name='Spacingd', ...)``. Others are refused, since some call whatever a config names.

    Args:
        name: Name of the class in ``monai.transforms``.
        channels: Numbers of the channels whose intensities are changed; None for all.
        **settings: Its arguments.

    Raises:
        UserError: without MONAI, for another name, or settings that the class refuses.
    """
    known = monai_transforms()
    if name not in known:
        close = get_close_matches(name, known, n=1)
        raise UserError(
            f"The pipeline has MONAI's '{name}', which is not one of its dictionary transforms that crop, pad, "
            f'change geometry or intensities; {f"did you mean {close[0]}?" if close else "use one of those."}'
        )
    try:
        step = known[name](**settings)
    except (TypeError, ValueError) as error:
        raise UserError(f"MONAI's '{name}' does not accept its settings: {first_line(str(error))}.") from error
    return step if channels is None else OnChannels(step, channels)


def monai_transforms() -> dict[str, type]:
    """MONAI's dictionary transforms that crop, pad, change geometry or intensities, by name.

    Raises:
        UserError: without MONAI.
    """
    require_extra('monai', 'volumes')
    from monai.transforms import MapTransform
    from monai.transforms.croppad import dictionary as croppad
    from monai.transforms.intensity import dictionary as intensity
    from monai.transforms.spatial import dictionary as spatial

    return {
        key: transform
        for part in (croppad, intensity, spatial)
        for key, transform in vars(part).items()
        if isinstance(transform, type) and issubclass(transform, MapTransform) and key.endswith('d')
    }


def volume_steps(pipeline: Sequence[dict]) -> Any:
    """MONAI's ``Compose`` of a config's steps."""
    require_extra('monai', 'volumes')
    from monai.transforms import Compose, Transform

    # MONAI does not cache the results of steps that are not its own, or of the steps after them.
    for own in (LoadVolumes, OnChannels):
        Transform.register(own)
    return Compose([TRANSFORMS.build(step) for step in pipeline])


def pipeline_input(pair: VolumePair, num_classes: int, channels: int | None = None) -> dict:
    """The input of a pipeline.

    Args:
        pair: The files.
        num_classes: Classes of the labels.
        channels: How many channels the image must have; None for any number.
    """
    labels = {} if pair.label is None else dict(label=pair.label)
    return dict(image=pair.images, num_classes=num_classes, channels=channels, **labels)


def packed(views: dict | list[dict]) -> dict:
    """Pack a pipeline's output, one volume or several crops of it, for a model: slices first, like frames of a clip.

    Returns:
        ``inputs`` ``(views, channels, Z, Y, X)``, and ``data_samples`` with ``label`` ``(views, 1, Z, Y, X)``,
        ``image_path``, and the ``affine`` of the first view.
    """
    views = views if isinstance(views, list) else [views]
    first = views[0]['image']
    sample = BaseDataElement(metainfo=dict(image_path=views[0]['source'], affine=first.affine.numpy()))
    if 'label' in views[0]:
        sample.label = _slices_first([view['label'] for view in views])
    return dict(inputs=_slices_first([view['image'] for view in views]), data_samples=sample)


@contextmanager
def explained_steps() -> Iterator[None]:
    """Turn the error of a failing step into a ``UserError``, or re-raise the one that caused it."""
    try:
        yield
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(
            f'A step of the pipeline of volumes fails: {type(cause).__name__}: {first_line(str(cause))} ({error}); '
            'correct the step.'
        ) from error


def _read(read: Any, path: str) -> Any:
    try:
        return read(path)
    except Exception as error:  # The libraries that MONAI reads with raise their own errors.
        raise BrokenFileError(f"The volume '{path}' can't be read: {first_line(str(error))}.") from error


def _image(read: Any, path: str, header: Header) -> Any:
    """One file of an image, with its affine in millimetres."""
    voxels = _read(read, path)
    check_finite(path, voxels.numpy())
    voxels.affine = torch.as_tensor(header.affine)
    return voxels


def _on_grid(voxels: Any, header: Header, first: Header) -> torch.Tensor:
    """The voxels of a file at the places of the first file's, linearly interpolated where these are others, and with
    the file's lowest intensity where it has none."""
    from monai.transforms import SpatialResample

    if same_grid(first, header):
        return voxels.as_tensor()
    lowest = voxels.min().as_tensor()
    resample = SpatialResample(mode='bilinear', padding_mode='zeros')
    placed: Any = resample(voxels - lowest, dst_affine=torch.as_tensor(first.affine), spatial_size=first.shape[:3])
    return placed.as_tensor() + lowest


def _slices_first(views: Sequence[Any]) -> torch.Tensor:
    return torch.stack([view.as_tensor() for view in views]).permute(0, 1, 4, 3, 2).contiguous()
