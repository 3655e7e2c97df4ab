"""Configs inside model files: read as data, and refused if they could make a model open, import, fetch or run anything.

A config is plain data, yet OpenMMLab's parts open what some texts name: losses unpickle ``class_weight='FILE'``,
distillation runs ``teacher_config``, registries import a ``type`` with dots. So the texts that may stand in a loaded
config are listed, by key, in ``known_texts.json``: those of this suite's configs, and of those of mmdet, mmseg and
mmaction2 whose models open nothing while they are built (``python -m tests.inference.known_texts`` writes the file).
"""

import ast
import contextlib
import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.readers.channels import is_pattern
from hiera_mm.readers.images import ENDINGS as IMAGE_ENDINGS

import mmengine.registry
from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry

WEIGHTS_KEYS = ('init_cfg', 'pretrained')
"""Keys of the weights that training began with; a trained model has its own."""

NAME_KEYS = ('classes', 'thing_classes', 'stuff_classes', 'actions')
"""Keys of lists of names, which are only displayed."""

TEST_PARTS = ('model', 'data_preprocessor', 'test_dataloader', 'test_evaluator', 'test_cfg')
"""Keys of a config that are built to test a model."""

DATA_KEYS = (
    *('ann_file', 'data_root', 'data_prefix', 'label_file', 'exclude_file', 'proposal_file', 'filename_tmpl'),
    *('img_suffix', 'seg_map_suffix', 'seg_prefix', 'outfile_prefix'),
)
"""Keys of a test set's files, which the listed data sets read as text, JSON, images, videos, volumes, or for
``proposal_file`` as a pickle of plain data only."""

DATA_ENDINGS = ('', '.csv', '.json', '.jsonl', '.pbtxt', '.txt', '.xml', *IMAGE_ENDINGS)
"""Endings of these texts; mmengine would unpickle a ``.pkl`` and run what a ``.yaml`` names."""


def config_from_text(text: str, source: str) -> Config:
    """Read a config as mmengine prints it (``Config.pretty_text``, stored in checkpoints), without running code in it.

    Args:
        text: Lines ``name = value`` with literals and calls of ``dict``.
        source: The file, for messages.

    Raises:
        UserError: if the text holds anything else.
    """
    try:
        lines = [_Literals().visit(line) for line in ast.parse(text).body]
        return Config({line.targets[0].id: ast.literal_eval(line.value) for line in lines})
    except (SyntaxError, ValueError, AttributeError, TypeError, RecursionError, MemoryError) as error:
        raise UserError(
            f"The config inside '{source}' is not plain data ({error}); name the config that it was trained with: "
            '--config CONFIG.'
        ) from error


def drop_weights(part: Any) -> None:
    """Make a model's parts start without weights of other files, which its own ones would replace."""
    for key in part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ():
        if key in WEIGHTS_KEYS:
            part[key] = None
        else:
            drop_weights(part[key])


def test_set_of(config: Config) -> ConfigDict:
    """A config's test set, without wrappers."""
    dataset = config.test_dataloader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.dataset if 'dataset' in dataset else dataset.datasets[0]
    return dataset


def refuse_unknown_texts(parts: Mapping[str, Any], source: str, with_data: bool = False) -> None:
    """Check that parts of a loaded config hold known texts and plain values only.

    Args:
        parts: The parts by key.
        source: The file with the config, for messages.
        with_data: Whether a test set's files may be named.

    Raises:
        UserError: naming the first key with an unknown text.
    """
    for place, key, value in values_in(parts):
        if not _is_known(place, key, value, with_data):
            raise UserError(
                f"The config inside '{source}' sets {place} to {value!r}, which is none of the known values of "
                f"'{key}'. Since it could name a file, an address or code, the model is not built. If the model is "
                'your own, name its config (--config CONFIG); if you trust its author, add --trust (in Python: '
                'trust=True).'
            )


