"""What training takes in memory, from fake tensors, and what follows from it for a run."""

import re
import shlex

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.commands import plan
from hiera_mm.engine.run_length import set_run_length, training_images
from hiera_mm.engine.training_memory import (
    AllocatedMemory,
    TrainingMemory,
    _on_meta,
    in_several_processes,
    training_memory,
)
from hiera_mm.engine.training_plan import CUDA_OVERHEAD, USABLE_SHARE, TrainingSetup, fastest
from hiera_mm.models.cpu import plain
from hiera_mm.settings import given_settings, read_config
from hiera_mm.tasks import task_of

import pytest
import torch
from mmengine.config import DictAction
from mmengine.registry import MODELS, init_default_scope
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.helpers import CONFIGS, FOLDER, read

GIB = 2**30


def tiny(name):
    config = read(name)
    init_default_scope(config.default_scope)
    config.model.backbone.arch = dict(embed_dim=16, num_heads=1, depths=(1, 1, 2, 1))
    config.model.backbone.drop_path_rate = 0.0
    config.model.backbone.pop('global_blocks', None)
    if 'neck' in config.model:
        config.model.neck.in_channels = [16, 32, 64, 128]
    for head in (config.model.get('cls_head'), (config.model.get('roi_head') or {}).get('bbox_head')):
        if isinstance(head, dict) and 'neck' not in config.model:
            head.in_channels = 128
    return config


def test_tensors_are_counted_as_long_as_they_live():
    held = torch.zeros(1000)
    with AllocatedMemory([held]) as memory:
        first = held + 1
        view = first[:10]
        assert memory.now == 8000, 'a view takes nothing'
        first = None
        view.mul_(2)
        assert memory.now == 8000, 'a view keeps what it is of'
        del view
        assert memory.now == 4000
        torch.zeros(3000)
    assert memory.now == 4000 and memory.peak == 16000


QUICK = ('k400_hiera_b.py', 'mae_hiera_b.py')
OTHERS = (
    'mask_rcnn_hiera_b.py',
    'cascade_mask_rcnn_hiera_b.py',
    'faster_rcnn_hiera_b.py',
    'in1k_hiera_b.py',
    'mae_hiera_b_k400.py',
    'ava_hiera_l.py',
)


