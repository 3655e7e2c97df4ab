"""A dress rehearsal of a run: every station of training and testing, once, before it costs anything."""

from hiera_mm.rehearsal.course import Station
from hiera_mm.rehearsal.rehearse import rehearse

__all__ = ['Station', 'rehearse']
