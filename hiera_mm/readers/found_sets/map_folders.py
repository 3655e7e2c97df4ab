"""Folders of segment maps, which are no images, though they may have their names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets.folder import Folder
from hiera_mm.readers.segment_maps import read_segment_map

import numpy as np

FEW = 3
"""How many maps are opened."""


def map_folders(folder: Folder) -> list[Path]:
    """The folders with maps of the panoptic annotations in a folder."""
    listed = [annotations for path in folder.with_ending('.json') if (annotations := _annotations(path))]
    places = sorted({image.parent for image in folder.images if image.suffix.lower() == '.png'}) if listed else []
    return [place for place in places if any(holds_segments(place, annotations) for annotations in listed)]


def holds_segments(place: Path, annotations: Sequence[dict]) -> bool:
    """Whether files of these names are maps with the annotated segments, by the first ones that are there."""
    some = [a for a in annotations if a['segments_info'] and (place / a['file_name']).is_file()][:FEW]
    for annotation in some:
        try:
            there = np.unique(read_segment_map(place / annotation['file_name']))
        except UserError:
            return False
        if not np.isin([segment['id'] for segment in annotation['segments_info']], there).all():
            return False
    return bool(some)


def _annotations(path: Path) -> list[dict]:
    """The entries of a panoptic file that name a map and its segments; none of another file."""
    try:
        content: Any = json.loads(path.read_bytes())
        return [
            entry
            for entry in content['annotations']
            if isinstance(entry.get('file_name'), str)
            and all(isinstance(segment['id'], int) for segment in entry['segments_info'])
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []
