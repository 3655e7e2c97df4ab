"""Lists of labelled videos in mmaction2's format; broken videos are reported by name."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from hiera_mm.datasets.skip_broken import SkipBrokenFiles
from hiera_mm.readers.class_names import with_class_names
from hiera_mm.readers.frame_folders import FrameFolder
from hiera_mm.readers.frames import FrameReader, count_steps, frames_at_steps
from hiera_mm.readers.labelled_lists import read_named_list
from hiera_mm.readers.videos import open_video

import mmcv
import numpy as np
from mmaction.datasets import VideoDataset
from mmaction.datasets.transforms import SampleFrames
from mmcv.transforms import BaseTransform
from mmengine.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class ClipDataset(SkipBrokenFiles, VideoDataset):
    """Videos with one label each, from lines ``path label`` (the path may contain spaces).

    Args:
        ann_file: The list, in mmaction2's format.
        pipeline: Starts with :class:`OpenVideo`.
        data_prefix: ``dict(video=FOLDER)``.
        num_repeats: Clips from each video (repeated augmentation, arXiv 1901.09335); with more than 1, the data loader
            needs ``collate_fn=dict(type='repeat_pseudo_collate')``.
        metainfo: ``dict(classes=NAMES)``, a tuple or a file with one name a line, in the order in which the model
            numbers them; by default the names beside the list (``LIST.classes``). If both exist, the list's labels are
            matched by name.
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
        open_video, *later_steps = self.pipeline.transforms
        opened = open_video(self.get_data_info(index))
        samples = [
            {key: value if key == 'video_reader' else deepcopy(value) for key, value in opened.items()}
            for _ in range(self.num_repeats)
        ]
        for step in later_steps:
            takes_all = getattr(step, 'takes_all_clips', False)
            samples = step(samples) if takes_all else [step(sample) for sample in samples]
        return samples


@TRANSFORMS.register_module()
class OpenVideo(BaseTransform):
    """Open ``filename``, or the frames in ``frame_dir``; adds ``video_reader``, ``total_frames`` and ``avg_fps``.

    Raises:
        BrokenFileError: for a missing file or folder, or one without frames.
    """

    def transform(self, results: dict) -> dict:
        if 'frame_dir' in results:
            naming = (results['filename_tmpl'], results['start_index'])
            reader: FrameReader = FrameFolder(results['frame_dir'], *naming, rate=results['fps'])
        else:
            reader = open_video(results['filename'])
        # A reader counts frames from 0, whatever the number in the first one's file name.
        return dict(results, video_reader=reader, total_frames=len(reader), avg_fps=reader.rate, start_index=0)


@TRANSFORMS.register_module()
class SampleFramesByTime(SampleFrames):
    """mmaction2's ``SampleFrames``, but frames are counted at ``fps`` a second, whatever the video's own rate.

    For a video with another rate, or a varying one, the frames are those that ``ffmpeg -r FPS`` would extract, so that
    a clip always spans the same time; for a video with this rate they are the same as with ``SampleFrames``.

    Args:
        clip_len, frame_interval, num_clips, out_of_bound_opt, test_mode: As for ``SampleFrames``. By default, a video
            shorter than a clip repeats its last frame.
        fps: Steps a second; ``frame_interval`` of them lie between two frames.
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
        sampled = super().transform(dict(results, total_frames=count_steps(reader, self.fps)))
        frames = frames_at_steps(reader, sampled['frame_inds'], self.fps)
        return dict(sampled, frame_inds=frames, total_frames=len(reader))


@TRANSFORMS.register_module()
class ReadFrames(BaseTransform):
    """Read the frames ``frame_inds`` of ``video_reader``; adds ``imgs``, RGB, and their shapes.

    Several clips of one video, given as a list, are read in one pass.

    Args:
        short_side: Resize the shorter side of each frame to this many pixels as it is decoded, since a clip of large
            frames would take hundreds of megabytes. The result is the same as with mmaction2's
            ``Resize(scale=(-1, short_side))`` as the next step. None keeps the frames' size.
    """

    takes_all_clips = True

    def __init__(self, short_side: int | None = None) -> None:
        self.short_side = short_side

    def transform(self, results: dict | list[dict]) -> dict | list[dict]:
        clips = results if isinstance(results, list) else [results]
        indices_of_clips = [[int(index) for index in np.ravel(clip['frame_inds'])] for clip in clips]
        wanted = sorted({index for indices in indices_of_clips for index in indices})
        reader: FrameReader = clips[0]['video_reader']
        read = dict(zip(wanted, reader.frames(wanted, self._resized if self.short_side else None), strict=True))
        uses = Counter(index for indices in indices_of_clips for index in indices)
        filled = []
        for clip, indices in zip(clips, indices_of_clips, strict=True):
            # A frame that is used several times is copied, since transforms may change it in place.
            frames = [read[index].copy() if uses[index] > 1 else read[index] for index in indices]
            clip = {key: value for key, value in clip.items() if key != 'video_reader'}
            shape = frames[0].shape[:2]
            clip.update(frame_inds=np.array(indices), imgs=frames, original_shape=shape, img_shape=shape)
            filled.append(clip)
        return filled if isinstance(results, list) else filled[0]

    def _resized(self, frame: np.ndarray) -> np.ndarray:
        return mmcv.imrescale(frame, (np.inf, self.short_side))
