"""Hiera on clips against the official video models, and the classification head."""

import os
import subprocess
import sys

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.errors import UserError
from hiera_mm.models import Hiera
from hiera_mm.models.heads import HieraHead
from hiera_mm.models.position import resize_temporal_table
from hiera_mm.weights.formats import to_our_names
from hiera_mm.weights.load import fit_to_backbone, fit_to_model

import hiera
import pytest
import torch
import torch.nn as nn
from mmengine.registry import MODELS, init_default_scope

from tests.helpers import ROOT, perturbed

SMALL = dict(embed_dim=16, num_heads=1, depths=(1, 2, 3, 2))
SHALLOW = dict(l=dict(ARCHITECTURES['l'], depths=(1, 1, 2, 1)), h=dict(ARCHITECTURES['h'], depths=(1, 1, 1, 1)))


def official(arch, frames=16, side=224, classes=400):
    return hiera.Hiera(
        embed_dim=arch['embed_dim'],
        num_heads=arch['num_heads'],
        stages=arch['depths'],
        num_classes=classes,
        input_size=(frames, side, side),
        q_stride=(1, 2, 2),
        mask_unit_size=(1, 8, 8),
        patch_kernel=(3, 7, 7),
        patch_stride=(2, 4, 4),
        patch_padding=(1, 3, 3),
        sep_pos_embed=True,
    )


def with_weights_of(oracle, **arguments):
    model = Hiera(**arguments)
    fitted, words = fit_to_backbone(model, to_our_names(dict(model_state=oracle.state_dict()), 'oracle'), 'oracle')
    model.load_state_dict(fitted)
    return model, words


def assert_same_maps(maps, expected):
    assert len(maps) == len(expected)
    for got, want in zip(maps, expected, strict=True):
        want = want.permute(0, 4, 1, 2, 3)
        assert got.shape == want.shape and got.is_contiguous(memory_format=torch.channels_last_3d)
        assert (got - want).abs().max() <= 1e-4 * want.abs().max()


def recogniser(arch, width, classes=400):
    init_default_scope('mmaction')
    return MODELS.build(
        dict(
            type='mmaction.Recognizer3D',
            backbone=dict(type='Hiera', arch=arch, num_frames=16, out_indices=(3,)),
            cls_head=dict(type='HieraHead', num_classes=classes, in_channels=width, average_clips='prob'),
        )
    ).eval()


