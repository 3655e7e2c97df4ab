"""Lists of videos as mmaction2 reads them, with broken ones named."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from hiera_mm.datasets.skip_broken import SkipBrokenFiles
from hiera_mm.readers.class_names import with_class_names
from hiera_mm.readers.frame_folders import FrameFolder
from hiera_mm.readers.frames import FrameReader, FramesInMemory, count_steps, frames_at_steps
from hiera_mm.readers.labelled_lists import read_named_list
from hiera_mm.readers.videos import open_video

import numpy as np
from mmaction.datasets import VideoDataset
from mmaction.datasets.transforms import SampleFrames
from mmcv.transforms import BaseTransform
from mmengine.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class ClipDataset(SkipBrokenFiles, VideoDataset):
    """Videos with one label each, from lines ``path label`` (the path may hold spaces).

    Args:
        ann_file: The list, in mmaction2's format.
        pipeline: Begins with :class:`OpenVideo`.
        data_prefix: ``dict(video=FOLDER)``.
        num_repeats: Clips taken of each video (repeated augmentation, arXiv 1901.09335); with more than 1 the data
            loader needs ``collate_fn=dict(type='repeat_pseudo_collate')``.
        metainfo: ``dict(classes=NAMES)``, a tuple or a file with one a line, in the order in which the model numbers
            them; by default those that lie beside the list (``LIST.classes``). Where both are there, the list's labels
            are told by name.
        max_broken: See :class:`SkipBrokenFiles`.
        test_mode: As for mmaction2's data sets.

    Raises:
        UserError: for a line without a label, a label without a name, and as :class:`SkipBrokenFiles`.
    """

    def __init__(
        self,
        ann_file: str,
        pipeline: list[dict | Callable],
        data_prefix: dict | None = None,
        metainfo: dict | None = None,
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
            metainfo=metainfo,
            max_broken=max_broken,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        return super()._load_metainfo(with_class_names(metainfo))

    def load_data_list(self) -> list[dict]:
        """``[dict(filename=..., label=...)]`` in the list's order."""
        entries, classes = read_named_list(self.ann_file, self._metainfo.get('classes'))
        if classes is not None:
            self._metainfo['classes'] = classes
        return [dict(filename=str(Path(self.data_prefix['video'], name)), label=label) for name, label in entries]

    def _samples(self, index: int) -> dict | list[dict]:
        if self.num_repeats == 1:
            return self.pipeline(self.get_data_info(index))
        open_video, *others = self.pipeline.transforms
        opened = open_video(self.get_data_info(index))
        reads = [isinstance(step, ReadFrames) for step in others].index(True)
        drawn = [self._apply(others[:reads], opened) for _ in range(self.num_repeats)]
        # All clips of a video by one pass through it.
        wanted = sorted({int(frame) for sample in drawn for frame in np.ravel(sample['frame_inds'])})
        reader = FramesInMemory(opened['video_reader'], wanted)
        return [self._apply(others[reads:], dict(sample, video_reader=reader)) for sample in drawn]

    @staticmethod
    def _apply(steps: list[Callable], sample: dict) -> dict:
        sample = {key: value if key == 'video_reader' else deepcopy(value) for key, value in sample.items()}
        for step in steps:
            sample = step(sample)
        return sample


@TRANSFORMS.register_module()
class OpenVideo(BaseTransform):
    """Open ``filename``, or the frames in ``frame_dir``; adds ``video_reader``, ``total_frames`` and ``avg_fps``.

    Raises:
        BrokenFileError: for a missing file or folder, or one that is no video or has no frames.
    """

    def transform(self, results: dict) -> dict:
        if 'frame_dir' in results:
            naming = (results['filename_tmpl'], results['start_index'])
            reader: FrameReader = FrameFolder(results['frame_dir'], *naming, rate=results['fps'])
        else:
            reader = open_video(results['filename'])
        return dict(results, video_reader=reader, total_frames=len(reader), avg_fps=reader.rate)


@TRANSFORMS.register_module()
class SampleFramesByTime(SampleFrames):
    """mmaction2's ``SampleFrames`` on a clock of ``fps`` ticks a second, whatever the video's own rate is.

    Of a video with another rate, or a varying one, the frames are those that ``ffmpeg -r FPS`` would extract, so that a
    clip always spans the same time; of one with this rate they are ``SampleFrames``' own.

    Args:
        clip_len, frame_interval, num_clips, out_of_bound_opt, test_mode: As for ``SampleFrames``. By default a video
            shorter than a clip repeats its last frame.
        fps: Ticks a second, of which ``frame_interval`` lie between two frames.
    """

    def __init__(
        self,
        clip_len: int,
        frame_interval: int,
        num_clips: int = 1,
        fps: float = 30,
        out_of_bound_opt: str = 'repeat_last',
        test_mode: bool = False,
    ) -> None:
        self.fps = fps
        super().__init__(clip_len, frame_interval, num_clips, out_of_bound_opt=out_of_bound_opt, test_mode=test_mode)

    def transform(self, results: dict) -> dict:
        """Add ``frame_inds`` of ``video_reader``."""
        reader = results['video_reader']
        ticks = super().transform(dict(results, total_frames=count_steps(reader, self.fps)))
        frames = frames_at_steps(reader, ticks['frame_inds'], self.fps)
        return dict(ticks, frame_inds=frames, total_frames=len(reader))


@TRANSFORMS.register_module()
class ReadFrames(BaseTransform):
    """Read the frames ``frame_inds`` of ``video_reader``; adds ``imgs``, RGB, and their shapes."""

    def transform(self, results: dict) -> dict:
        indices = np.asarray(results['frame_inds']).reshape(-1)
        frames = results['video_reader'].frames(indices)
        results = {key: value for key, value in results.items() if key != 'video_reader'}
        shape = frames[0].shape[:2]
        return dict(results, frame_inds=indices, imgs=frames, original_shape=shape, img_shape=shape)
