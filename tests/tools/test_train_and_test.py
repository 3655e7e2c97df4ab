"""hiera-mm train and hiera-mm test on generated images: whole runs, and every bad input they must explain."""

import json
import pickle
import shutil

import pytest
import torch

from tests.helpers import TINY, assert_explained, losses_of, run, run_program, shapes_options


def test_training_writes_losses_checkpoints_and_coco_metrics(trained):
    assert len(losses_of(trained)) == 2
    assert (trained / 'iter_2.pth').exists()
    logged = next(trained.glob('*/*.log')).read_text()
    assert 'coco/bbox_mAP_50' in logged and 'coco/segm_mAP_50' in logged


def test_testing_evaluates_draws_and_dumps(trained, shapes, tmp_path, run_command):
    pictures, predictions = tmp_path / 'pictures', tmp_path / 'predictions.pkl'
    code, printed = run_command(
        *('test', TINY, trained / 'iter_2.pth', '--work-dir', tmp_path / 'test'),
        *('--show-dir', pictures, '--out', predictions, *shapes_options(shapes)),
    )
    assert code == 0, printed
    assert 'coco/segm_mAP_50' in printed
    assert len(list(pictures.glob('*.png'))) == 4
    with predictions.open('rb') as file:
        assert len(pickle.load(file)) == 4


@pytest.mark.slow
def test_a_model_trained_with_an_average_of_its_weights_is_tested_with_the_average(shapes, tmp_path, run_command):
    config, out = tmp_path / 'config.py', tmp_path / 'predictions.pkl'
    config.write_text(
        f"_base_ = '{TINY}'\n"
        "custom_hooks = [dict(type='EMAHook', momentum=0.5)]\n"
        'model = dict(test_cfg=dict(rcnn=dict(score_thr=0.0)))\n'
    )
    code, printed = run_command('train', config, '--verbose', '--work-dir', tmp_path / 'run', *shapes_options(shapes))
    assert code == 0, printed
    checkpoint = torch.load(tmp_path / 'run' / 'iter_2.pth', weights_only=False)
    average, last = checkpoint['state_dict'], checkpoint['ema_state_dict']
    name = 'backbone.blocks.0.attn.qkv.weight'
    assert not torch.equal(average[name], last[f'module.{name}'])
    predicted = []
    for hooks in ('with', 'without'):
        arguments = ('test', config if hooks == 'with' else TINY, tmp_path / 'run' / 'iter_2.pth')
        options = [*shapes_options(shapes), 'model.test_cfg.rcnn.score_thr=0.0']
        code, printed = run_command(*arguments, '--work-dir', tmp_path / hooks, '--out', out, *options)
        assert code == 0, printed
        predicted.append([sample['pred_instances']['scores'] for sample in pickle.loads(out.read_bytes())])
    for one, other in zip(*predicted, strict=True):
        assert len(one) and torch.equal(one, other), 'the checkpoint holds the average as its weights'


def test_resuming_goes_on_where_the_checkpoint_was(trained, shapes, tmp_path, run_command):
    shutil.copytree(trained, tmp_path / 'run')
    for option in ('--resume', f'--resume={tmp_path}/run/iter_1.pth'):
        code, printed = run_command(
            *('train', TINY, '--verbose', '--work-dir', tmp_path / 'run', option),
            *(*shapes_options(shapes), 'train_cfg.max_iters=3', 'train_cfg.val_interval=3'),
        )
        assert code == 0, printed
        assert 'Iter(train) [3/3]' in printed and 'Iter(train) [1/3]' not in printed
        assert ('Iter(train) [2/3]' in printed) == ('iter_1' in option)


def test_automatic_resuming_starts_anew_where_nothing_was_saved(shapes, tmp_path, run_command):
    code, printed = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, '--resume', *shapes_options(shapes))
    assert code == 0, printed
    assert 'Iter(train) [1/2]' in printed


def test_auto_scale_lr_scales_by_the_batch(shapes, tmp_path, run_command):
    arguments = ('train', TINY, '--verbose', '--work-dir', tmp_path, '--auto-scale-lr', *shapes_options(shapes))
    code, printed = run_command(
        *arguments,
        'train_cfg.max_iters=1',
        'optim_wrapper.optimizer.lr=8e-4',
        'val_cfg=None',
        'val_dataloader=None',
        'val_evaluator=None',
        'param_scheduler=[]',
    )
    assert code == 0, printed
    assert 'lr: 4.0000e-04' in printed, 'a batch of 2 where the rate is for 4'


