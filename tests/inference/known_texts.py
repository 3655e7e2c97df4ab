"""Writes hiera_mm/inference/known_texts.json: python -m tests.inference.known_texts

The texts are those of this suite's configs, and of those of mmdet, mmseg and mmaction2 whose models open no file, make
no connection and start no process while they are built.
"""

import contextlib
import copy
import inspect
import io
import json
import logging
import os
import re
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

from hiera_mm import CONFIGS
from hiera_mm.config import as_it_stands, dicts_in, in_scope
from hiera_mm.datasets.volumes import monai_transforms
from hiera_mm.inference import closed_config
from hiera_mm.inference.closed_config import DATA_KEYS, NAME_KEYS, TEST_PARTS, all_registries, drop_weights, values_in
from hiera_mm.settings import read_config
from hiera_mm.shipped import shipped_configs

import mmaction
import mmcv.ops
import mmdet
import mmseg
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from monai.utils import GridSampleMode, GridSamplePadMode, InterpolateMode, Method, NumpyPadMode, PytorchPadMode

from tests.watched import watched

FILE = Path(closed_config.__file__).with_name('known_texts.json')
WORD = re.compile(r'[A-Za-z0-9_ +-]*')
"""Texts without the marks of paths, addresses, modules and calls."""


STORAGE = ('petrel', 'http', 'https', 'memcached', 'lmdb', 's3')
"""Names of storage services."""


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


def of_other_channels():
    """This suite's configs of images with other channels than colours, which have types of their own."""
    for name in ('mask_rcnn_hiera_t', 'segformer_hiera_t_ade20k', 'in1k_hiera_t'):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'own.py')
            path.write_text(f"_base_ = 'hiera_mm::{name}.py'\nchannels = 2\nmean = [0, 0]\nstd = [1, 1]\n")
            yield read_config(str(path))


def foreign_parts(config):
    """What others' configs need to predict; their data sets may read files that hold code."""
    pipelines = [part['pipeline'] for part in dicts_in(config.get('test_dataloader')) if 'pipeline' in part]
    return dict(model=config.model, pipeline=pipelines)


def texts_of(parts, types):
    """The pairs of key and text in parts of a config that may be listed."""
    for _, key, value in values_in(parts):
        if not isinstance(value, str) or key in (*DATA_KEYS, *NAME_KEYS) or value in STORAGE:
            continue
        if value in types if key == 'type' else WORD.fullmatch(value):
            yield key, value


DESCRIPTION = re.compile(r'^ *(\w+) ?\([^\n]*\): ?((?:.|\n)*?)(?=^ *\w+ ?\(|\Z)', re.MULTILINE)
"""A parameter in a docstring: its name, and what is said of it."""


def texts_of_signatures(names):
    """The pairs of parameter and text in the signatures and docstrings of registered types."""
    for name in names:
        registered = [registry.module_dict.get(name.rpartition('.')[2]) for registry in all_registries()]
        for built in {entry for entry in registered if entry is not None}:
            for part in getattr(built, '__mro__', (built,)):
                yield from _texts_of(part)


def _texts_of(part):
    try:
        parameters = inspect.signature(part).parameters.values()
    except (TypeError, ValueError):
        return
    described = dict(DESCRIPTION.findall(inspect.getdoc(part) or ''))
    for parameter in parameters:
        yield from ((key, text) for _, key, text in values_in({parameter.name: parameter.default}))
        for text in re.findall(r'["\']([A-Za-z]\w*)["\']', described.get(parameter.name, '')):
            yield parameter.name, text


def texts_of_monai():
    """The names of MONAI's transforms that a pipeline may name, and their ways to fill and to interpolate."""
    yield from (('name', name) for name in monai_transforms())
    for options in (GridSampleMode, GridSamplePadMode, InterpolateMode, NumpyPadMode, PytorchPadMode, Method):
        for key in ('mode', 'padding_mode', 'method'):
            yield from ((key, str(option.value)) for option in options)


def plain(pairs):
    """The pairs whose text could be no path, address or code."""
    for key, text in pairs:
        known = isinstance(text, str) and WORD.fullmatch(text) and text not in STORAGE
        if known and key not in (*DATA_KEYS, *NAME_KEYS, 'type', '_scope_', 'default_scope'):
            yield key, text


OPENCV = dict(
    backend=['cv2', 'pillow'],
    imdecode_backend=['cv2', 'pillow', 'tifffile', 'turbojpeg'],
    interpolation=['nearest', 'bilinear', 'bicubic', 'area', 'lanczos'],
    color_type=['color', 'grayscale', 'unchanged', 'color_ignore_orientation', 'grayscale_ignore_orientation'],
)
"""What mmcv's reading and resizing take, by key."""


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
    for config in of_other_channels():
        for key, text in texts_of(own_parts(config), types):
            listed[key].add(text)
    more = [*texts_of_signatures(listed['type']), *texts_of_monai()]
    more += [(key, text) for key, texts in OPENCV.items() for text in texts]
    for key, text in plain(more):
        listed[key].add(text)
    lines = [f'{json.dumps(key)}: {json.dumps(sorted(texts))}' for key, texts in sorted(listed.items())]
    FILE.write_text('{\n' + ',\n'.join(lines) + '\n}\n', encoding='utf-8')
    for why, names in refused.items():
        print(f'{len(names):4} {why}: {", ".join(names[:3])}')
    print(f'{FILE}: {len(listed)} keys, {sum(map(len, listed.values()))} texts.')


if __name__ == '__main__':
    main()
