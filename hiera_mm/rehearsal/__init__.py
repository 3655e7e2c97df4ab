"""A dress rehearsal of a run: every stage of training and testing, once, before it costs anything."""

from hiera_mm.rehearsal.rehearse import rehearse
from hiera_mm.rehearsal.stages import Stage

__all__ = ['Stage', 'rehearse']
