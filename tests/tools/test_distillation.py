"""From a trained detector to a distilled backbone and back to a detector, through the tools."""

import hiera_mm
from hiera_mm.inference.loading import checkpoint_in

import hiera
import pytest
import torch

from tests.helpers import (
    ROOT,
    TINY,
    assert_explained,
    assert_same_maps,
    losses_of,
    perturbed,
    read_config,
    run_program,
    shapes_options,
    weights,
)

DISTILLATION = ROOT / 'tests' / 'data' / 'tiny_distillation.py'
OF_A_DETECTOR = (
    "model.teacher=dict(type='Hiera', arch=dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), out_norm=True, "
    "init_cfg=dict(type='Pretrained', checkpoint='{}'))"
)


@pytest.fixture(scope='module')
def taught_by(shapes, tmp_path_factory):
    """A config whose teacher is the backbone of a detector that was trained before."""
    folder = tmp_path_factory.mktemp('teacher')
    run_program('train', TINY, '--work-dir', folder / 'detector', *shapes_options(shapes), 'train_cfg.max_iters=1')
    checkpoint = checkpoint_in(str(folder / 'detector'))
    held = torch.load(checkpoint, weights_only=True)
    arch = read_config(TINY).model.backbone
    settings = {key: value for key, value in arch.to_dict().items() if key not in ('init_cfg', 'drop_path_rate')}
    assert held['state_dict']
    path = folder / 'my_distillation.py'
    path.write_text(
        f"_base_ = '{DISTILLATION}'\n"
        f'data_root = {str(shapes)!r}\n'
        f'model = dict(teacher=dict(_delete_=True, **{settings!r}, '
        f"init_cfg=dict(type='Pretrained', checkpoint={checkpoint!r})))\n"
    )
    return path, checkpoint


def test_it_learns_resumes_exactly_and_holds_the_student_alone(taught_by, tmp_path):
    config, checkpoint = taught_by
    whole, again = tmp_path / 'whole', tmp_path / 'again'
    assert 'Hiera weights from ' + checkpoint in run_program('train', config, '--work-dir', whole, '--verbose')
    run_program('train', config, '--work-dir', again, '--resume', whole / 'epoch_1.pth')
    losses = losses_of(whole)
    assert len(losses) == 4 and losses_of(again) == losses[2:]
    state = weights(again / 'epoch_2.pth')
    assert {name.split('.')[0] for name in state} == {'backbone', 'projections'}


def test_a_detector_and_other_code_start_from_it(taught_by, shapes, tmp_path, run_command):
    config, _ = taught_by
    run_program('train', config, '--work-dir', tmp_path / 'taught', '--cfg-options', 'train_cfg.max_epochs=1')
    checkpoint = tmp_path / 'taught' / 'epoch_1.pth'
    backbone = 'model.backbone'
    options = [f'{backbone}.init_cfg._delete_=True', f'{backbone}.init_cfg.type=Pretrained']
    options += [f'{backbone}.pos_embed_size=16', f'{backbone}.init_cfg.checkpoint={checkpoint}']
    arguments = ('train', TINY, '--work-dir', tmp_path / 'detector', *shapes_options(shapes), *options)
    code, printed = run_command(*arguments, 'train_cfg.max_iters=1', 'train_cfg.val_interval=1')
    assert code == 0, printed
    assert f'Hiera weights from {checkpoint} (format hiera_mm' in printed and '8 of the rest of its model' in printed
    alone, pixels = hiera_mm.backbone(str(checkpoint)), torch.randn(1, 3, 64, 64)
    state = {name.removeprefix('backbone.'): one for name, one in weights(checkpoint).items()}
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert_same_maps(alone(pixels), alone(pixels))


def test_the_student_inherits_the_licence_of_its_teacher(shapes, tmp_path):
    """Also where it starts from weights of its own."""
    oracle = perturbed(hiera.hiera_tiny_224(num_classes=2))
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'mae_hiera_tiny_224.pth')
    config = tmp_path / 'my_distillation.py'
    config.write_text(
        f"_base_ = '{DISTILLATION}'\n"
        f'data_root = {str(shapes)!r}\n'
        f"model = dict(teacher=dict(arch='t', out_norm=False, "
        f"init_cfg=dict(checkpoint='{tmp_path}/mae_hiera_tiny_224.pth')))\n"
        'train_cfg = dict(max_epochs=1)\n'
    )
    run_program('train', config, '--work-dir', tmp_path / 'run')
    torch.save(dict(state_dict=weights(tmp_path / 'run' / 'epoch_1.pth')), tmp_path / 'own.pth')
    options = ('--cfg-options', f'load_from={tmp_path}/own.pth')
    run_program('train', config, '--work-dir', tmp_path / 'again', *options)
    held = torch.load(tmp_path / 'again' / 'epoch_1.pth', weights_only=True)['meta']['weights_from']
    assert dict(source='hiera_t.mae_in1k', licence='CC BY-NC 4.0') in held
    assert {one['source'] for one in held} == {'hiera_t.mae_in1k', f'{tmp_path}/own.pth'}


@pytest.mark.parametrize(
    'teacher, words',
    [
        ('dict(init_cfg=None)', "The teacher's weights are random, so there is nothing to learn from it"),
        ("dict(_delete_=True, type='TimmBackbone', model_name='resnet18', pretrained=None)", 'weights are random'),
    ],
)
def test_a_teacher_that_has_learned_nothing_is_refused_before_training(shapes, tmp_path, run_command, teacher, words):
    config = tmp_path / 'my_distillation.py'
    config.write_text(f"_base_ = '{DISTILLATION}'\ndata_root = {str(shapes)!r}\nmodel = dict(teacher={teacher})\n")
    assert_explained(run_command('train', config, '--work-dir', tmp_path / 'run'), words)
    code, printed = run_command('check-data', config)
    assert code == 1 and words in printed


@pytest.mark.parametrize(
    'change', ['out_norm=False', 'window_sizes=(8, 4, 4, 2)', "pos_embed='absolute_win'", 'global_blocks=(1,)']
)
def test_a_teacher_with_other_settings_than_it_was_trained_with_is_refused(taught_by, tmp_path, run_command, change):
    config, checkpoint = taught_by
    changed = tmp_path / 'changed.py'
    changed.write_text(f"_base_ = '{config}'\nmodel = dict(teacher=dict({change}))\n")
    code, printed = run_command('check-data', changed)
    assert code == 1 and 'The teacher has other settings than the backbone in' in printed, printed
    # As it says.
    told = printed[printed.index('set model = ') + 4 :].replace('\n', ' ')
    end = told.index('))).') + 3
    changed.write_text(f"_base_ = '{config}'\n{told[:end]}\n")
    code, printed = run_command('check-data', changed)
    assert code == 0 and '0 faults' in printed, printed


def test_a_distilled_model_says_how_it_is_used(taught_by, shapes, tmp_path, run_command):
    config, _ = taught_by
    run_program('train', config, '--work-dir', tmp_path / 'run', '--cfg-options', 'train_cfg.max_epochs=1')
    picture = next((shapes / 'val').glob('*.png'))
    result = run_command('predict', tmp_path / 'run', picture, '--out-dir', tmp_path / 'out')
    assert_explained(result, 'is a distilled backbone, which predicts nothing by itself', 'hiera_mm.backbone(')
    code, printed = run_command('report', tmp_path / 'run')
    assert code == 0, printed
