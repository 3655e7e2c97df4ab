"""Stand-in data in AVA's formats: generated data for a rehearsal when those of the config are missing."""

import pickle
import tempfile
from pathlib import Path

from hiera_mm.readers.ava_files import frame_key, read_proposals, read_rows
from hiera_mm.readers.videos import open_video
from hiera_mm.rehearsal.stand_in import file_prefix, write_file
from hiera_mm.synthetic.actions import ACTIONS, RATE, action_list, make_acting_shapes

import mmcv
import numpy as np
from mmengine.config import ConfigDict


def draw_ava(dataset: ConfigDict, classes: int, count: int, random: np.random.Generator) -> None:
    """Generate videos under the data set's own file names, with a list of all its actions."""
    videos = (count + 1) // 2
    actions = dataset.get('num_classes', 81) - 1
    shift = dataset.get('timestamp_start', 900) - 900
    part = 'train'
    with tempfile.TemporaryDirectory() as scratch:
        make_acting_shapes(scratch, train=videos, val=1, seed=int(random.integers(1000)))
        rows = read_rows(Path(scratch, f'{part}.csv'))
        proposals = read_proposals(Path(scratch, f'{part}_proposals.pkl'))
        for video in sorted({row.video_id for row in rows}):
            _place_video(Path(scratch, part, f'{video}.mp4'), f'{file_prefix(dataset)}_{video}', dataset)
    # Actions beyond the data set's own get its last number.
    numbers = {row.action: min(row.action, actions) for row in rows}
    lines = []
    for row in rows:
        corners = ','.join(f'{corner:.4f}' for corner in row.box)
        key = f'{file_prefix(dataset)}_{row.video_id},{row.timestamp + shift:04d}'
        lines.append(f'{key},{corners},{numbers[row.action]},{row.person}\n')
    write_file(Path(dataset.ann_file), ''.join(lines))
    if dataset.get('label_file'):
        names = [*ACTIONS, *(f'action {number}' for number in range(len(ACTIONS) + 1, actions + 1))][:actions]
        write_file(Path(dataset.label_file), action_list(names))
    if dataset.get('exclude_file'):
        write_file(Path(dataset.exclude_file), f'{file_prefix(dataset)}_{rows[0].video_id},0001\n')
    if dataset.get('proposal_file'):
        moved = {f'{file_prefix(dataset)}_{_moved_key(key, shift)}': boxes for key, boxes in proposals.items()}
        write_file(Path(dataset.proposal_file), pickle.dumps(moved))


def _moved_key(key: str, shift: int) -> str:
    video, _, second = key.rpartition(',')
    return frame_key(video, int(second) + shift)


def _place_video(video: Path, name: str, dataset: ConfigDict) -> None:
    """Write the video itself, or its frames at the data set's rate."""
    prefix = dataset.get('data_prefix', {})
    if 'video' in prefix:
        target = Path(prefix['video'], f'{name}.mp4')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(video.read_bytes())
        return
    reader = open_video(video)
    folder = Path(prefix['img'], name)
    folder.mkdir(parents=True, exist_ok=True)
    rate, first = dataset.get('fps', 30), dataset.get('start_index', 1)
    frames = reader.frames(range(len(reader)))
    for number in range(len(reader) * rate // RATE):
        frame = frames[number * RATE // rate][..., ::-1]
        mmcv.imwrite(frame, folder / dataset.get('filename_tmpl', 'img_{:05}.jpg').format(number + first))