@pytest.mark.parametrize('name', [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_recomputing_and_half_precision_take_less(name):
    config = tiny(name)
    if 'input_size' in config.model:
        config.model.input_size = (*config.model.input_size[:-2], 128, 128)
    recomputed = (False, (1, 0, 0, 0), True)
    ways = [training_memory(config, task_of(config), (128, 128), False, stages) for stages in recomputed]
    # In half precision, all three of those that are tested at night.
    ways += [
        training_memory(config, task_of(config), (128, 128), True, stages)
        for stages in recomputed[: 3 if name in OTHERS else 1]
    ]
    parameters = ways[0].parameters
    assert all((way.weights, way.gradients) == (4 * parameters,) * 2 for way in ways)
    # AdamW has two numbers of each parameter beside a count, SGD with momentum one.
    per_parameter = 4 if config.optim_wrapper.optimizer.type == 'SGD' else 8
    assert ways[0].optimizer == pytest.approx(per_parameter * parameters, rel=0.02)
    for none, first, all_stages in (ways[:3], ways[3:])[: len(ways) // 3]:
        assert none.per_sample > first.per_sample >= all_stages.per_sample > 0
    assert ways[3].per_sample < 0.8 * ways[0].per_sample


@pytest.mark.parametrize('name', ['in1k_hiera_b.py', 'mae_hiera_b.py'])
def test_memory_of_a_whole_batch_is_counted_where_its_activations_are_the_most(name):
    """With one picture the weights' gradients would be, which do not grow."""
    config = read(name)
    config.model.backbone.arch = dict(ARCHITECTURES['b'], depths=(1, 1, 2, 1))
    memory = training_memory(config, task_of(config), (224, 224), True, False)
    model = _on_meta(config, False)
    with FakeTensorMode(allow_non_fake_inputs=True), plain():
        model.to_empty(device='cpu')
        with AllocatedMemory(model.parameters()) as counted, torch.autocast('cpu', torch.bfloat16):
            task_of(config).training_loss(model, config.model, 64, (224, 224))
    # The end of the forward pass, which holds all activations.
    assert counted.peak + memory.optimizer <= memory.peak(64) <= 1.05 * (counted.peak + memory.optimizer)


def test_the_teacher_of_a_distillation_is_counted_but_neither_its_gradients_nor_states():
    config = tiny('distill_hiera_t_from_l.py')
    config.model.teacher.arch = dict(embed_dim=32, num_heads=1, depths=(1, 1, 2, 1))
    memories = [training_memory(config, task_of(config), (64, 64), half, False) for half in (False, True)]
    with torch.device('meta'):
        model = MODELS.build(config.model)
    student, teacher = (sum(p.numel() for p in part.parameters()) for part in (model, model.teacher))
    for memory, size in zip(memories, (4, 2), strict=True):
        assert memory.weights == memory.gradients == 4 * student
        # In half precision but for norms and the position table.
        assert size * teacher <= memory.fixed + memory.gradients
    assert memories[1].fixed < memories[0].fixed - teacher


def test_the_largest_batch_is_the_last_that_fits():
    memory = TrainingMemory(1, weights=100, gradients=100, optimizer=200, fixed=-20, per_sample=50)
    assert memory.peak(1) == 400, 'gradients are the most at a small batch'
    assert memory.peak(5) == 530
    batch = memory.largest_batch(560)
    assert memory.peak(batch) <= 560 < memory.peak(batch + 1)
    assert memory.largest_batch(399) == 0


def test_several_processes_hold_copies_of_gradients_or_parts():
    config = tiny('in1k_hiera_b.py')
    one = training_memory(config, task_of(config), (64, 64), False, False)
    assert in_several_processes(one, config, 1) == one
    copies = in_several_processes(one, config, 4)
    assert copies.peak(9) == one.peak(9) + one.gradients
    config.runner_type = 'FullyShardedRunner'
    parts = in_several_processes(one, config, 4)
    assert (parts.weights, parts.optimizer) == (one.weights // 4, one.optimizer // 4)
    assert 0 < parts.in_transit < 2 * one.weights


def test_the_fastest_way_that_fits_is_chosen():
    sizes = (('plain', 900), ('some', 400), ('all', 100))
    ways = [TrainingSetup(True, name, TrainingMemory(1, 0, 0, 0, 0, size * 2**20), repeats=2) for name, size in sizes]
    for gib, batch, expected in ((24, 8, 'plain'), (9, 8, 'some'), (3, 8, 'all'), (2, 100, 'all')):
        assert fastest(ways, batch, gib * GIB).with_cp == expected
    assert fastest(ways, 8, 1.05 * GIB) is None
    assert ways[0].largest_batch(24 * GIB) == int((24 * GIB * USABLE_SHARE - CUDA_OVERHEAD) / (1800 * 2**20))


@pytest.mark.parametrize('name', CONFIGS)
def test_the_size_of_what_is_trained_on_is_found(name):
    config = read(name)
    height, width = task_of(config).input_shape(config)
    of_task = dict(mask_rcnn=1024, cascade=1024, faster_rcnn=1024, mask2former=1024, segformer=512, upernet=512)
    of_variant = {'448': 448, 'btcv_128': 128, 'btcv': 96, 'volumes': 96, 'from_sam2': 512}
    sides = [side for task, side in of_task.items() if name.startswith(task)]
    expected = [*sides, *(side for variant, side in of_variant.items() if variant in name), 224][0]
    assert (height, width) == (expected, expected) or '_shapes' in name


@pytest.mark.slow
def test_the_plan_gives_options_that_train_as_it_says(run_command):
    code, printed = run_command('plan', 'mask_rcnn_hiera_b', '--gpus', 8, '--gpu-memory', 12)
    assert code == 0, printed
    assert '72.9 M parameters, 575 G multiply-accumulates for one input of 1024 x 1024' in printed
    assert 'The total batch size is then 32, and the learning rate 1.75e-05 by the linear rule' in printed
    assert '368750 iterations see as many samples as the 184375 of the recipe' in printed
    options = shlex.split(re.search(r'--cfg-options (.*)', printed)[1])
    config = read('mask_rcnn_hiera_b.py')
    config.merge_from_dict(
        {key: DictAction._parse_iterable(value) for key, _, value in (o.partition('=') for o in options)}
    )
    assert tuple(config.model.backbone.with_cp) == (True, True, False, False)


@pytest.fixture
def shallow(tmp_path):
    """A recipe of ImageNet with fewer blocks."""
    path = tmp_path / 'shallow.py'
    arch = dict(_delete_=True, **dict(ARCHITECTURES['t'], depths=(1, 1, 1, 1)))
    path.write_text(f"_base_ = '{FOLDER}/in1k_hiera_t.py'\nmodel = dict(backbone=dict(arch={arch}))\n")
    return path


def test_a_plan_for_a_gpu_that_is_too_small_says_what_to_do(run_command, shallow):
    code, printed = run_command('plan', shallow, '--gpu-memory', 1.05)
    assert code == 0 and "runner_type='FullyShardedRunner'" in printed, printed
    assert re.search(r'^  backbone: [\d.]+ M parameters, [\d.]+ G multiply-accumulates$', printed, re.M), printed


def test_a_plan_of_epochs_counts_iterations_by_the_number_of_samples(run_command, shallow):
    code, printed = run_command('plan', shallow, '--gpus', 8, '--gpu-memory', 80, '--samples', 1_281_167)
    # 64 images on each of 8 GPUs.
    assert code == 0 and f'The 300 epochs of 1281167 samples are {300 * 2503} iterations.' in printed, printed


@pytest.mark.parametrize(
    'settings, said',
    [
        (['epochs = 3', 'batch_size = 2'], 'The run has {iterations} iterations, 3 epochs of {images} samples.'),
        pytest.param(['max_iters = 77', 'batch_size = 2'], 'The run has 77 iterations', marks=pytest.mark.slow),
        pytest.param(
            ['epochs = 3', 'learning_rate = 1e-3'],
            'the learning rate 0.001, as your config sets it.',
            marks=pytest.mark.slow,
        ),
        pytest.param(['batch_size = 2'], 'as the recipe has', marks=pytest.mark.slow),
        pytest.param(
            ['optim_wrapper = dict(optimizer=dict(lr=3e-3))'], '0.003, as your config sets it.', marks=pytest.mark.slow
        ),
        pytest.param(['train_cfg = dict(max_iters=55)'], 'The run has 55 iterations', marks=pytest.mark.slow),
    ],
)
def test_the_plan_of_an_own_config_is_what_training_does(run_command, shapes, tmp_path, monkeypatch, settings, said):
    monkeypatch.setenv('COLUMNS', '80')
    path = tmp_path / 'my_config.py'
    base = "_base_ = 'hiera_mm::mask_rcnn_hiera_t_shapes.py'"
    path.write_text('\n'.join([base, f"data_root = '{shapes}/'", *settings]))
    config = read_config(str(path))
    task = task_of(config)
    set_run_length(config, task, str(path))
    expected = said.format(iterations=config.max_iters, images=training_images(config, task))
    code, printed = run_command('plan', path)
    assert code == 0 and expected in ' '.join(printed.split()) and '…' not in printed, printed


@pytest.mark.parametrize(
    'settings, samples, said',
    [
        ('epochs = 50', None, 'The run has 50 epochs; --samples N says how many iterations they are.'),
        ('epochs = 50', 16, 'The run has 400 iterations, 50 epochs of 16 samples.'),
        ('max_iters = 80', 16, 'The run has 80 iterations, 10 epochs of 16 samples.'),
        ('train_cfg = dict(max_iters=80)', None, 'The run has 80 iterations.'),
        ('', None, '5900000 iterations see as many samples as the 184375 of the recipe (max_iters=5900000).'),
    ],
)
def test_the_length_of_a_run_without_its_data(tmp_path, settings, samples, said):
    """Nothing is told of a recipe that the config does not follow."""
    path = tmp_path / 'my_config.py'
    path.write_text(f"_base_ = 'hiera_mm::mask_rcnn_hiera_t.py'\n{settings}\n")
    given = given_settings(str(path))
    assert plan._length(read_config(str(path)), 2, 64, samples, given) == said


def test_a_named_gpu_has_its_memory_and_a_price_gives_a_cost(run_command):
    name = 'mask_rcnn_hiera_t_shapes'
    code, printed = run_command('plan', name, '--gpu', 'RTX4090', '--price', 2.5, '--samples', 640)
    assert code == 0 and 'fits into 24' in printed, printed
    found = re.search(r'A step of one sample takes ([\d.]+) s .* costs ([\d,.]+) at 2.5 an hour', printed)
    # 450 iterations of four images; seconds are printed with two digits.
    expected = float(found[1]) * 450 * 4 / 3600 * 2.5
    assert float(found[2].replace(',', '')) == pytest.approx(expected, abs=0.005 * 450 * 4 / 3600 * 2.5 + 0.01)
    code, printed = run_command('plan', name, '--gpu', 'GTX1', '--samples', 640)
    assert code == 2 and 'RTX4090' in printed
    code, printed = run_command('plan', name, '--gpu', 'H100', '--gpu-memory', 24)
    assert code == 2 and 'not allowed with' in printed
