"""Each repair works where its fault is, and only there."""

import importlib.metadata
import os
import pickle
import subprocess
import sys

from hiera_mm import compat
from hiera_mm.errors import require_packages

import mmaction
import mmcv
import mmengine.config.utils
import numpy as np
import pytest
import torch


def run(code, **arguments):
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, **arguments)


EVERYTHING = (
    'import mmdet.models, mmdet.datasets, mmdet.evaluation, mmdet.engine, mmdet.visualization\n'
    'import mmaction.models, mmaction.datasets, mmaction.evaluation, mmaction.engine, mmaction.apis\n'
)


@pytest.mark.slow
def test_everything_imports_after_the_package_and_prints_nothing():
    done = run(f'import hiera_mm, mmdet.models, mmdet.apis\n{EVERYTHING}')
    assert done.returncode == 0, done.stderr
    assert done.stdout == ''


def test_everything_imports_with_the_package_in_its_midst_which_replaces_mmdets_placeholders():
    done = run(
        'import mmdet.apis, mmdet.evaluation, mmdet.structures.mask.structures as structures\n'
        f'import hiera_mm\n{EVERYTHING}'
        'import mmcv.ops, mmdet.apis.inference as inference\n'
        'assert inference.RoIPool is mmcv.ops.RoIPool, inference.RoIPool\n'
        'assert structures.roi_align is mmcv.ops.roi_align, structures.roi_align\n'
        'from mmdet.models.losses.focal_loss import sigmoid_focal_loss\n'
        'assert sigmoid_focal_loss.__module__.startswith("mmdet")\n'
    )
    assert done.returncode == 0, done.stderr


def test_repairing_twice_changes_nothing():
    compat.repair()
    printing = mmengine.logging.print_log
    compat.repair()
    assert mmengine.logging.print_log is printing


def test_importing_leaves_numpy_and_mmengines_printing_as_they_are(capsys):
    import logging

    assert mmengine.logging.print_log.__module__ == 'mmengine.logging.logger'
    mmengine.logging.print_log('as ever', level=logging.DEBUG)
    assert capsys.readouterr().out == 'as ever\n'
    assert hasattr(np, 'NAN') == hasattr(np, 'Inf') == (np.lib.NumpyVersion(np.__version__) < '2.0.0')


def test_mmengines_own_classes_are_named_to_torch_only_where_it_does_not_do_so(monkeypatch):
    named = []
    monkeypatch.setattr(torch.serialization, 'add_safe_globals', named.extend)
    checkpoint = mmengine.runner.checkpoint
    monkeypatch.setattr(checkpoint, 'get_torch_safe_globals', list, raising=False)
    compat.let_mmengine_read_its_checkpoints()
    assert named == []
    monkeypatch.delattr(checkpoint, 'get_torch_safe_globals')
    compat.let_mmengine_read_its_checkpoints()
    assert mmengine.logging.HistoryBuffer in named


def test_the_log_in_a_checkpoint_loads_safely_and_nothing_else_by_its_ways(tmp_path):
    """What mmengine saves beside the weights: a history, whose pickle fetches its methods by getattr."""
    history = mmengine.logging.HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save(dict(loss=history), tmp_path / 'log.pth')
    torch.save(dict(loss=Reaching()), tmp_path / 'reaching.pth')
    with torch.serialization.safe_globals(compat.training_state_classes()):
        assert torch.load(tmp_path / 'log.pth', weights_only=True)['loss'].mean() == 1.5
        with pytest.raises(pickle.UnpicklingError, match="asks for the attribute '__init__'"):
            torch.load(tmp_path / 'reaching.pth', weights_only=True)


class Reaching:
    def __reduce__(self):
        return getattr, (mmengine.logging.HistoryBuffer, '__init__')


def test_a_missing_package_is_named_with_the_command_that_brings_it():
    with pytest.raises(ImportError, match='needs nothing_of_the_kind, not installed.*bash tools/setup.sh'):
        require_packages('torch', 'nothing_of_the_kind')


def test_mmaction_is_refused_without_the_repair_and_imported_with_it():
    """The assertion of mmaction 1.2.0 is what the repair is for: it must still be there to be repaired."""
    if mmcv.__version__ < '2.2':
        pytest.skip('the installed mmcv is one that mmaction accepts')
    assert 'AssertionError: MMCV==' in run('import mmaction').stderr
    assert mmaction.__name__ in sys.modules and mmcv.__version__ == mmcv.version.__version__


