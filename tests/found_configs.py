"""The config that init writes for a folder, read with its settings."""

from hiera_mm.first_config import KINDS, Machine, config_text
from hiera_mm.readers.found_sets import find_sets, layout_of
from hiera_mm.settings import read_config


def config_of(folder, tmp_path, layout=None):
    """The config for a machine without a GPU, of the smallest size, and the sets that it is for."""
    sets = find_sets(folder, layout or layout_of(folder), tmp_path / 'out')
    path = tmp_path / 'found.py'
    path.write_text(config_text(sets, Machine(None, 2), KINDS[sets.kind].sizes[0], 2, None, random_weights=True))
    return read_config(str(path)), sets
