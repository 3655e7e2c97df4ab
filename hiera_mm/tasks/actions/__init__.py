"""Action detection in AVA's formats: who does what, and when."""

from hiera_mm.tasks.actions.action_detector import ActionDetector, PersonFinder
from hiera_mm.tasks.actions.task import ActionsTask

__all__ = ['TASK', 'ActionDetector', 'ActionsTask', 'PersonFinder']

TASK = ActionsTask()