def test_an_accepted_mmcv_is_not_disguised(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmaction', raising=False)
    monkeypatch.setattr(mmcv, '__version__', '2.1.0')
    monkeypatch.setattr(compat.importlib, 'import_module', lambda name: pytest.fail('imported without need'))
    compat.accept_newer_mmcv_in_mmaction()


def test_the_missing_drn_says_what_to_install():
    import mmaction.models

    drn = mmaction.models.DRN
    if drn.__module__ != compat.__name__:
        pytest.skip('the installed mmaction has DRN')
    with pytest.raises(ImportError, match='pip install otxmmaction2'):
        drn()


def test_a_present_drn_is_left_alone(monkeypatch, tmp_path):
    folder = tmp_path / 'mmaction' / 'models' / 'localizers' / 'drn'
    folder.mkdir(parents=True)
    spec = importlib.util.spec_from_file_location('mmaction', tmp_path / 'mmaction' / '__init__.py')
    monkeypatch.setattr(compat.importlib.util, 'find_spec', lambda name: spec)
    for name in ('mmaction.models.localizers.drn', 'mmaction.models.localizers.drn.drn'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    compat.stand_in_for_missing_drn()
    assert 'mmaction.models.localizers.drn' not in sys.modules


def fake_distributions(monkeypatch, **versions):
    def version(distribution):
        if distribution not in versions:
            raise importlib.metadata.PackageNotFoundError(distribution)
        return versions[distribution]

    monkeypatch.setattr(compat, 'version', version)


def test_mmaction_configs_are_found_where_only_otxmmaction2_is_installed(monkeypatch):
    monkeypatch.setitem(mmengine.config.utils.MODULE2PACKAGE, 'mmaction', 'mmaction2')
    fake_distributions(monkeypatch, otxmmaction2='1.2.0')
    compat.find_mmaction_configs()
    package = mmengine.config.utils.MODULE2PACKAGE['mmaction']
    # mmengine must find the module's folder by that name although no distribution is called so.
    assert mmengine.utils.get_installed_path(package).endswith('mmaction')


def test_mmaction_configs_are_looked_up_as_ever_where_mmaction2_is_installed(monkeypatch):
    monkeypatch.setitem(mmengine.config.utils.MODULE2PACKAGE, 'mmaction', 'mmaction2')
    fake_distributions(monkeypatch, mmaction2='1.2.0')
    compat.find_mmaction_configs()
    assert mmengine.config.utils.MODULE2PACKAGE['mmaction'] == 'mmaction2'


@pytest.mark.parametrize(
    'installed, timm',
    [
        ('4.57.1', 'no timm'),
        pytest.param('4.56.2', 'timm', marks=pytest.mark.slow),
        pytest.param('5.23.0', 'timm', marks=pytest.mark.slow),
    ],
)
def test_mmaction_models_import_beside_any_transformers_whatever_it_lacks(tmp_path, installed, timm):
    """A transformers without a single name, in front of the installed one, and a timm that is none."""
    (tmp_path / 'transformers').mkdir()
    (tmp_path / 'transformers' / '__init__.py').write_text('')
    (tmp_path / f'transformers-{installed}.dist-info').mkdir()
    (tmp_path / f'transformers-{installed}.dist-info' / 'METADATA').write_text(
        f'Metadata-Version: 2.1\nName: transformers\nVersion: {installed}\n'
    )
    if timm == 'no timm':
        (tmp_path / 'timm.py').write_text("raise ModuleNotFoundError('there is no timm')\n")
    code = (
        "import importlib.metadata as m; print(m.version('transformers'))\n"
        'import hiera_mm, mmaction.models, mmdet.models\n'
        "from mmaction.registry import MODELS; print(MODELS.get('ClipRecognizer'), MODELS.get('VindLUVQA'))"
    )
    done = run(code, env=dict(os.environ, PYTHONPATH=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'{installed}\n') and 'ask_install' in done.stdout


@pytest.mark.slow
def test_mmaction_models_import_without_transformers():
    code = "import sys; sys.modules['transformers'] = sys.modules['timm'] = None; import hiera_mm, mmaction.models"
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_avas_evaluation_gives_no_number_for_an_action_without_examples():
    from mmaction.evaluation.functional.ava_evaluation.metrics import compute_average_precision

    assert np.isnan(compute_average_precision(None, None))


def test_mmactions_poses_have_the_constants_that_numpy_2_removed():
    from mmaction.datasets.transforms import pose_transforms

    assert pose_transforms.np.Inf == np.inf and pose_transforms.np.array is np.array