@pytest.mark.parametrize(
    'size', ['narrow b', *(pytest.param(size, marks=pytest.mark.slow) for size in ('b', 'bp', 'l', 'h'))]
)
def test_maps_and_logits_equal_the_official_ones(size):
    arch = dict(ARCHITECTURES['b'], embed_dim=16) if size == 'narrow b' else SHALLOW.get(size, ARCHITECTURES[size])
    oracle = perturbed(official(arch))
    clip = torch.randn(1, 3, 16, 224, 224)
    with torch.no_grad():
        # In training mode the official head gives logits; nothing is random without drop path and dropout.
        logits, expected = oracle.train()(clip, return_intermediates=True)
        model, _ = with_weights_of(oracle.eval(), arch=arch, num_frames=16)
        maps = model.eval()(clip)
    assert_same_maps(maps, expected)
    whole = recogniser(arch, 8 * arch['embed_dim'])
    fitted, report = fit_to_model(whole, dict(model_state=oracle.state_dict()), 'meta.pth')
    whole.load_state_dict(fitted)
    assert 'Beside the backbone: 4 tensors used' in report and 'so left as initialised: no keys.' in report
    with torch.no_grad():
        got = whole.cls_head(maps)
        assert (got - logits).abs().max() <= 1e-4 * logits.abs().max()
        torch.testing.assert_close(got.softmax(-1), oracle(clip), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize('wrapper', ['model_state', 'state_dict'])
def test_a_classifiers_head_goes_into_a_recogniser_unless_its_classes_differ(wrapper):
    oracle = perturbed(official(SMALL, 16, 224, classes=5))
    checkpoint = {wrapper: oracle.state_dict()}
    fitted, _ = fit_to_model(recogniser(SMALL, 128, classes=5), checkpoint, 'file')
    assert torch.equal(fitted['cls_head.projection.weight'], oracle.head.projection.weight)
    assert torch.equal(fitted['cls_head.norm.bias'], oracle.norm.bias)
    fitted, report = fit_to_model(recogniser(SMALL, 128, classes=3), checkpoint, 'file')
    assert "'cls_head.projection.weight' ((5, 128) in the file, (3, 128) in the model)" in report
    assert 'cls_head.projection.weight' not in fitted and 'cls_head.norm.bias' in fitted


@pytest.mark.parametrize('frames, side', [(8, 96), (4, 64), (16, 128)])
@pytest.mark.parametrize('mode', ['train', 'eval'])
@pytest.mark.usefixtures('kernels')
def test_other_lengths_and_sizes_in_batches(frames, side, mode):
    oracle = perturbed(official(SMALL, frames, side))
    model, _ = with_weights_of(oracle, arch=SMALL, num_frames=frames, pos_embed_size=side // 4)
    oracle.train(mode == 'train'), model.train(mode == 'train')
    clip = torch.randn(3, 3, frames, side, side)
    with torch.no_grad():
        assert_same_maps(model(clip), oracle(clip, return_intermediates=True)[1])


@pytest.mark.usefixtures('kernels')
def test_gradients_equal_the_official_ones():
    oracle = perturbed(official(SMALL, 4, 64))
    model, _ = with_weights_of(oracle, arch=SMALL, num_frames=4, pos_embed_size=16)
    clip = torch.randn(2, 3, 4, 64, 64)
    sum(stage_map.square().mean() for stage_map in model(clip)).backward()
    sum(stage_map.square().mean() for stage_map in oracle(clip, return_intermediates=True)[1]).backward()
    expected = dict(oracle.named_parameters())
    for name, parameter in model.named_parameters():
        want = expected[name].grad
        assert (parameter.grad - want).abs().max() <= 1e-4 * want.abs().max(), name


def test_the_temporal_table_is_resized_linearly_for_other_lengths():
    table = torch.linspace(0, 7, 8).reshape(1, 8, 1)
    assert torch.equal(resize_temporal_table(table, 8), table)
    # Twice as many steps lie at the quarters; those outside take the nearest value.
    expected = torch.tensor([0, 0.25, 0.75, 1.25])
    torch.testing.assert_close(resize_temporal_table(table, 16)[0, :4, 0], expected)
    torch.testing.assert_close(resize_temporal_table(table, 4)[0, :, 0], torch.tensor([0.5, 2.5, 4.5, 6.5]))


@pytest.mark.parametrize('frames', [8, 16, 32, 6])
def test_clips_of_other_even_lengths_give_maps_of_half_as_many_steps(frames):
    maps = Hiera(SMALL, num_frames=16)(torch.randn(1, 3, frames, 64, 96))
    assert [tuple(stage_map.shape) for stage_map in maps] == [
        (1, 16 * 2**stage, frames // 2, 16 // 2**stage, 24 // 2**stage) for stage in range(4)
    ]


def test_loading_16_frames_into_32_resizes_the_table_and_says_so():
    oracle = official(SMALL, 16, 64)
    model, words = with_weights_of(oracle, arch=SMALL, num_frames=32, pos_embed_size=16)
    assert 'temporal table resized linearly from 8 to 16 (num_frames=16 would leave it)' in words
    assert torch.equal(model.pos_embed_temporal, resize_temporal_table(oracle.pos_embed_temporal, 16))


def test_sides_that_are_no_multiple_of_32_are_filled_with_zeros():
    model = perturbed(Hiera(SMALL, num_frames=4)).eval()
    clip = torch.randn(1, 3, 4, 70, 90)
    padded = torch.nn.functional.pad(clip, (0, 6, 0, 26))
    for got, whole in zip(model(clip), model(padded), strict=True):
        assert torch.equal(got, whole[..., : got.shape[-2], : got.shape[-1]])


def test_a_checkpoint_for_images_starts_clips_only_when_inflated(tmp_path):
    images = perturbed(Hiera(SMALL)).eval()
    torch.save(images.state_dict(), tmp_path / 'images.pth')
    plain = dict(type='Pretrained', checkpoint=str(tmp_path / 'images.pth'))
    with pytest.raises(UserError, match=r'\(images, .* is a .*\(clips, .*add inflate=True to init_cfg'):
        Hiera(SMALL, num_frames=8, init_cfg=plain).init_weights()
    clips = Hiera(SMALL, num_frames=8, init_cfg=dict(plain, inflate=True))
    clips.init_weights()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        still = clips.eval()(image[:, :, None].expand(-1, -1, 8, -1, -1))
        for clip_map, image_map in zip(still, images(image), strict=True):
            for time in range(4):
                difference = (clip_map[:, :, time] - image_map).abs().max()
                assert difference <= 1e-4 * image_map.abs().max()


def test_inflating_what_is_not_for_images_is_refused(tmp_path):
    torch.save(Hiera(SMALL, num_frames=4).state_dict(), tmp_path / 'clips.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'clips.pth'), inflate=True)
    with pytest.raises(
        UserError, match="inflate=True starts a Hiera with 'num_frames' from a checkpoint for images, but"
    ):
        Hiera(SMALL, num_frames=4, init_cfg=init_cfg).init_weights()


@pytest.mark.parametrize(
    'arguments, clip, message',
    [
        (dict(num_frames=16), (1, 3, 15, 64, 64), "even number of frames, but these have 15; set an even 'clip_len'"),
        (dict(num_frames=16), (1, 3, 64, 64), r'takes \(B, channels, T, H, W\), but got \(1, 3, 64, 64\)'),
        (dict(), (1, 3, 16, 64, 64), r'takes \(B, channels, H, W\), but got'),
        (dict(num_frames=16), (1, 3, 16, 31, 64), 'at least 32 x 32 pixels'),
    ],
)
def test_a_clip_that_does_not_fit_is_refused(arguments, clip, message):
    with pytest.raises(UserError, match=message):
        Hiera(SMALL, **arguments)(torch.zeros(clip))


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(num_frames=5), "'num_frames' must be even"),
        (dict(num_frames=4, window_frames=2), "set 'num_frames' and 'window_sizes'"),
        (dict(window_sizes=(8, 4, 14, 7), window_frames=2), "set 'num_frames' and 'window_sizes'"),
        (dict(num_frames=4, window_sizes=(8, 4, 14, 7), window_frames=3), "'window_frames' must be even"),
    ],
)
def test_a_wrong_setting_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        Hiera(SMALL, **arguments)


def test_checkpointing_freezing_and_layer_depths_work_for_clips():
    torch.manual_seed(0)
    plain = perturbed(Hiera(SMALL, num_frames=4)).train()
    recomputing = Hiera(SMALL, num_frames=4, with_cp=True).train()
    recomputing.load_state_dict(plain.state_dict())
    clip = torch.randn(1, 3, 4, 64, 64)
    for model in (plain, recomputing):
        model(clip)[-1].square().sum().backward()
    for first, second in zip(plain.parameters(), recomputing.parameters(), strict=True):
        torch.testing.assert_close(first.grad, second.grad)
    frozen = Hiera(SMALL, num_frames=4, frozen_stages=0)
    trained = {name for name, parameter in frozen.named_parameters() if parameter.requires_grad}
    assert not any(name.startswith(('pos_embed', 'patch_embed')) for name in trained) and trained
    assert plain.no_weight_decay() == {'pos_embed_spatial', 'pos_embed_temporal'}
    assert plain.get_layer_depth('backbone.pos_embed_temporal', 'backbone.') == (0, 10)


def test_the_head_starts_small_and_takes_mean_norm_dropout_and_linear_in_this_order():
    torch.manual_seed(0)
    head = HieraHead(num_classes=7, in_channels=32, dropout_ratio=0.5)
    assert head.projection.weight.std().item() == pytest.approx(0.02 * 0.001, rel=0.2)
    assert head.projection.bias.unique().item() == pytest.approx(2e-5)
    last = torch.randn(2, 32, 4, 3, 5)
    expected = nn.functional.layer_norm(last.mean(dim=(2, 3, 4)), (32,), head.norm.weight, head.norm.bias, 1e-6)
    expected = nn.functional.linear(expected, head.projection.weight, head.projection.bias)
    torch.testing.assert_close(head.eval()((torch.zeros(1), last)), expected)
    assert not torch.equal(head.train()((last,)), head((last,)))


@pytest.mark.slow
def test_the_video_model_compiles():
    model = perturbed(Hiera(SMALL, num_frames=4)).eval()
    clip = torch.randn(1, 3, 4, 64, 64)
    with torch.no_grad():
        for got, want in zip(torch.compile(model, fullgraph=True, dynamic=False)(clip), model(clip), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_seed_gives_the_same_weights_in_every_process():
    """Also of the two position tables, whatever order the process keeps names in."""
    program = (
        'import torch; from hiera_mm.models import Hiera; torch.manual_seed(0); '
        'model = Hiera(dict(embed_dim=8, num_heads=1, depths=(1, 1, 1, 1)), num_frames=4, pos_embed_size=4); '
        'print(sum(p.double().abs().sum() * (i + 1) for i, p in enumerate(model.parameters())).item())'
    )
    seen = set()
    # With these two, CPython keeps a set of the tables' names in different orders.
    for seed in '01':
        environment = dict(os.environ, PYTHONHASHSEED=seed, OMP_NUM_THREADS='1')
        done = subprocess.run(
            [sys.executable, '-c', program], env=environment, cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout.splitlines()[-1])
    assert len(seen) == 1
