"""Segmentation configs: they build, learn and predict at reduced depth; their decoders are those of others."""

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.engine.run_length import set_run_length
from hiera_mm.errors import UserError
from hiera_mm.settings import read_config
from hiera_mm.synthetic.masks import make_mask_shapes
from hiera_mm.tasks import task_of

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from transformers import SegformerConfig
from transformers.models.segformer.modeling_segformer import SegformerDecodeHead

from tests.helpers import CONFIGS, model_complexity, perturbed, read

NAMES = [name for name in CONFIGS if name.startswith(('segformer', 'upernet'))]


def reduced(config):
    """With the widths of the config and fewer blocks."""
    given = config.model.backbone.arch
    full = ARCHITECTURES[given] if isinstance(given, str) else given
    config.model.backbone.update(arch=dict(full, depths=(1, 1, 2, 1)), init_cfg=None)
    return MODELS.build(config.model)


def sample(height, width, classes):
    truth = torch.randint(0, classes, (1, height, width))
    truth[:, :4] = 255
    made = SegDataSample(gt_sem_seg=PixelData(data=truth))
    made.set_metainfo(dict(img_shape=(height, width), ori_shape=(height + 7, width + 5)))
    return dict(
        inputs=[torch.randint(0, 256, (3, height, width), dtype=torch.uint8)] * 2, data_samples=[made, made.clone()]
    )


def test_the_configs_of_the_table_are_there():
    sizes = dict(segformer=('t', 's', 'b', 'bp', 'l'), upernet=('b', 'l'))
    wanted = {f'{head}_hiera_{size}_ade20k.py' for head, each in sizes.items() for size in each}
    assert wanted | {'upernet_hiera_t_shapes.py'} == set(NAMES)


# The middle size of each decoder stands for the others.
@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=() if '_b_' in name or 'shapes' in name else pytest.mark.slow) for name in NAMES]
)
def test_it_runs_forward_and_backward_at_reduced_depth(name):
    config = read(name)
    config.model.data_preprocessor.size = (128, 128)
    model = reduced(config)
    classes = config.model.decode_head.num_classes
    batch = model.data_preprocessor(sample(100, 90, classes), training=True)
    assert batch['inputs'].shape == (2, 3, 128, 128)
    loss, _ = model.parse_losses(model(**batch, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    assert not [name for name, p in model.named_parameters() if p.grad is None and 'conv_seg' not in name]
    model.eval()
    with torch.no_grad():
        (found, _) = model.test_step(sample(100, 90, classes))
    assert found.pred_sem_seg.data.shape == (1, 107, 95) and found.pred_sem_seg.data.max() < classes


def test_windows_slide_over_large_pictures_and_agree_where_there_is_one():
    config = read('segformer_hiera_t_ade20k.py')
    config.model.update(test_cfg=dict(mode='slide', crop_size=(96, 96), stride=(64, 64)))
    config.model.decode_head.update(norm_cfg=dict(type='BN'), num_classes=5)
    model = reduced(config).eval()
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[2:])))
    with torch.no_grad():
        model.test_step(sample(96, 200, 5))
        assert set(seen) == {(96, 96)} and len(seen) == 3
        model.test_cfg.mode = 'whole'
        given = sample(96, 96, 5)
        whole = model.test_step(given)[0].seg_logits.data
        model.test_cfg.mode = 'slide'
        slid = model.test_step(given)[0].seg_logits.data
    torch.testing.assert_close(slid, whole)