SAME_IN_EVERY_PROCESS = """
_base_ = '{tiny}'

train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'RandomFlip']
train_dataloader = dict(sampler=dict(shuffle=False), dataset=dict(pipeline=train_pipeline))
# All regions instead of a random choice, and plain SGD, whose first step shows the size of the gradient.
model = dict(
    backbone=dict(drop_path_rate=0.0),
    train_cfg=dict(rpn=dict(sampler=dict(num=100000)), rcnn=dict(sampler=dict(num=100000))),
)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.01), paramwise_cfg=None, clip_grad=None)
train_cfg = dict(max_iters=1)
param_scheduler = []
val_cfg = val_dataloader = val_evaluator = None
randomness = dict(seed=1)
"""


@pytest.mark.slow
def test_two_processes_have_the_loss_and_the_step_of_one_with_the_same_global_batch(shapes, tmp_path):
    """All images of the set are made the same one, so that the logged loss of the first process is everyone's."""
    folder = tmp_path / 'set'
    shutil.copytree(shapes, folder)
    same_images(folder)
    config = tmp_path / 'config.py'
    config.write_text(SAME_IN_EVERY_PROCESS.format(tiny=TINY))
    options = ['--cfg-options', f'train_dataloader.dataset.data_root={folder}']
    run_program('train', config, '--verbose', '--work-dir', tmp_path / '1', *options, 'train_dataloader.batch_size=2')
    double = ['train', config, '--gpus', 2, '--work-dir', tmp_path / '2', *options]
    run_program(*double, 'train_dataloader.batch_size=1')
    assert losses_of(tmp_path / '1') == pytest.approx(losses_of(tmp_path / '2'), rel=1e-4)
    one, two = (torch.load(tmp_path / n / 'iter_1.pth', weights_only=False)['state_dict'] for n in '12')
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=1e-3, atol=1e-5)


def same_images(folder):
    """Give every training image the picture and the objects of the one with most objects."""
    path = folder / 'annotations' / 'instances_train.json'
    content = json.loads(path.read_text())
    model = max(content['images'], key=lambda i: sum(a['image_id'] == i['id'] for a in content['annotations']))
    objects = [a for a in content['annotations'] if a['image_id'] == model['id'] and not a['iscrowd']]
    content['annotations'] = []
    for image in content['images']:
        image.update(model, id=image['id'])
        content['annotations'] += [dict(a, image_id=image['id'], id=100 * image['id'] + a['id']) for a in objects]
    path.write_text(json.dumps(content))


@pytest.mark.slow
def test_distributed_testing_gives_the_metrics_of_one_process(trained, shapes, tmp_path):
    checkpoint = trained / 'iter_2.pth'
    options = ['--work-dir', tmp_path, *shapes_options(shapes), 'model.test_cfg.rcnn.score_thr=0.0']
    run(['bash', 'tools/dist_test.sh', TINY, checkpoint, '2', *options])
    run_program('test', TINY, checkpoint, *options)
    first, second = (json.loads(path.read_text()) for path in tmp_path.glob('*/*.json'))
    names = [name for name in first if name.startswith('coco/')]
    assert len(names) == 12 and all(first[name] == pytest.approx(second[name], abs=1e-3) for name in names)


def test_a_config_that_does_not_exist_is_named(run_command):
    assert_explained(
        run_command('train', 'configs/mask_rcnn_hiera_x.py'), "'configs/mask_rcnn_hiera_x.py' does not exist"
    )


def test_missing_data_says_which_folder_and_how_to_set_it(run_command, tmp_path):
    result = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *shapes_options(tmp_path / 'absent'))
    assert_explained(result, f"'{tmp_path}/absent'", '--cfg-options train_dataloader.dataset.data_root=FOLDER')


def test_classes_that_do_not_match_are_listed(run_command, shapes, tmp_path):
    options = [*shapes_options(shapes), "train_dataloader.dataset.metainfo.classes=('cat','dog')"]
    result = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *options)
    assert_explained(result, "['cat', 'dog']", "['circle', 'bar', 'triangle']")


