"""Annotation files in COCO's format."""

import json
from pathlib import Path

from hiera_mm.errors import UserError


def read_annotations(path: str | Path, key: str) -> dict:
    """The content of an annotation file.

    Args:
        path: Of the file.
        key: What names it in the config, for messages.

    Raises:
        UserError: for a file that is missing, no JSON, or lacks images, annotations or categories.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"The annotation file '{path}' of {key} does not exist; put it there or set it with "
            f'--cfg-options {key}=FILE.'
        )
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f"The annotation file '{path}' of {key} is not valid JSON: {error}.") from error
    absent = [part for part in ('images', 'annotations', 'categories') if part not in content]
    if absent:
        raise UserError(f"The annotation file '{path}' of {key} is not in COCO format: it lacks {', '.join(absent)}.")
    return content
