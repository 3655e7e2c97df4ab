"""A data set cut down to a whole batch and the last one."""

import numpy as np
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS


@DATASETS.register_module()
class FewSamples:
    """As many samples of a data set, from its whole length, as make one batch and the last batch of an epoch.

    Args:
        dataset: Config of the data set.
        batch_size: Of its loader.
        batches: Of an epoch of the set that this one stands in for; None where it is the set itself.

    Attributes:
        batches: Of a whole epoch.
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
        """For samplers that look at a sample without loading it."""
        return self.whole.get_data_info(self.indices[index])

    def __getattr__(self, name: str) -> object:
        # While a worker unpickles this, there is no data set yet.
        if name == 'whole':
            raise AttributeError(name)
        return getattr(self.whole, name)


def cut(loader: ConfigDict, batches: int | None) -> None:
    """Have a data loader's config give a few samples of its data set; ``batches`` as for :class:`FewSamples`."""
    batch_size = loader.get('batch_size', 1)
    loader.dataset = ConfigDict(type='FewSamples', dataset=loader.dataset, batch_size=batch_size, batches=batches)