@pytest.mark.parametrize('workers', [pytest.param(0, marks=pytest.mark.slow), 1])
@pytest.mark.parametrize('content, said', [(None, 'is missing'), (b'no picture', "can't be decoded")])
def test_a_missing_or_broken_image_is_named(run_command, shapes, tmp_path, workers, content, said):
    folder = tmp_path / 'set'
    shutil.copytree(shapes, folder)
    for image in (folder / 'train').glob('*.png'):
        image.unlink()
        if content:
            image.write_bytes(content)
    options = [*shapes_options(folder), f'train_dataloader.num_workers={workers}']
    result = run_command('train', TINY, '--verbose', '--work-dir', tmp_path / 'run', *options)
    assert_explained(
        result, 'train_dataloader.dataset: ', f'{folder}/train', 'not in' if content is None else 'damaged'
    )
    # Data in a store, whose pictures are not looked at before.
    store = tmp_path / 'store.py'
    arguments = "dict(dataset=dict(backend_args=dict(_delete_=True, backend='local')))"
    store.write_text(f"_base_ = '{TINY}'\ntrain_dataloader = {arguments}\n")
    result = run_command('train', store, '--verbose', '--work-dir', tmp_path / 'run', *options)
    assert_explained(result, f"The image '{folder}/train/0", said)


@pytest.mark.parametrize(
    'content, said',
    [(None, 'does not exist'), (b'', '(0 bytes) is damaged'), (b'hello', 'not a PyTorch or safetensors checkpoint')],
)
@pytest.mark.parametrize('tool', ['test', 'train'])
def test_a_missing_or_broken_checkpoint_is_named(run_command, shapes, tmp_path, tool, content, said):
    checkpoint = tmp_path / 'weights.pth'
    if content is not None:
        checkpoint.write_bytes(content)
    arguments = [checkpoint] if tool == 'test' else ['--resume', checkpoint]
    result = run_command(tool, TINY, *arguments, '--work-dir', tmp_path, *shapes_options(shapes))
    assert_explained(result, f"'{checkpoint}'", said)


def test_a_truncated_checkpoint_is_named(run_command, trained, shapes, tmp_path):
    whole = (trained / 'iter_2.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    result = run_command('test', TINY, tmp_path / 'cut.pth', '--work-dir', tmp_path, *shapes_options(shapes))
    assert_explained(result, "cut.pth'", 'damaged, truncated')


def test_a_checkpoint_of_other_classes_is_refused(run_command, trained, shapes, tmp_path):
    options = [*shapes_options(shapes), "test_dataloader.dataset.metainfo.classes=('bar','circle','triangle')"]
    options.append("train_dataloader.dataset.metainfo.classes=('bar','circle','triangle')")
    result = run_command('test', TINY, trained / 'iter_2.pth', '--work-dir', tmp_path, *options)
    assert_explained(result, "other classes than those of the test set: number 0 was 'circle' and is 'bar'")


def test_a_checkpoint_of_another_model_is_refused(run_command, trained, shapes, tmp_path):
    torch.save(dict(state_dict={'stem.weight': torch.ones(3)}), tmp_path / 'other.pth')
    result = run_command('test', TINY, tmp_path / 'other.pth', '--work-dir', tmp_path, *shapes_options(shapes))
    assert_explained(result, "other.pth' holds no Hiera: the names of its 1 tensors, such as 'stem.weight'")
    state = torch.load(trained / 'iter_2.pth', weights_only=False)['state_dict']
    torch.save({key: value for key, value in state.items() if 'mask_head' not in key}, tmp_path / 'part.pth')
    result = run_command('test', TINY, tmp_path / 'part.pth', '--work-dir', tmp_path, *shapes_options(shapes))
    assert_explained(result, "part.pth'", "'roi_head.mask_head.", 'name the config it was trained with')


def test_a_checkpoint_of_another_width_is_refused(run_command, trained, shapes, tmp_path):
    options = [*shapes_options(shapes), 'model.roi_head.mask_head.conv_out_channels=32']
    result = run_command('test', TINY, trained / 'iter_2.pth', '--work-dir', tmp_path, *options)
    assert_explained(result, "'roi_head.mask_head.", 'in the file and', 'in the model')


def test_going_on_from_a_checkpoint_of_another_model_is_refused(run_command, trained, shapes, tmp_path):
    options = [*shapes_options(shapes), 'model.roi_head.mask_head.conv_out_channels=32']
    arguments = ('train', TINY, '--work-dir', tmp_path, '--resume', trained / 'iter_1.pth')
    assert_explained(run_command(*arguments, *options), "'roi_head.mask_head.", 'in the file and', 'in the model')


def test_pretrained_weights_that_cannot_be_fetched_say_where_to_put_the_file(
    run_command, shapes, tmp_path, monkeypatch
):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    address = 'http://127.0.0.1:9/weights.pth'
    config = tmp_path / 'config.py'
    init_cfg = dict(_delete_=True, type='Pretrained', checkpoint=address)
    config.write_text(f"_base_ = '{TINY}'\nmodel = dict(backbone=dict(init_cfg={init_cfg}))\n")
    result = run_command('train', config, '--verbose', '--work-dir', tmp_path / 'run', *shapes_options(shapes))
    assert_explained(result, address, f"'{tmp_path}/hub/checkpoints/weights-")


def test_an_unknown_key_of_the_backbone_is_named(run_command, shapes, tmp_path):
    options = [*shapes_options(shapes), 'model.backbone.drop_path=0.1']
    result = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *options)
    assert_explained(result, "'drop_path'", 'does not exist on Hiera')


