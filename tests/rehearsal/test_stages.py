"""The stages of a rehearsal and what they needed."""

from hiera_mm.rehearsal.stages import Stages

import torch
from mmengine.runner import log_processor


def test_memory_of_a_gpu_is_kept_that_a_log_begins_anew(monkeypatch):
    held = [0]
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'max_memory_allocated', lambda device=None: held[0])
    monkeypatch.setattr(torch.cuda, 'reset_peak_memory_stats', lambda device=None: held.__setitem__(0, 0))
    stages = Stages()
    with stages.watched():
        stages.enter('first iterations')
        held[0] = 7 * 2**20
        assert log_processor.get_max_cuda_memory(torch.device('cpu')) == 7
        held[0] = 2 * 2**20
        stages.enter('resume')
        held[0] = 3 * 2**20
        stages.close()
    assert [stages.by_name[name].gpu_memory for name in ('first iterations', 'resume')] == [7 * 2**20, 3 * 2**20]
