"""Checks of the labelled set by which features that are learned without labels are judged."""

from collections.abc import Iterator

from hiera_mm.checks.fault import Fault, Severity
from hiera_mm.errors import UserError
from hiera_mm.evaluation.features import folds_for

import numpy as np
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS


def faults_of_labels(key: str, dataset: ConfigDict) -> Iterator[Fault]:
    """Too few classes or samples for a cross-validation; a set that can't be read is told elsewhere."""
    try:
        built = DATASETS.build(dict(dataset, pipeline=[]))
    except UserError:
        return
    try:
        folds_for(np.array([built.get_data_info(place)['label'] for place in range(len(built))]))
    except UserError as error:
        yield Fault(Severity.BLOCKS, f'{key}: {error}')
