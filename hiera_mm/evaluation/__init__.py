"""Metrics that register in mmengine's root registry."""

import importlib.util

from hiera_mm.evaluation import coco, dump, features, panoptic, volumes  # noqa: F401

if importlib.util.find_spec('mmaction') is not None:
    from hiera_mm.evaluation import ava  # noqa: F401
