"""Which types a config from somebody else may name: those that a registry holds, and nothing else that Python finds."""

import contextlib
from collections.abc import Iterator

from hiera_mm.config import dicts_in
from hiera_mm.errors import UserError, first_few

import mmcv.ops
import mmengine.registry
from mmengine.config import Config
from mmengine.registry import Registry

EVALUATE = {'CameraMotionCompensation'}
"""Registered types that run a text of the config as Python."""


def must_be_registered(config: Config, source: str) -> None:
    """Refuse a config whose model or test set names a type that no registry holds.

    mmengine's registries would import whatever a type with dots names, such as ``os.system``, and call it; mmcv would
    run the ``type`` of its ``nms`` as Python.

    Args:
        config: Of a trained model.
        source: Where it is from, for messages.

    Raises:
        UserError: naming the types.
    """
    registries = list(_all_registries())
    # Two kinds of a detector's types are functions and layers of mmcv that it finds by name.
    names = {name for registry in registries for name in registry.module_dict} | set(mmcv.ops.__all__)
    scopes = {registry.scope for registry in registries} | {''}
    found = list(dicts_in([config.get('model'), config.get('test_dataloader')]))
    unknown = {str(part['type']) for part in found if part.get('type') is not None} - {
        f'{scope}.{name}'.lstrip('.') for scope in scopes for name in names - EVALUATE
    }
    asked = {str(part['_scope_']) for part in found if '_scope_' in part} | {str(config.get('default_scope') or '')}
    if unknown or not asked <= scopes:
        raise UserError(
            f"The config inside '{source}' names types that no installed package registers, such as "
            f'{first_few(sorted(unknown | asked - scopes))}, and nothing that it names is imported; if they are of '
            'your own, name your config: --config CONFIG.'
        )


def _all_registries() -> Iterator[Registry]:
    roots = [root for root in vars(mmengine.registry).values() if isinstance(root, Registry)]
    children = [child for root in roots for child in root.children.values()]
    for registry in [*roots, *children]:
        # They fill when they are first used; some of mmaction2's name modules that it doesn't have.
        with contextlib.suppress(ImportError):
            registry.import_from_location()
        yield registry
