"""Numbers and texts of annotation files, in whatever way they are written."""

import math


def is_text(value: object) -> bool:
    """Whether a value is text with something in it."""
    return isinstance(value, str) and bool(value.strip())


def is_id(value: object) -> bool:
    """Whether a value can name an entry: a finite number, or text with something in it."""
    return type(value) is int or (is_text(value) or (isinstance(value, float) and math.isfinite(value)))


def number_of(value: object) -> int | None:
    """A whole number, also one that is written as text or with a point."""
    if type(value) is int:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    text = value.strip() if isinstance(value, str) else ''
    return int(text) if text.isascii() and text.removeprefix('-').isdigit() and len(text) < 19 else None


def whole_number(value: object) -> int | None:
    """As :func:`number_of`; True and False are none."""
    return None if isinstance(value, bool) else number_of(value)
