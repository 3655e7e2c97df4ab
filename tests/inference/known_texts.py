"""Writes hiera_mm/inference/known_texts.json: python -m tests.inference.known_texts

The texts are those of this suite's configs, and of those of mmdet, mmseg and mmaction2 whose models open no file, make
no connection and start no process while they are built.
"""

import contextlib
import copy
import io
import json
import logging
import os
import re
import warnings
from collections import defaultdict
from pathlib import Path

from hiera_mm import CONFIGS
from hiera_mm.config import as_it_stands, dicts_in, shipped_configs
from hiera_mm.inference import closed_config
from hiera_mm.inference.closed_config import DATA_KEYS, NAME_KEYS, TEST_PARTS, all_registries, drop_weights, values_in
from hiera_mm.inference.loading import in_scope

import mmaction
import mmcv.ops
import mmdet
import mmseg
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from tests.watched import watched

FILE = Path(closed_config.__file__).with_name('known_texts.json')
WORD = re.compile(r'[A-Za-z0-9_ +-]*')
"""Texts without the marks of paths, addresses, modules and calls."""


def opened_while_built(config):
    """What building a config's model opens, without its weights."""
    for device in ('meta', 'cpu'):
        try:
            with watched() as seen, in_scope(config), torch.device(device):
                MODELS.build(copy.deepcopy(config.model))
            return seen
        except (RuntimeError, NotImplementedError):
            # Some compute with numbers while they are built, which meta tensors don't have.
            if device == 'cpu':
                raise


def own_parts(config):
    """What one of this suite's configs needs to predict and to test."""
    return {key: config.get(key) for key in ('default_scope', 'test_pipeline', *TEST_PARTS)}


def foreign_parts(config):
    """What others' configs need to predict; their data sets may read files that hold code."""
    pipelines = [part['pipeline'] for part in dicts_in(config.get('test_dataloader')) if 'pipeline' in part]
    return dict(model=config.model, pipeline=pipelines)


def texts_of(parts, types):
    """The pairs of key and text in parts of a config that may be listed."""
    for _, key, value in values_in(parts):
        # 'petrel' is a storage service.
        if not isinstance(value, str) or key in (*DATA_KEYS, *NAME_KEYS) or value == 'petrel':
            continue
        if value in types if key == 'type' else WORD.fullmatch(value):
            yield key, value


def type_names():
    """The names that registries resolve, with and without their scopes."""
    registries = list(all_registries())
    # A detector's types may also be functions and layers of mmcv that are looked up by name.
    names = {name for registry in registries for name in registry.module_dict} | set(mmcv.ops.__all__)
    return names | {f'{registry.scope}.{name}' for registry in registries for name in registry.module_dict}


def packaged_configs():
    for package in (mmdet, mmseg, mmaction):
        yield from sorted(Path(package.__file__).with_name('.mim').joinpath('configs').rglob('*.py'))


def main():
    logging.disable(logging.CRITICAL)
    # Without it the hub's package tries again and again.
    os.environ['HF_HUB_OFFLINE'] = '1'
    warnings.simplefilter('ignore')
    types, listed, refused = type_names(), defaultdict(set), defaultdict(list)
    for path in [*shipped_configs().values(), *packaged_configs()]:
        own = path.is_relative_to(CONFIGS)
        try:
            with contextlib.redirect_stdout(io.StringIO()), as_it_stands():
                config = Config.fromfile(str(path))
            if 'model' not in config or 'new_config' in config:
                continue
            drop_weights(config.model)
            seen = [] if own else opened_while_built(config)
        except Exception as error:
            refused[f'{type(error).__name__}: {str(error)[:80]}'].append(path.name)
            continue
        if seen:
            refused[str(seen[0])].append(path.name)
            continue
        for key, text in texts_of(own_parts(config) if own else foreign_parts(config), types):
            listed[key].add(text)
    lines = [f'{json.dumps(key)}: {json.dumps(sorted(texts))}' for key, texts in sorted(listed.items())]
    FILE.write_text('{\n' + ',\n'.join(lines) + '\n}\n', encoding='utf-8')
    for why, names in refused.items():
        print(f'{len(names):4} {why}: {", ".join(names[:3])}')
    print(f'{FILE}: {len(listed)} keys, {sum(map(len, listed.values()))} texts.')


if __name__ == '__main__':
    main()
