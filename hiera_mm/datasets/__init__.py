"""Data sets and transforms that register in mmengine's root registries."""

import importlib.util

if importlib.util.find_spec('mmaction') is not None:
    from hiera_mm.datasets import ava, images, transforms, video  # noqa: F401
