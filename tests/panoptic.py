"""What tests of panoptic segmentation share: a small set, and a config for it."""

import functools
import json
import shutil
import tempfile
from pathlib import Path

from hiera_mm.settings import read_config

import numpy as np
from mmengine.config import Config
from PIL import Image

NAMES = ['circle', 'bar', 'triangle', 'stripes', 'dots']
CONFIG = """_base_ = 'hiera_mm::mask2former_hiera_t_shapes_panoptic.py'
data_root = '{folder}/'
num_workers = 0
{more}
"""


def copied(panoptic, tmp_path):
    """A copy of the small set that a test may change."""
    return shutil.copytree(panoptic, tmp_path / 'set')


def config_file(folder, tmp_path, more=''):
    path = tmp_path / 'mine.py'
    path.write_text(CONFIG.format(folder=folder, more=more))
    return path


def config_of(folder, tmp_path, more=''):
    return read_config(str(config_file(folder, tmp_path, more)))


@functools.cache
def _plain_config():
    with tempfile.TemporaryDirectory() as folder:
        return config_of('FOLDER', Path(folder))


def plain_config_of(folder):
    """As :func:`config_of` without more; the file is read once."""
    return Config.fromstring(_plain_config().pretty_text.replace('FOLDER', str(folder)), '.py')


def change(folder, alter, part='train'):
    """Change an annotation file."""
    path = folder / 'annotations' / f'panoptic_{part}.json'
    content = json.loads(path.read_text())
    alter(content)
    path.write_text(json.dumps(content))
    return content


def map_path(folder, number=1, part='train'):
    return folder / 'annotations' / f'panoptic_{part}' / f'{number:06d}.png'


def ids_of(path):
    """The segments of a map by plain arithmetic on Pillow's pixels."""
    red, green, blue = np.moveaxis(np.asarray(Image.open(path).convert('RGB')).astype(int), -1, 0)
    return red + 256 * green + 65536 * blue
