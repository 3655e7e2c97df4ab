"""Generated videos of several acting shapes in AVA's format: videos, annotations, action list and proposals."""

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hiera_mm.readers.ava_files import frame_key
from hiera_mm.readers.write_video import write_video
from hiera_mm.synthetic.motions import STEPS
from hiera_mm.synthetic.shapes import OUTLINES, write_once

import cv2
import numpy as np

MOVES = dict(stand=(0, 0)) | STEPS
ACTIONS = (*MOVES, 'turn', 'blink')
"""What an actor can do: one of the moves, and independently turn and blink. Their numbers in the files start at 1."""

WIDTH, HEIGHT = 160, 128
"""Size of the frames in pixels."""

RATE, SECONDS = 8, 3
"""Frames a second, and the length of a video in seconds; it starts at second 900, like AVA's."""

KEY_SECONDS = (901, 902)
MARGIN = 36
"""Pixels from the edges to the middle of an actor's path, which leads at most 26 pixels away from there."""


def make_acting_shapes(folder: str | Path, train: int = 500, val: int = 60, seed: int = 0) -> None:
    """Write ``{train,val}/*.mp4``, ``{train,val}.csv``, ``{train,val}_proposals.pkl`` and ``actions.pbtxt``.

    One to three bright bars and triangles on a darker, noisy background each stand or move left, right, up or down, and
    may also turn and blink. A single frame does not show the action, since the middles of all paths are distributed
    equally. Two seconds of each video are annotated. Proposals are the actors' boxes with some jitter and high scores,
    and random boxes with low scores. The same arguments always give the same files; a folder that already holds them is
    left alone.

    Args:
        folder: Where to write the set; another generated set there is replaced.
        train, val: Number of videos in each part.
        seed: Seed of the random generator.

    Raises:
        UserError: if the folder holds anything but a generated set.
    """
    write_once(Path(folder), dict(kind='actions', train=train, val=val, seed=seed, version=1), _write_part)


def action_list(names: Iterable[str]) -> str:
    """An action list in AVA's format, numbered from 1."""
    return ''.join(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n' for number, name in enumerate(names, 1))


def _write_part(folder: Path, part: str, count: int, random: np.random.Generator) -> None:
    (folder / part).mkdir(parents=True)
    (folder / 'actions.pbtxt').write_text(action_list(ACTIONS))
    lines, proposals = [], {}
    for number in range(count):
        name = f'{part}{number:05d}'
        actors = _cast(random)
        frames, boxes = _play(random, actors)
        write_video(folder / part / f'{name}.mp4', frames, RATE)
        for second in KEY_SECONDS:
            seen = boxes[(second - 900) * RATE]
            for person, (actor, box) in enumerate(zip(actors, seen, strict=True)):
                corners = ','.join(f'{corner:.4f}' for corner in box)
                lines += [f'{name},{second:04d},{corners},{action},{person}' for action in actor['actions']]
            proposals[frame_key(name, second)] = _propose(random, seen)
    (folder / f'{part}.csv').write_text('\n'.join(lines) + '\n')
    (folder / f'{part}_proposals.pkl').write_bytes(pickle.dumps(proposals))


def _cast(random: np.random.Generator) -> list[dict]:
    """One to three actors whose paths have their middles apart from each other."""
    middles: list[np.ndarray] = []
    for _ in range(random.integers(1, 4)):
        for _ in range(20):
            middle = random.uniform([MARGIN, MARGIN], [WIDTH - MARGIN, HEIGHT - MARGIN])
            if all(np.abs(middle - other).max() > 36 for other in middles):
                middles.append(middle)
                break
    return [_actor(random, middle) for middle in middles]


def _actor(random: np.random.Generator, middle: np.ndarray) -> dict:
    move = str(random.choice(list(MOVES)))
    doing = [move] + [action for action in ('turn', 'blink') if random.random() < 0.4]
    return dict(
        actions=[ACTIONS.index(action) + 1 for action in doing],
        outline=np.array(OUTLINES[random.choice(['bar', 'triangle'])]) * random.uniform(13, 18),
        middle=middle,
        step=random.uniform(1.4, 2.2) * np.array(MOVES[move]),
        angle=random.uniform(0, 2 * np.pi),
        turn=random.choice([-1, 1]) * random.uniform(0.2, 0.35) * ('turn' in doing),
        dimmed=0.45 if 'blink' in doing else 1.0,
        phase=random.integers(4),
        colour=random.integers(170, 256, size=3),
    )


def _play(random: np.random.Generator, actors: list[dict]) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """RGB frames ``(HEIGHT, WIDTH, 3)``, and the actors' boxes in each as fractions of its sides."""
    background: Any = cv2.resize(random.integers(30, 110, (3, 4, 3)).astype(np.float32), (WIDTH, HEIGHT))
    background += random.normal(0, 8, background.shape)
    frames, boxes = [], []
    count = RATE * SECONDS
    for time in range(count):
        image = background.copy()
        corners = [_corners(actor, time - count // 2) for actor in actors]
        for actor, outline in zip(actors, corners, strict=True):
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
            bright = actor['dimmed'] if (time + actor['phase']) // 2 % 2 else 1.0
            image[mask.astype(bool)] = actor['colour'] * bright
        frames.append(image.clip(0, 255).astype(np.uint8))
        boxes.append([_box(outline) for outline in corners])
    return frames, boxes


def _corners(actor: dict, time: int) -> np.ndarray:
    """An actor's corners ``(N, 2)`` in pixels, ``time`` frames after the middle of the video."""
    angle = actor['angle'] + time * actor['turn']
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return actor['middle'] + time * actor['step'] + actor['outline'] @ rotation


def _box(corners: np.ndarray) -> np.ndarray:
    sides = np.array([WIDTH, HEIGHT])
    return np.concatenate([corners.min(axis=0) / sides, corners.max(axis=0) / sides]).clip(0, 1)


def _propose(random: np.random.Generator, boxes: list[np.ndarray]) -> np.ndarray:
    """Proposals ``(N, 5)``: the boxes, each corner shifted by up to 4 % of the side, and one random box."""
    jittered = [box + random.uniform(-0.04, 0.04, 4) * np.tile(box[2:] - box[:2], 2) for box in boxes]
    start, extent = random.uniform(0, 0.7, 2), random.uniform(0.15, 0.3, 2)
    scores = [*random.uniform(0.9, 1, len(boxes)), random.uniform(0.05, 0.5)]
    proposals = np.array([*jittered, np.concatenate([start, start + extent])]).clip(0, 1)
    return np.column_stack([proposals, scores])
