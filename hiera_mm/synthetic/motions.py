"""Generated videos of moving shapes; the class is the motion, which a single frame does not show."""

from pathlib import Path

from hiera_mm.readers.write_video import write_video
from hiera_mm.synthetic.shapes import OUTLINES, write_once

import cv2
import numpy as np

MOTIONS = ('left', 'right', 'up', 'down', 'turning', 'growing')
STEPS = dict(left=(-1, 0), right=(1, 0), up=(0, -1), down=(0, 1))

SIDE = 64
FRAMES = 20
RATE = 10
"""Side of the frames in pixels, number of frames, and frames a second."""


def make_motion_shapes(folder: str | Path, train: int = 1200, val: int = 180, seed: int = 0) -> None:
    """Write ``{train,val}/*.mp4`` and the lists ``{train,val}.txt`` in mmaction2's format, ``path label`` a line, with
    the names of the classes beside them, ``{train,val}.txt.classes``.

    A bright bar or triangle on a darker, noisy background moves left, right, up or down, turns, or grows. A shape that
    leaves at one edge enters at the opposite one, and a grown shape starts small again, so that position, angle and
    size have the same distribution in all classes at every moment. The same arguments always give the same videos; a
    folder that already holds them is left alone.

    Args:
        folder: Where to write the set; another generated set there is replaced.
        train, val: Number of videos in each part.
        seed: Seed of the random generator.

    Raises:
        UserError: if the folder holds anything but a generated set.
    """
    write_once(Path(folder), dict(kind='motion', train=train, val=val, seed=seed, version=2), _write_part)


def _write_part(folder: Path, part: str, count: int, random: np.random.Generator) -> None:
    (folder / part).mkdir(parents=True)
    lines = []
    for number in range(count):
        label = number % len(MOTIONS)
        name = f'{part}/{number:05d}.mp4'
        write_video(folder / name, draw_frames(random, MOTIONS[label]), RATE)
        lines.append(f'{name} {label}')
    (folder / f'{part}.txt').write_text('\n'.join(lines) + '\n')
    (folder / f'{part}.txt.classes').write_text('\n'.join(MOTIONS) + '\n')


def draw_frames(random: np.random.Generator, motion: str, count: int = FRAMES) -> list[np.ndarray]:
    """RGB frames ``(SIDE, SIDE, 3)`` of one of :data:`MOTIONS`."""
    outline = np.array(OUTLINES[random.choice(['bar', 'triangle'])])
    place, angle, growth = random.uniform(0, SIDE, size=2), random.uniform(0, 2 * np.pi), random.uniform()
    speed, pace = random.uniform(2.5, 4.5), random.uniform(0.05, 0.1)
    turn = random.choice([-1, 1]) * random.uniform(0.2, 0.35)
    background = cv2.resize(random.integers(30, 130, (3, 3, 3)).astype(np.float32), (SIDE, SIDE))
    colour = random.integers(170, 256, size=3)
    frames = []
    for time in range(count):
        now = place + time * speed * np.array(STEPS.get(motion, (0, 0)))
        tilt = angle + (time * turn if motion == 'turning' else 0)
        size = 12 + 10 * ((growth + (time * pace if motion == 'growing' else 0)) % 1)
        noisy = background + random.normal(0, 6, background.shape)
        frames.append(_with_shape(noisy, outline, now % SIDE, tilt, size, colour))
    return frames


def _with_shape(background, outline, place, angle, size, colour) -> np.ndarray:
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = place + size * outline @ rotation
    mask = np.zeros((SIDE, SIDE), np.uint8)
    # Drawn nine times, so that a part that sticks out at one edge appears at the opposite one.
    for shift in np.ndindex(3, 3):
        cv2.fillPoly(mask, [(corners + SIDE * (np.array(shift) - 1)).round().astype(np.int32)], 1)
    return np.where(mask[..., None], colour, background).clip(0, 255).astype(np.uint8)
