"""Videos with boxes and words on every frame."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hiera_mm.readers.videos import VideoFile
from hiera_mm.readers.write_video import write_video

import numpy as np
import torch
from mmengine.visualization import Visualizer
from rich.progress import track


class Label(NamedTuple):
    """A box in pixels, x1, y1, x2, y2, and the lines of text above it."""

    box: Sequence[float]
    lines: list[str]


def write_annotated(path: Path, reader: VideoFile, labels_at: dict[float, list[Label]]) -> None:
    """Write the whole video again as an mp4, each frame with the labels of the nearest of the seconds they are for.

    Args:
        path: Of the mp4, without sound.
        reader: Of :func:`hiera_mm.readers.videos.open_video`.
        labels_at: By seconds from the video's beginning; labels are shown for no longer than half of the longest way
            between two of them.
    """
    frames = track(_frames(reader, labels_at), f'Writing {path.name}', total=len(reader))
    write_video(path, frames, reader.rate, reader.times - reader.times[0])


def _frames(reader: VideoFile, labels_at: dict[float, list[Label]]) -> Iterator[np.ndarray]:
    drawing = Visualizer()
    seconds = np.array(sorted(labels_at))
    reach = max(np.diff(seconds), default=1.0) / 2
    for second, frame in zip(reader.times, reader, strict=False):
        nearest = seconds[np.abs(seconds - second).argmin()]
        shown = abs(nearest - second) <= reach
        yield draw(drawing, frame, labels_at[nearest]) if shown else frame


def draw(drawing: Visualizer, frame: np.ndarray, labels: list[Label]) -> np.ndarray:
    """The frame, RGB ``(H, W, 3)``, with the labels."""
    if not labels:
        return frame
    drawing.set_image(frame)
    height, width = frame.shape[:2]
    boxes = torch.tensor(np.clip([label.box for label in labels], 0, np.array([width, height] * 2) - 1))
    drawing.draw_bboxes(boxes, edge_colors='lime', line_widths=1.5)
    size = max(4, min(height, width) // 26)
    for label, (x1, y1, x2, _) in zip(labels, boxes.tolist(), strict=True):
        # Above the box, and inside the frame: towards its middle, and not over its upper edge.
        x, side = (x1, 'left') if x1 + x2 < width else (x2, 'right')
        y = max(y1, 1.8 * size * len(label.lines))
        text = dict(font_sizes=size, colors='white', vertical_alignments='bottom', horizontal_alignments=side)
        backing = dict(facecolor='black', alpha=0.6, pad=0.5, edgecolor='none')
        drawing.draw_texts('\n'.join(label.lines), torch.tensor([[x, y]]), bboxes=backing, **text)
    return drawing.get_image()