def test_the_decoder_is_segformers():
    """By the one of the package transformers, with the same weights."""
    config = read('segformer_hiera_b_ade20k.py')
    config.model.decode_head.update(norm_cfg=dict(type='BN'))
    ours = perturbed(MODELS.build(config.model.decode_head)).eval()
    theirs = SegformerDecodeHead(
        SegformerConfig(hidden_sizes=[96, 192, 384, 768], decoder_hidden_size=768, num_labels=150, strides=[4, 2, 2, 2])
    ).eval()
    # They project by linear layers and join the smallest map first; here it is by 1 x 1 convolutions with a norm and a
    # ReLU, and the largest is first.
    state, mine = theirs.state_dict(), ours.state_dict()
    for stage in range(4):
        # Far above zero, where the ReLU changes nothing.
        mine[f'convs.{stage}.bn.bias'] += 100
        weight, bias, mean, variance = (
            mine[f'convs.{stage}.bn.{key}'] for key in ('weight', 'bias', 'running_mean', 'running_var')
        )
        scale = weight / (variance + 1e-5).sqrt()
        state[f'linear_projections.{stage}.proj.weight'] = (
            mine[f'convs.{stage}.conv.weight'].flatten(1) * scale[:, None]
        )
        state[f'linear_projections.{stage}.proj.bias'] = bias - mean * scale
    state['linear_fuse.weight'] = torch.cat(mine['fusion_conv.conv.weight'].split(768, 1)[::-1], 1)
    state |= {
        f'batch_norm.{key}': mine[f'fusion_conv.bn.{key}'] for key in ('weight', 'bias', 'running_mean', 'running_var')
    }
    state |= {f'classifier.{key}': mine[f'conv_seg.{key}'] for key in ('weight', 'bias')}
    theirs.load_state_dict(state)
    maps = [torch.randn(1, 96 * 2**stage, 32 // 2**stage, 32 // 2**stage) for stage in range(4)]
    with torch.no_grad():
        torch.testing.assert_close(ours(maps), theirs(maps), rtol=1e-3, atol=1e-3)


def test_rates_fall_from_layer_to_layer_and_the_decoder_has_the_full_one():
    config = read('segformer_hiera_b_ade20k.py')
    model = reduced(config)
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    by_parameter = {id(p): group for group in groups for p in group['params']}
    rate = lambda name: by_parameter[id(model.get_parameter(name))]  # noqa: E731
    assert rate('decode_head.fusion_conv.conv.weight')['lr'] == pytest.approx(1e-4)
    assert rate('decode_head.conv_seg.weight')['weight_decay'] == 0.05
    layers = len(model.backbone.blocks) + 2
    assert rate('backbone.pos_embed')['lr'] == pytest.approx(1e-4 * 0.85 ** (layers - 1))
    assert rate('backbone.pos_embed')['weight_decay'] == rate('decode_head.conv_seg.bias')['weight_decay'] == 0


@pytest.mark.parametrize('name', ['segformer_hiera_b_ade20k', 'upernet_hiera_b_ade20k'])
def test_parameters_and_macs_are_counted_with_the_decoder(name):
    parts, shape = model_complexity(read(f'{name}.py').model)
    assert shape == (512, 512) and list(parts) == ['backbone', 'decode_head']
    model = MODELS.build(read(f'{name}.py').model)
    used = sum(p.numel() for key, p in model.named_parameters() if not key.startswith('auxiliary'))
    assert sum(count for count, _ in parts.values()) == used
    assert all(macs > 0 for _, macs in parts.values())


def test_own_settings_reach_every_place(tmp_path):
    make_mask_shapes(tmp_path / 'set', train=5, val=2)
    path = tmp_path / 'mine.py'
    path.write_text(f"""_base_ = 'hiera_mm::upernet_hiera_b_ade20k.py'
data_root = '{tmp_path}/set/'
classes = ('background', 'circle', 'bar', 'triangle')
train_data_prefix = dict(img_path='images/train', seg_map_path='masks/train')
val_data_prefix = dict(img_path='images/val', seg_map_path='masks/val')
image_size = (256, 192)
batch_size = 2
epochs = 4
learning_rate = 3e-4
""")
    config = read_config(str(path))
    set_run_length(config, task_of(config), str(path))
    assert config.model.decode_head.num_classes == config.model.auxiliary_head.num_classes == 4
    assert config.model.data_preprocessor.size == config.model.test_cfg.crop_size == (192, 256)
    assert config.model.test_cfg.stride == (128, 170)
    train, test = config.train_dataloader, config.test_dataloader.dataset
    sizes = {step.type: step.get('scale') or step.get('crop_size') for step in train.dataset.pipeline}
    assert sizes['RandomResize'] == (1024, 192) and sizes['RandomCrop'] == (192, 256)
    assert train.batch_size == 2 and config.optim_wrapper.optimizer.lr == 3e-4
    assert config.train_cfg.max_iters == 10 and config.param_scheduler[-1].end == 10
    assert test.data_root == f'{tmp_path}/set/' and test.data_prefix == dict(
        img_path='images/val', seg_map_path='masks/val'
    )
    path.write_text(path.read_text().replace('epochs = 4', 'epochs = 4\nmax_iters = 3'))
    with pytest.raises(UserError, match='both epochs and max_iters'):
        read_config(str(path))


@pytest.mark.parametrize('size', [(256, 384), (384, 256), (512, 512)])
def test_crops_are_height_and_width_as_mmsegmentation_has_them(size):
    config = read('segformer_hiera_b_ade20k.py')
    for step in config.train_dataloader.dataset.pipeline:
        if 'crop_size' in step:
            step.crop_size = size
    assert task_of(config).input_shape(config) == size
