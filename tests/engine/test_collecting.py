"""Where the processes of an evaluation put their results together."""

from pathlib import Path
from types import SimpleNamespace

from hiera_mm.engine.collecting import CollectInWorkDirHook

from mmengine.evaluator import DumpResults, Evaluator


def test_two_evaluations_in_one_folder_do_not_share_their_parts(tmp_path):
    places = []
    for _ in range(2):
        evaluator = Evaluator([DumpResults(str(tmp_path / 'a.pkl')), DumpResults(str(tmp_path / 'b.pkl'))])
        CollectInWorkDirHook().before_test(SimpleNamespace(log_dir=str(tmp_path), test_evaluator=evaluator))
        places += [Path(metric.collect_dir) for metric in evaluator.metrics]
    assert len(set(places)) == 4 and {place.parent for place in places} == {tmp_path}
