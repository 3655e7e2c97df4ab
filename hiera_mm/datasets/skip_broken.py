"""How data sets handle files that can't be read."""

from typing import TYPE_CHECKING

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.program import command_line

from mmengine.logging import print_log

MIN_TRIED = 20
"""How many files a process tries before it may stop because too many are broken."""


if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset as Base
else:
    Base = object  # a mixin: the data set's class is the next base


class SkipBrokenFiles(Base):
    """Mixin for data sets of videos or images: in training, a file that can't be read is logged and counted, and
    another one is used instead; in testing it is an error.

    Args:
        max_broken: Share of the tried files that may be broken before training stops.

    Raises:
        UserError: in training, for too many broken files.
        BrokenFileError: in test mode, for the first broken file.
    """

    files = 'videos'

    def __init__(self, *args, max_broken: float, **kwargs) -> None:
        self.max_broken = max_broken
        self.tried, self.broken = 0, 0
        super().__init__(*args, **kwargs)

    def prepare_data(self, index: int) -> dict | list[dict] | None:
        """One sample, or a list of samples with repeats; None makes mmengine take another file."""
        self.tried += 1
        try:
            return self._samples(index)
        except BrokenFileError as error:
            if self.test_mode:
                raise
            self.broken += 1
            print_log(f'Skipped, {self.broken} of {self.tried} so far: {error}', logger='current', level=30)
            if self.tried >= MIN_TRIED and self.broken > self.max_broken * self.tried:
                raise UserError(
                    f"{self.broken} of the {self.tried} {self.files} tried from '{self.source}' can't be read, more "
                    f'than max_broken={self.max_broken} allows ({command_line("check-data")} names them all); '
                    f'the last: {error}'
                ) from error
            return None

    @property
    def source(self) -> str:
        """The list or folder that names the files."""
        return self.ann_file

    def _samples(self, index: int) -> dict | list[dict]:
        return super().prepare_data(index)
