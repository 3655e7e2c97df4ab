"""Lists of videos as mmaction2 reads them, with broken ones named."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from hiera_mm.datasets.frame_folder import FrameFolder
from hiera_mm.datasets.video_files import BrokenVideoError, open_video
from hiera_mm.errors import UserError

import numpy as np
from mmaction.datasets import VideoDataset
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmengine.registry import DATASETS, TRANSFORMS

TRIED_BEFORE_STOPPING = 20
"""Videos that a process tries before it may say that too many are broken."""


class SkipBrokenVideos:
    """For data sets of videos: in training, one that can't be read is named and counted in the log, and another one
    taken in its place; in testing it is an error.

    Args:
        max_broken: Share of the videos tried that may be broken before training stops.

    Raises:
        UserError: while training, for too many broken videos.
        BrokenVideoError: in test mode, for the first broken video.
    """

    def __init__(self, *args, max_broken: float, **kwargs) -> None:
        self.max_broken = max_broken
        self.tried, self.broken = 0, 0
        super().__init__(*args, **kwargs)

    def prepare_data(self, index: int) -> dict | list[dict] | None:
        """One sample, or with repeats a list of as many; None to have another video taken."""
        self.tried += 1
        try:
            return self._samples(index)
        except BrokenVideoError as error:
            if self.test_mode:
                raise
            self.broken += 1
            print_log(f'Skipped, {self.broken} of {self.tried} so far: {error}', logger='current', level=30)
            if self.tried >= TRIED_BEFORE_STOPPING and self.broken > self.max_broken * self.tried:
                raise UserError(
                    f"{self.broken} of the {self.tried} videos tried from '{self.ann_file}' can't be read, more than "
                    f'max_broken={self.max_broken} allows (tools/check_dataset.py names them all); the last: {error}'
                ) from error
            return None

    def _samples(self, index: int) -> dict | list[dict]:
        return super().prepare_data(index)


@DATASETS.register_module()
class ClipDataset(SkipBrokenVideos, VideoDataset):
    """Videos with one label each, from lines ``path label`` (the path may hold spaces).

    Args:
        ann_file: The list, in mmaction2's format.
        pipeline: Begins with :class:`OpenVideo`.
        data_prefix: ``dict(video=FOLDER)``.
        num_repeats: Clips taken of each video (repeated augmentation, arXiv 1901.09335); with more than 1 the data
            loader needs ``collate_fn=dict(type='repeat_pseudo_collate')``.
        max_broken: See :class:`SkipBrokenVideos`.
        test_mode: As for mmaction2's data sets.

    Raises:
        UserError: for a line without a label, and as :class:`SkipBrokenVideos`.
    """

    def __init__(
        self,
        ann_file: str,
        pipeline: list[dict | Callable],
        data_prefix: dict | None = None,
        num_repeats: int = 1,
        max_broken: float = 0.05,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        self.num_repeats = num_repeats
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix=data_prefix or dict(video=''),
            max_broken=max_broken,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def load_data_list(self) -> list[dict]:
        """``[dict(filename=..., label=...)]`` in the list's order."""
        return [
            dict(filename=str(Path(self.data_prefix['video'], name)), label=label)
            for name, label in read_video_list(self.ann_file)
        ]

    def _samples(self, index: int) -> dict | list[dict]:
        open_video, *others = self.pipeline.transforms
        opened = open_video(self.get_data_info(index))
        samples = []
        for _ in range(self.num_repeats):
            sample = {key: value if key == 'video_reader' else deepcopy(value) for key, value in opened.items()}
            for transform in others:
                sample = transform(sample)
            samples.append(sample)
        return samples if self.num_repeats > 1 else samples[0]


def read_video_list(path: str | Path) -> list[tuple[str, int]]:
    """Names and labels of a list in mmaction2's format, ``path label`` a line.

    Raises:
        UserError: for a missing file, or a line without a whole number at its end.
    """
    if not Path(path).is_file():
        raise UserError(
            f"The video list '{path}' does not exist; make one with tools/make_video_list.py, or correct ann_file."
        )
    entries = []
    for number, line in enumerate(Path(path).read_text(encoding='utf-8').splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(' ')
        if not name or not label.isdigit():
            raise UserError(
                f"Line {number} of the video list '{path}' is '{line.strip()}'; each line must be a path, a space and "
                f'the number of a class.'
            )
        entries.append((name, int(label)))
    if not entries:
        raise UserError(f"The video list '{path}' is empty; make one with tools/make_video_list.py.")
    return entries


@TRANSFORMS.register_module()
class OpenVideo(BaseTransform):
    """Open ``filename``, or the frames in ``frame_dir``; adds ``video_reader``, ``total_frames`` and ``avg_fps``.

    Args:
        min_frames: A video with fewer frames than this, those of a clip, counts as broken.

    Raises:
        BrokenVideoError: for a missing file or folder, one that is no video or has no frames, or one that is too short.
    """

    def __init__(self, min_frames: int = 1) -> None:
        self.min_frames = min_frames

    def transform(self, results: dict) -> dict:
        if 'frame_dir' in results:
            naming = (results['filename_tmpl'], results['start_index'])
            reader = FrameFolder(results['frame_dir'], *naming, rate=results['fps'])
        else:
            reader = open_video(results['filename'])
        if len(reader) < self.min_frames:
            raise BrokenVideoError(
                f"The video '{reader.path}' has {len(reader)} frames, fewer than the {self.min_frames} of a "
                f'clip; take it out of the list.'
            )
        return dict(results, video_reader=reader, total_frames=len(reader), avg_fps=reader.rate)


@TRANSFORMS.register_module()
class ReadFrames(BaseTransform):
    """Read the frames ``frame_inds`` of ``video_reader``; adds ``imgs``, RGB, and their shapes."""

    def transform(self, results: dict) -> dict:
        indices = np.asarray(results['frame_inds']).reshape(-1)
        frames = results['video_reader'].frames(indices)
        results = {key: value for key, value in results.items() if key != 'video_reader'}
        shape = frames[0].shape[:2]
        return dict(results, frame_inds=indices, imgs=frames, original_shape=shape, img_shape=shape)
