"""A data set reduced to one full batch and the last batch."""

import numpy as np
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS


@DATASETS.register_module()
class FewSamples:
    """Evenly spread samples of a data set, enough for one full batch and the last batch of an epoch.

    Args:
        dataset: Config of the data set.
        batch_size: Batch size of its loader.
        batches: Batches of an epoch of the data set that stand-in data replace; None if these are the real data.

    Attributes:
        batches: Batches of a whole epoch.
    """

    def __init__(self, dataset: dict, batch_size: int, batches: int | None) -> None:
        self.whole = DATASETS.build(dataset)
        if hasattr(self.whole, 'full_init'):
            self.whole.full_init()
        length = len(self.whole)
        count = min(length, batch_size + (length % batch_size or batch_size))
        self.batches = batches or -(-length // batch_size)
        self.indices = np.linspace(0, length - 1, count).round().astype(int).tolist()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> object:
        return self.whole[self.indices[index]]

    def get_data_info(self, index: int) -> dict:
        """Metadata of a sample, for samplers that don't load it."""
        return self.whole.get_data_info(self.indices[index])

    def __getattr__(self, name: str) -> object:
        # While a worker unpickles this object, it has no data set yet.
        if name == 'whole':
            raise AttributeError(name)
        return getattr(self.whole, name)


def keep_few_samples(loader: ConfigDict, batches: int | None) -> None:
    """Reduce the data set of a loader's config to :class:`FewSamples`; ``batches`` is as there."""
    batch_size = loader.get('batch_size', 1)
    loader.dataset = ConfigDict(type='FewSamples', dataset=loader.dataset, batch_size=batch_size, batches=batches)
