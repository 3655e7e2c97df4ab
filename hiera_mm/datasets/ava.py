"""AVA: persons and their actions at one second of a video, from extracted frames or directly from videos."""

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from hiera_mm.datasets.skip_broken import SkipBrokenFiles
from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.ava_files import frame_key, read_action_list, read_exclusions, read_proposals, read_rows
from hiera_mm.readers.frames import frames_at_steps
from hiera_mm.readers.videos import VIDEO_ENDINGS

import numpy as np
from mmaction.datasets import AVADataset
from mmcv.transforms import BaseTransform
from mmengine.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class AVAClipDataset(SkipBrokenFiles, AVADataset):
    """Annotated seconds of videos in AVA's format, like mmaction2's ``AVADataset``, but also directly from videos.

    Args:
        ann_file: CSV with a line for each action of a person; see :func:`hiera_mm.readers.ava_files.read_rows`.
        pipeline: Starts with :class:`~hiera_mm.datasets.video.OpenVideo`.
        data_prefix: ``dict(img=FOLDER)`` with a folder of frames for each video (mmaction2's layout), or
            ``dict(video=FOLDER)`` with video files.
        label_file: Action list; the actions in it are scored.
        exclude_file: Timestamps to leave out.
        proposal_file: Boxes of persons from a detector. Without it the annotated boxes are used, also in testing, where
            the mAP then does not measure how well persons are found.
        person_det_score_thr: Score threshold of boxes; if all boxes of a frame are below it, the best one is used.
        idle_seconds: In testing, also use the seconds of the proposal file without annotations, as the official
            evaluation does; otherwise only annotated seconds.
        num_classes: Number of actions plus one for the background: AVA's 80 and 1.
        filename_tmpl, start_index: Template for the frames' names, and the number of the first.
        timestamp_start: Second of the film at which frames and videos start: 900 if AVA's 15 minutes were cut out, 0
            for whole films.
        fps: Frames a second, for counting the frames of a clip; also the rate at which frames were extracted.
        max_broken: See :class:`~hiera_mm.datasets.skip_broken.SkipBrokenFiles`.
        test_mode: As for mmaction2's data sets.

    Raises:
        UserError: for files that are not in AVA's formats, and as :class:`SkipBrokenFiles`.
    """

    def __init__(
        self,
        ann_file: str,
        pipeline: list[dict | Callable],
        data_prefix: dict,
        label_file: str | None = None,
        exclude_file: str | None = None,
        proposal_file: str | None = None,
        person_det_score_thr: float = 0.9,
        idle_seconds: bool = False,
        num_classes: int = 81,
        filename_tmpl: str = 'img_{:05}.jpg',
        start_index: int = 1,
        timestamp_start: int = 900,
        fps: int = 30,
        max_broken: float = 0.05,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        # Not read by the parent class, which would run code in the pickle.
        proposals = None if proposal_file is None else read_proposals(proposal_file)
        self.idle_keys = proposals.keys() if proposals and idle_seconds and test_mode else ()
        super().__init__(
            ann_file,
            pipeline,
            exclude_file=exclude_file,
            label_file=label_file,
            filename_tmpl=filename_tmpl,
            start_index=start_index,
            person_det_score_thr=person_det_score_thr,
            num_classes=num_classes,
            data_prefix=data_prefix,
            timestamp_start=timestamp_start,
            fps=fps,
            max_broken=max_broken,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )
        self.proposals = proposals
        if label_file is not None:
            # Checkpoints store it, so that a trained model can name its actions.
            self._metainfo['actions'] = read_action_list(label_file)

    def load_data_list(self) -> list[dict]:
        """One entry for each annotated second, in the order of the file."""
        place_of = locate_videos(self.data_prefix)
        rows_of = defaultdict(list)
        for row in read_rows(self.ann_file):
            record = dict(entity_box=np.array(row.box), label=row.action, entity_id=row.person)
            rows_of[row.video_id, row.timestamp].append(record)
        # Kinetics clips cover only their annotated seconds, so idle seconds are added to films alone.
        films = {video_id for video_id, _ in rows_of if self.film_of(video_id) == video_id}
        for film, _, second in (key.rpartition(',') for key in self.idle_keys):
            if film in films:
                rows_of.setdefault((film, int(second)), [])
        entries = []
        for (video_id, timestamp), records in rows_of.items():
            boxes, labels, persons = self.parse_img_record(records) if records else self._empty_annotations()
            entry = dict(video_id=video_id, timestamp=timestamp, img_key=frame_key(self.film_of(video_id), timestamp))
            entry.update(fps=self._FPS, ann=dict(gt_bboxes=boxes, gt_labels=labels, entity_ids=persons))
            entries.append(entry | place_of(video_id))
        return entries

    def _empty_annotations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.empty((0, 4)), np.empty((0, self.num_classes), np.float32), np.empty(0, int)

    def filter_data(self) -> list[dict]:
        """The entries without those that ``exclude_file`` names."""
        excluded = read_exclusions(self.exclude_file) if self.exclude_file else set()
        return [entry for entry in self.data_list if frame_key(entry['video_id'], entry['timestamp']) not in excluded]

    def get_data_info(self, idx: int) -> dict:
        """Boxes as fractions of the frame's sides, labels ``(N, num_classes)``, and the source of the frames."""
        info = super().get_data_info(idx)
        info.setdefault('proposals', info['gt_bboxes'])
        return dict(info, timestamp_start=self.starts_at(info['video_id'], self.timestamp_start))

    @classmethod
    def film_of(cls, video_id: str) -> str:
        """The video's name in the proposal file."""
        return video_id

    @classmethod
    def starts_at(cls, video_id: str, timestamp_start: int) -> int:
        """Second of the film at which the video starts."""
        return timestamp_start


@DATASETS.register_module()
class AVAKineticsClipDataset(AVAClipDataset):
    """AVA-Kinetics (arXiv 2005.00214): :class:`AVAClipDataset` that also has 10-second clips of Kinetics.

    As in mmaction2's layout, the clips are named ``ID_START_END``, start at the second ``START``, and are called ``ID``
    in proposal files.
    """

    CLIP_NAME = re.compile(r'(.{11})_(\d+)_(\d+)')

    @classmethod
    def film_of(cls, video_id: str) -> str:
        found = cls.CLIP_NAME.fullmatch(video_id)
        return found[1] if found else video_id

    @classmethod
    def starts_at(cls, video_id: str, timestamp_start: int) -> int:
        found = cls.CLIP_NAME.fullmatch(video_id)
        return int(found[2]) if found else timestamp_start


def locate_videos(data_prefix: dict) -> Callable[[str], dict]:
    """A function from a video's name to ``dict(frame_dir=...)`` or ``dict(filename=...)``.

    Raises:
        UserError: if the prefix has neither ``img`` nor ``video``, or both.
    """
    if set(data_prefix) not in ({'img'}, {'video'}):
        raise UserError(
            f'AVA data need data_prefix = dict(img=FOLDER) for extracted frames or dict(video=FOLDER) for videos, '
            f'but have {dict(data_prefix)} (a key inherited from a base goes away with _delete_=True).'
        )
    if 'img' in data_prefix:
        return lambda video_id: dict(frame_dir=str(Path(data_prefix['img'], video_id)))
    folder = Path(data_prefix['video'])
    files = {path.stem: path for path in sorted(folder.glob('*')) if path.suffix.lower() in VIDEO_ENDINGS}
    return lambda video_id: dict(filename=str(files.get(video_id, folder / f'{video_id}.mp4')))


@TRANSFORMS.register_module()
class SampleAroundKeyFrame(BaseTransform):
    """Sample a clip with the frame of ``timestamp`` in the middle, like PySlowFast; adds ``frame_inds``.

    Frames are counted at ``fps`` whatever the video's own rate: the clip has the frames that ``ffmpeg -r`` would
    extract. Beyond the ends of the video, the first or last frame is repeated. mmaction2's ``SampleAVAFrames`` takes a
    clip one frame later, and in training shifts each frame at random.

    Args:
        clip_len: Number of frames.
        frame_interval: Steps between them at ``fps``.

    Raises:
        BrokenFileError: if the timestamp is outside the video.
    """

    def __init__(self, clip_len: int, frame_interval: int) -> None:
        self.clip_len, self.frame_interval = clip_len, frame_interval

    def transform(self, results: dict) -> dict:
        reader, start = results['video_reader'], results['timestamp_start']
        seconds = results['timestamp'] - start
        if not 0 <= seconds <= reader.duration:
            raise BrokenFileError(
                f"The second {results['timestamp']} is not in '{reader.path}', whose {len(reader)} frames at "
                f'{reader.rate:g} a second begin at {start} (timestamp_start) and end at {start + reader.duration:.1f}.'
            )
        middle = round(seconds * results['fps'])
        steps = middle + self.frame_interval * (np.arange(self.clip_len) - self.clip_len // 2)
        return dict(
            results,
            frame_inds=frames_at_steps(reader, steps, results['fps']),
            clip_len=self.clip_len,
            frame_interval=self.frame_interval,
            num_clips=1,
        )


@TRANSFORMS.register_module()
class BoxesToPixels(BaseTransform):
    """Scale ``gt_bboxes`` and ``proposals`` from fractions of the frame's sides to pixels of ``img_shape``.

    Adds ``boxes_in_frame``, the unscaled proposals: the model sees the part of a box that a crop leaves, but the whole
    box is scored (:class:`hiera_mm.models.WholeFrameBBoxHeadAVA`).
    """

    def transform(self, results: dict) -> dict:
        height, width = results['img_shape']
        sides = np.array([width, height, width, height], np.float32)
        results = dict(results, gt_bboxes=results['gt_bboxes'].astype(np.float32) * sides)
        if 'proposals' in results:
            boxes = results['proposals'].astype(np.float32)
            results.update(proposals=boxes * sides, boxes_in_frame=boxes)
        return results