def refuse_modules(name: str, source: str) -> None:
    """Check that a type that is only looked up, not built, names no module, which its registry would import.

    Raises:
        UserError: naming it.
    """
    if not re.fullmatch(r'((mmdet|mmseg|mmaction|mmengine)\.)?\w+', name):
        raise UserError(
            f"The config inside '{source}' names '{name}' as the type of its test set, which is a module and not a "
            'registered type; name your own config: --config CONFIG.'
        )


def values_in(part: Any, place: str = '', key: str = '') -> Iterator[tuple[str, str, Any]]:
    """All values in a part of a config: the place of each, the key that it stands at or in a list of, and the value."""
    if isinstance(part, dict):
        for name, inner in part.items():
            # Such as data_prefix=dict(img='train/') and actions={1: 'walk'}.
            is_part = (key == 'data_prefix' and name != 'type') or (key in NAME_KEYS and isinstance(name, int))
            yield from values_in(inner, f'{place}.{name}'.lstrip('.'), key if is_part else str(name))
    elif isinstance(part, list | tuple):
        for number, inner in enumerate(part):
            yield from values_in(inner, f'{place}.{number}', key)
    else:
        yield place, key, part


def _is_known(place: str, key: str, value: Any, with_data: bool) -> bool:
    if value is None or isinstance(value, bool | int | float):
        return True
    if not isinstance(value, str):
        return False
    if key in NAME_KEYS:
        # One text instead of a list would be the name of a file.
        return not place.endswith(key)
    if key == 'channel_files':
        # Images beside those that the user names.
        return is_pattern(value) and Path(value).suffix.lower() in IMAGE_ENDINGS
    if with_data and key in DATA_KEYS:
        endings = ('.pkl', '.csv') if key == 'proposal_file' else DATA_ENDINGS
        return '://' not in value and Path(value).suffix.lower() in endings
    return value in known_texts().get(key, ()) or (key == 'type' and value in _own_types())


@functools.cache
def known_texts() -> dict[str, frozenset[str]]:
    """The texts that may stand at each key."""
    listed = json.loads(Path(__file__).with_name('known_texts.json').read_text(encoding='utf-8'))
    return {key: frozenset(texts) for key, texts in listed.items()}


def _own_types() -> set[str]:
    """Types that the user's own code has registered in this process."""
    registries = list(all_registries())
    packages = {str(registry.scope) for registry in registries} | {'hiera_mm', 'mmcv', 'torch', 'torchvision'}
    return {
        name
        for registry in registries
        for name, registered in registry.module_dict.items()
        if registered.__module__.partition('.')[0] not in packages
    }


def all_registries() -> Iterator[Registry]:
    """The registries of mmengine and of all installed packages, filled."""
    roots = [root for root in vars(mmengine.registry).values() if isinstance(root, Registry)]
    children = [child for root in roots for child in root.children.values()]
    for registry in [*roots, *children]:
        # Registries are filled on first use; some of mmaction2's name modules that don't exist.
        with contextlib.suppress(ImportError):
            registry.import_from_location()
        yield registry


class _Literals(ast.NodeTransformer):
    """Converts ``dict(a=1)`` to ``{'a': 1}``, and the names ``inf`` and ``nan`` to numbers."""

    def visit_Call(self, call: ast.Call) -> ast.AST:
        self.generic_visit(call)
        names = [keyword.arg for keyword in call.keywords]
        if not isinstance(call.func, ast.Name) or call.func.id != 'dict' or None in names:
            return call
        if call.args:
            # mmengine prints keys that are not identifiers like this: dict({'backbone.norm': ...}).
            only_dict = len(call.args) == 1 and isinstance(call.args[0], ast.Dict) and not names
            return call.args[0] if only_dict else call
        return ast.Dict([ast.Constant(name) for name in names], [keyword.value for keyword in call.keywords])

    def visit_Name(self, name: ast.Name) -> ast.AST:
        is_number = isinstance(name.ctx, ast.Load) and name.id in ('inf', 'nan')
        return ast.Constant(float(name.id)) if is_number else name
