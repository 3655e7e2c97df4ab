"""FullyShardedRunner in two and four processes against one process."""

import json

from hiera_mm.synthetic.classes import make_class_shapes

import pytest
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tests.helpers import ROOT, start_two, weights

STEPS = 5
BATCH = 8


@HOOKS.register_module()
class WriteLossesHook(Hook):
    """The losses of each process, and what it holds of the model."""

    def before_train(self, runner):
        self.losses = []
        self.place = f'{runner.work_dir}/losses_{get_rank()}.json'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(float(outputs['loss']))

    def after_train(self, runner):
        parameters = list(runner.model.parameters())
        held = sum((p.to_local() if hasattr(p, 'to_local') else p).numel() for p in parameters)
        with open(self.place, 'w') as file:
            json.dump(dict(losses=self.losses, held=held / sum(p.numel() for p in parameters)), file)


@pytest.fixture
def train(tmp_path, run_command):
    """Train in a number of processes, each with its share of the same batches, which are not changed at random."""
    make_class_shapes(tmp_path / 'data', train=STEPS * BATCH, val=3)

    def run(processes, folder, *arguments, more='', launched=False):
        config = tmp_path / f'{folder}_{processes}.py'
        roots = ''.join(
            f"{part}_dataloader.dataset.update(data_root='{tmp_path / 'data'}')\n" for part in ('train', 'val')
        )
        config.write_text(
            f"_base_ = '{ROOT}/tests/data/tiny_in1k.py'\n"
            'train_dataloader, val_dataloader = _base_.train_dataloader, _base_.val_dataloader\n'
            f'{roots}train_dataloader.update(batch_size={BATCH // processes}, num_workers=0, persistent_workers=False, '
            'drop_last=True)\ntrain_dataloader.dataset.pipeline = _base_.test_pipeline\n'
            'val_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)\n'
            "test_dataloader = val_dataloader\nrunner_type = 'FullyShardedRunner'\nrandomness = dict(seed=3)\n"
            'model = dict(data_preprocessor=dict(blending=None))\nparam_scheduler = []\n'
            f'train_cfg = dict(max_epochs=1, val_interval=1)\n'
            'default_hooks = dict(checkpoint=dict(by_epoch=False, interval=3, save_best=None))\n'
            f"custom_hooks = [dict(type='WriteLossesHook')]\n"
            f"custom_imports = dict(imports=['hiera_mm', '{__name__}'], allow_failed_imports=False)\n{more}"
        )
        folder = tmp_path / folder
        arguments = [config, '--work-dir', folder, *arguments]
        if processes == 1 and not launched:
            code, printed = run_command('train', *arguments)
        else:
            seen = dict(CUDA_VISIBLE_DEVICES='0') if launched else {}
            process = start_two('train', [config, processes, *arguments[1:]], **seen)
            printed, _ = process.communicate(timeout=200)
            code = process.returncode
        assert code == 0, printed[-4000:]
        told = [json.loads((folder / f'losses_{rank}.json').read_text()) for rank in range(processes)]
        losses = torch.tensor([each['losses'] for each in told]).mean(dim=0)
        return losses, max(each['held'] for each in told), folder / f'iter_{STEPS}.pth'

    return run


def assert_same_run(found, expected):
    torch.testing.assert_close(found[0], expected[0][-len(found[0]) :], rtol=0, atol=1e-5)
    for key, value in weights(expected[2]).items():
        # AdamW makes whole steps of gradients that are almost zero.
        assert (weights(found[2])[key] - value).norm() <= 1e-3 * value.norm(), key


ACCUMULATED = 'optim_wrapper = dict(accumulative_counts=2, clip_grad=dict(_delete_=True, max_norm=0.05))\n'


@pytest.mark.parametrize(
    'processes, more',
    [(2, ''), pytest.param(4, '', marks=pytest.mark.slow), pytest.param(2, ACCUMULATED, marks=pytest.mark.slow)],
)
def test_losses_and_weights_are_those_of_one_process(train, processes, more):
    one, several = train(1, 'one', more=more), train(processes, 'several', more=more)
    assert one[1] == 1 and several[1] < 1 / processes + 0.15, 'each holds its share'
    assert len(one[0]) == STEPS and len(set(one[0].tolist())) == STEPS
    assert_same_run(several, one)
    first, second = (torch.load(each[2], weights_only=False)['optimizer'] for each in (one, several))
    for number, state in first['state'].items():
        for name, value in state.items():
            torch.testing.assert_close(second['state'][number][name], value, rtol=1e-3, atol=1e-5)
    assert second['param_groups'] == first['param_groups']


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(train):
    one, _ = train(1, 'one'), train(2, 'two')
    started = one[2].parent.parent / 'two' / 'iter_3.pth'
    for processes in (1, 4):
        losses = train(processes, f'on_{processes}', '--resume', started)
        assert len(losses[0]) == STEPS - 3
        assert_same_run(losses, one)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
@pytest.mark.parametrize('half', [[], ['--amp'], ['--amp', '--cfg-options', 'optim_wrapper.dtype=bfloat16']])
def test_parts_on_a_gpu_train_as_a_whole_does(train, half):
    """All parts on one GPU; in half precision gradients are scaled, and scaled back, part by part."""
    one, parts = train(1, 'one', *half), train(1, 'parts', *half, launched=True)
    assert len(one[0]) == STEPS
    torch.testing.assert_close(parts[0], one[0], rtol=2e-2 if half else 1e-4, atol=1e-5)
    going_on = train(1, 'on', *half, '--resume', parts[2].with_name('iter_3.pth'))
    torch.testing.assert_close(going_on[0], parts[0][3:], rtol=2e-2 if half else 1e-4, atol=1e-5)
