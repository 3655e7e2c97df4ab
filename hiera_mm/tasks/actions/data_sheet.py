"""Sheets of annotated seconds with their persons and actions."""

from pathlib import Path
from typing import Any

from hiera_mm.datasets.video import OpenVideo
from hiera_mm.inference.data_sheet import Sheet, Tile, built_set, draw_samples
from hiera_mm.inference.visualization import Label, colour_of, draw
from hiera_mm.readers.frames import frames_at

import numpy as np
from mmengine.config import ConfigDict


def draw_sheet(dataset: ConfigDict, scope: str | None, path: Path) -> Sheet:
    """Write frames of annotated seconds with boxes and actions."""
    return Sheet(draw_samples(built_set(dataset, scope), _second, path, columns=3))


def _second(built: Any, number: int) -> Tile:
    info = built.get_data_info(number)
    opened = OpenVideo().transform(dict(info, filename_tmpl=built.filename_tmpl, start_index=built.start_index))
    reader, second = opened['video_reader'], info['timestamp'] - info['timestamp_start']
    frame = reader.frames(frames_at(reader, [second]).tolist())[0]
    names = built.metainfo.get('actions') or {}
    sides = np.array([frame.shape[1], frame.shape[0]] * 2)
    labels = [
        Label(box * sides, [names.get(int(n), f'action {n}') for n in np.flatnonzero(actions)], colour_of(person))
        for person, (box, actions) in enumerate(zip(info['gt_bboxes'], info['gt_labels'], strict=True))
    ]
    return Tile(draw(frame, labels), f'{info["video_id"]}, second {info["timestamp"]}')
