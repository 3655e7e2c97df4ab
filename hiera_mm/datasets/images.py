"""Labelled and unlabelled images for mmaction2's recognisers, which take them as clips of one frame."""

from collections.abc import Callable, Sequence
from io import BytesIO

from hiera_mm.datasets.skip_broken import SkipBrokenFiles
from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers import tiff
from hiera_mm.readers.channels import channel_reader, decode_channels, loading_step
from hiera_mm.readers.class_names import numbers_by_name, with_class_names
from hiera_mm.readers.image_lists import read_images
from hiera_mm.readers.images import open_image, rgb_pixels

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS
from PIL import Image
from torchvision.transforms import InterpolationMode, v2


@DATASETS.register_module()
class ImageDataset(SkipBrokenFiles, BaseDataset):
    """Images with one label each, or without labels.

    Args:
        pipeline: Starts with :class:`ReadImage`.
        data_root: Folder that ``ann_file`` and ``data_prefix`` are relative to.
        ann_file: See :func:`~hiera_mm.readers.image_lists.read_images`; empty for one folder for each class.
        data_prefix: ``dict(img=FOLDER)``.
        metainfo: ``dict(classes=NAMES)``, a tuple or a file with one name a line, in the order in which the model
            numbers them; by default the classes of the folders or the file. If both exist, labels are matched by name.
        with_label: False for masked autoencoding.
        max_broken: See :class:`~hiera_mm.datasets.skip_broken.SkipBrokenFiles`.
        test_mode, lazy_init: As for mmengine's data sets.

    Raises:
        UserError: as :func:`~hiera_mm.readers.image_lists.read_images` and ``SkipBrokenFiles``.
    """

    files = 'images'

    def __init__(
        self,
        pipeline: list[dict | Callable],
        data_root: str = '',
        ann_file: str = '',
        data_prefix: dict | None = None,
        metainfo: dict | None = None,
        with_label: bool = True,
        max_broken: float = 0.05,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        self.with_label = with_label
        self.channel_files = loading_step(pipeline).get('channel_files')
        super().__init__(
            pipeline=pipeline,
            data_root=data_root,
            ann_file=ann_file,
            data_prefix=data_prefix or dict(img=''),
            metainfo=with_class_names(metainfo),
            max_broken=max_broken,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    @property
    def source(self) -> str:
        return self.ann_file or self.data_prefix['img']

    def load_data_list(self) -> list[dict]:
        """``[dict(img_path=..., label=...)]``, without ``label`` for unlabelled images."""
        found = read_images(self.data_prefix['img'], self.ann_file, self.with_label, self.channel_files)
        chosen = self._metainfo.get('classes')
        if found.classes is not None and chosen is None:
            self._metainfo['classes'] = found.classes
        elif found.classes is not None:
            numbers = numbers_by_name(found.classes, chosen, self.source)
            found = found._replace(
                entries=[(path, None if label is None else numbers[label]) for path, label in found.entries]
            )
        return [
            dict(img_path=path) if label is None else dict(img_path=path, label=label) for path, label in found.entries
        ]


@TRANSFORMS.register_module()
class ReadImage(BaseTransform):
    """Read ``img_path`` as RGB or other channels; adds ``imgs``, one frame, and the other keys that mmaction2's
    transforms need.

    Args:
        bit_depth: How many bits are used in grey images of 16 bits, such as 12; by default all, and an image that would
            then be nearly black is an error.
        channels, channel_files: As for :class:`hiera_mm.datasets.load_image.LoadImageFromFile`.

    Raises:
        BrokenFileError: for a file that is missing, truncated or not an image.
        UserError: for an image whose bit depth is ambiguous, or that has other channels.
    """

    def __init__(
        self, bit_depth: int | None = None, channels: int = 3, channel_files: Sequence[str] | None = None
    ) -> None:
        self.bit_depth = bit_depth
        self.reader = channel_reader(channels, channel_files)

    def transform(self, results: dict) -> dict:
        path = results['img_path']
        if self.reader is not None:
            # As stored, as RGB images are read here.
            return results | as_clip(self.reader.read(path, as_displayed=False))
        try:
            return results | as_clip(self._read(path, path))
        except FileNotFoundError as error:
            raise BrokenFileError(f"The image '{path}' does not exist; correct data_prefix or ann_file.") from error

    def decode(self, content: bytes) -> np.ndarray:
        """The pixels of a file's content, RGB ``(H, W, 3)`` or other channels, as stored.

        Raises:
            BrokenFileError, UnclearFileError: as :meth:`transform`.
        """
        if self.reader is not None:
            return self.reader.checked(decode_channels(content, 'given', as_displayed=False), 'given')
        return self._read(BytesIO(content), 'given')

    def _read(self, file: str | BytesIO, name: str) -> np.ndarray:
        if name.lower().endswith(tiff.ENDINGS) or isinstance(file, BytesIO):
            tiff.refuse_more_bands(file, name)
        try:
            with open_image(file) as image:
                return rgb_pixels(image, name, self.bit_depth)
        except FileNotFoundError:
            raise
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise BrokenFileError(
                f"The image '{name}' is damaged, truncated or not an image; replace it or take it out."
            ) from error


def as_clip(frame: np.ndarray) -> dict:
    """The keys that mmaction2's transforms need, for a clip of one frame ``(H, W, channels)``."""
    shape = frame.shape[:2]
    return dict(imgs=[frame], img_shape=shape, original_shape=shape, modality='RGB', num_clips=1, clip_len=1)


@TRANSFORMS.register_module()
class TorchvisionTransform(BaseTransform):
    """A transform of ``torchvision.transforms.v2`` on the one frame of ``imgs``.

    It gets a Pillow image, so that ``Resize`` and ``RandomResizedCrop`` antialias, as in the official data pipeline; of
    other channels than red, green and blue a tensor, which antialiases as well.

    Args:
        name: Name of the class, such as ``'RandomResizedCrop'``.
        arguments: Arguments of the class; ``interpolation`` is a name, such as ``'bicubic'``.

    Raises:
        UserError: for a name or an argument that torchvision does not have.
    """

    def __init__(self, name: str, **arguments: object) -> None:
        try:
            if 'interpolation' in arguments:
                arguments['interpolation'] = InterpolationMode(arguments['interpolation'])
            self.apply = getattr(v2, name)(**arguments)
        except (AttributeError, TypeError, ValueError) as error:
            raise UserError(
                f"The pipeline's TorchvisionTransform does not fit torchvision.transforms.v2: {error}."
            ) from error

    def transform(self, results: dict) -> dict:
        frames = [self._applied(frame) for frame in results['imgs']]
        return dict(results, imgs=frames, img_shape=frames[0].shape[:2])

    def _applied(self, frame: np.ndarray) -> np.ndarray:
        if frame.shape[2] == 3 and frame.dtype == np.uint8:
            return np.array(self.apply(Image.fromarray(frame)))
        changed = self.apply(torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1))))
        # A copy, as OpenCV refuses the strides of a view of one channel.
        return np.array(changed.numpy().transpose(1, 2, 0), order='C')