def test_a_misspelt_type_is_named(run_command, shapes, tmp_path):
    options = [*shapes_options(shapes), 'model.backbone.type=Hierra']
    result = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *options)
    assert_explained(result, 'Hierra is not in the', 'registry')


def test_a_loss_that_is_no_number_stops_the_run_with_the_iteration(run_command, shapes, tmp_path):
    options = [
        *shapes_options(shapes),
        'optim_wrapper.optimizer.lr=1e30',
        'train_cfg.max_iters=9',
        'param_scheduler=[]',
    ]
    options += ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None', 'optim_wrapper.clip_grad=None']
    result = run_command('train', TINY, '--verbose', '--work-dir', tmp_path, *options)
    assert_explained(result, 'The loss became invalid at iteration 2')
    assert (tmp_path / 'iter_1.pth').exists()
    assert not (tmp_path / 'iter_2.pth').exists(), 'nothing is saved after the loss became invalid'


def test_predictions_go_into_a_pickle_only(run_command):
    assert_explained(run_command('test', TINY, 'any.pth', '--out', 'boxes.json'), "unlike 'boxes.json'")


def test_both_coco_metrics_give_the_same_results(trained, shapes, tmp_path, run_command):
    results = {}
    for metric in ('CocoMetric', 'FasterCocoMetric'):
        code, printed = run_command(
            *('test', TINY, trained / 'iter_2.pth', '--work-dir', tmp_path / metric, *shapes_options(shapes)),
            *(f'test_evaluator.type={metric}', 'test_evaluator.metric=[bbox,segm]'),
        )
        assert code == 0, printed
        (path,) = (tmp_path / metric).glob('*/*.json')
        values = json.loads(path.read_text())
        results[metric] = {key: value for key, value in values.items() if key.startswith('coco/')}
    assert len(results['CocoMetric']) == 12 and results['CocoMetric'] == results['FasterCocoMetric']


@pytest.mark.slow
def test_compiling_changes_no_prediction_and_tells_its_cost(trained, shapes, tmp_path, run_command):
    scores = []
    for options in ((), ('--compile',)):
        out = tmp_path / f'{len(options)}.pkl'
        code, printed = run_command(
            *('test', TINY, trained / 'iter_2.pth', '--work-dir', tmp_path, '--out', out, *options),
            *shapes_options(shapes),
        )
        assert code == 0, printed
        assert ('Compiled backbone, neck, rpn_head to 3 graphs: the first iteration took' in printed) == bool(options)
        with out.open('rb') as file:
            scores.append([image['pred_instances']['scores'].sort().values for image in pickle.load(file)])
    for compiled, plain in zip(*scores, strict=True):
        assert len(plain) and torch.allclose(compiled, plain, atol=1e-4)
