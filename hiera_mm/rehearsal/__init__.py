"""A dress rehearsal of a run: every stage of training and testing, once, before it costs anything."""

from hiera_mm.rehearsal.course import Stage
from hiera_mm.rehearsal.rehearse import rehearse

__all__ = ['Stage', 'rehearse']
