"""Numbers and strings in annotation files, in the forms that tools write them."""

import math


def is_text(value: object) -> bool:
    """Whether a value is a string that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def is_id(value: object) -> bool:
    """Whether a value can be an id: a finite number, or a string that is not blank."""
    return type(value) is int or (is_text(value) or (isinstance(value, float) and math.isfinite(value)))


def number_of(value: object) -> int | None:
    """A whole number, also if written as a string or with a decimal point; None for anything else."""
    if type(value) is int:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    text = value.strip() if isinstance(value, str) else ''
    return int(text) if text.isascii() and text.removeprefix('-').isdigit() and len(text) < 19 else None


def whole_number(value: object) -> int | None:
    """As :func:`number_of`, but None for True and False."""
    return None if isinstance(value, bool) else number_of(value)
