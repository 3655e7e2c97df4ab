"""The heads of a detector's config: how many classes they predict, and whether they predict masks."""

import inspect
from collections.abc import Iterator

from hiera_mm.checks.fault import class_of
from hiera_mm.config import dicts_in

from mmengine.config import ConfigDict
from mmengine.registry import MODELS


def class_places(model: ConfigDict) -> list[tuple[str, int]]:
    """The config keys that set how many classes the model predicts, with the head's default where a key is missing."""
    found = [
        (f'{place}.num_classes', number)
        for place, head in _heads(model)
        if (number := head.get('num_classes', _default_number(head))) is not None
    ]
    queries = model.get('panoptic_head')
    if queries is not None:
        found.append(('model.panoptic_head.num_things_classes', queries.num_things_classes))
    return found


def class_count(model: ConfigDict) -> int:
    """How many classes a detector predicts, things and stuff together."""
    queries = model.get('panoptic_head')
    if queries is not None:
        return queries.num_things_classes + queries.num_stuff_classes
    return class_places(model)[0][1]


def predicts_masks(model: ConfigDict) -> bool:
    """Whether a detector predicts masks besides boxes."""
    return bool(model.get('mask_head') or (model.get('roi_head') or {}).get('mask_head') or model.get('panoptic_head'))


def _heads(model: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """The heads that predict classes of boxes or masks, with their key in the config."""
    for owner, place in ((model, 'model'), (model.get('roi_head') or {}, 'model.roi_head')):
        for name in ('bbox_head', 'mask_head'):
            given = owner.get(name)
            for number, head in enumerate(given if isinstance(given, list | tuple) else [given]):
                where = f'{place}.{name}.{number}' if isinstance(given, list | tuple) else f'{place}.{name}'
                for inner in dicts_in(head):
                    if 'num_classes' in inner or inner is head:
                        yield where, inner


def _default_number(head: ConfigDict) -> int | None:
    """The default number of classes of a head."""
    head_class = class_of(head, 'mmdet', MODELS)
    for base in inspect.getmro(head_class) if head_class else ():
        parameter = inspect.signature(vars(base).get('__init__', lambda: None)).parameters.get('num_classes')
        if parameter is not None:
            return parameter.default if isinstance(parameter.default, int) else None
    return None
