"""Putting checkpoints into the backbone and into whole models: the report, and what is refused."""

import re

from hiera_mm.errors import UserError
from hiera_mm.models import Hiera
from hiera_mm.weights.load import fit_to_model

import hiera
import numpy as np
import pytest
import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.config import Config
from sam2.modeling.backbones.hieradet import Hiera as Trunk
from timm.models._manipulate import adapt_input_conv

from tests.helpers import TINY as TINY_DETECTOR
from tests.helpers import forget_earlier_runs

SETTINGS = dict(embed_dim=16, num_heads=1, depths=(1, 1, 2, 1))
OFFICIAL = dict(embed_dim=16, num_heads=1, stages=(1, 1, 2, 1))

TINY = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))


def load(path, arch=SETTINGS, **arguments):
    model = Hiera(arch, init_cfg=dict(type='Pretrained', checkpoint=str(path)), **arguments)
    model.init_weights()
    return model.eval()


def autoencoder():
    decoder = dict(decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)
    return hiera.MaskedAutoencoderHiera(**OFFICIAL, q_pool=2, **decoder)


def test_the_report_tells_what_was_used_dropped_missing_and_resized(tmp_path, capfd):
    forget_earlier_runs()
    torch.save(dict(model_state=autoencoder().state_dict()), tmp_path / 'mae.pth')
    load(tmp_path / 'mae.pth', pos_embed='absolute_win', pos_embed_size=28, out_norm=True)
    printed = capfd.readouterr().out
    assert f'Hiera weights from {tmp_path}/mae.pth (format meta, Hiera of no published size (images, 16 cha' in printed
    used, dropped = 2 + 5 * 12 + 3 * 2 + 2, 2 + 2 * 2 + 1 + 1 + 2 + 12 + 2 + 2
    assert f': {used} tensors used; dropped, as the backbone has no place for them: {dropped} of the mas' in printed
    assert 'split into a window part of 8 x 8 and a global part; that resized from 56 x 56 to 28 x 28' in printed
    assert "left as initialised, as the file does not hold them: 8 keys ('out_norms.0.bias', " in printed


def test_every_tensor_of_the_backbone_is_that_of_the_file(tmp_path):
    oracle = autoencoder()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'mae.pth')
    for name, value in load(tmp_path / 'mae.pth').state_dict().items():
        assert torch.equal(value, oracle.state_dict()[name]), name


def test_a_classifiers_norm_goes_to_the_last_map_where_it_is_the_only_one(tmp_path, capfd):
    oracle = hiera.Hiera(**OFFICIAL, num_classes=3)
    nn.init.normal_(oracle.norm.weight)
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'metas.pth')
    ours = {f'backbone.{key}': value for key, value in Hiera(SETTINGS).state_dict().items()}
    ours |= {f'cls_head.norm.{kind}': getattr(oracle.norm, kind).data for kind in ('weight', 'bias')}
    torch.save(dict(state_dict=ours), tmp_path / 'ours.pth')
    for name in ('metas', 'ours'):
        forget_earlier_runs()
        norms = load(tmp_path / f'{name}.pth', out_norm=True, out_indices=(3,)).out_norms
        assert torch.equal(norms['3'].weight, oracle.norm.weight)
        printed = capfd.readouterr().out
        assert 'norm of the last map: that of the classifier; left as initialised, as the file' in printed
        assert ('2 of the classification head; pos' in printed) == (name == 'metas'), 'its linear layer'
        for norm in load(tmp_path / f'{name}.pth', out_norm=True).out_norms.values():
            assert torch.equal(norm.weight, torch.ones_like(norm.weight)), 'a detector has norms of its own'
    torch.save(dict(model_state=autoencoder().state_dict()), tmp_path / 'mae.pth')
    norms = load(tmp_path / 'mae.pth', out_norm=True, out_indices=(3,)).out_norms
    assert torch.equal(norms['3'].weight, torch.ones(128)), 'an autoencoder has no such norm'


@pytest.mark.parametrize('half', [torch.float16, torch.bfloat16])
def test_a_checkpoint_in_half_precision_loads(tmp_path, half):
    state = {key: value.to(half) for key, value in Hiera(SETTINGS).state_dict().items()}
    torch.save(state, tmp_path / 'half.pth')
    model = load(tmp_path / 'half.pth', pos_embed='absolute_win')
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert torch.equal(model.blocks[0].mlp.fc1.weight, state['blocks.0.mlp.fc1.weight'].float())


@pytest.mark.parametrize('theirs, ours', [('l', 'b'), ('b', 's'), ('h', 'l')])
def test_a_checkpoint_of_another_size_says_so(tmp_path, theirs, ours):
    with torch.device('meta'):
        state = Hiera(theirs).state_dict()
    # Shapes alone decide, so the file need not hold hundreds of megabytes.
    torch.save({key: torch.zeros(()).expand(value.shape) for key, value in state.items()}, tmp_path / 'size.pth')
    message = (
        rf"size.pth' holds a Hiera of arch='{theirs}' .* the model's backbone is a Hiera of arch='{ours}' .*'arch'"
    )
    with pytest.raises(UserError, match=message):
        load(tmp_path / 'size.pth', ours)


def test_a_checkpoint_for_clips_says_so(tmp_path):
    video = hiera.Hiera(
        **OFFICIAL,
        input_size=(4, 224, 224),
        q_stride=(1, 2, 2),
        mask_unit_size=(1, 8, 8),
        patch_kernel=(3, 7, 7),
        patch_stride=(2, 4, 4),
        patch_padding=(1, 3, 3),
        sep_pos_embed=True,
    )
    torch.save(dict(model_state=video.state_dict()), tmp_path / 'video.pth')
    with pytest.raises(UserError, match=r"holds a Hiera .*\(clips, .*, but the model's backbone is a .*\(images, "):
        load(tmp_path / 'video.pth')


def test_unknown_and_missing_keys_are_refused_by_name(tmp_path):
    state = Hiera(SETTINGS).state_dict()
    state['blocks.1.norm3.weight'] = state.pop('blocks.1.norm1.bias')
    torch.save(state, tmp_path / 'odd.pth')
    with pytest.raises(
        UserError, match=r"1 key \('blocks.1.norm3.weight'\) unknown.*lacks 1 key \('blocks.1.norm1.bias'\)"
    ):
        load(tmp_path / 'odd.pth')


def test_another_shape_is_refused_with_both(tmp_path):
    torch.save(Hiera(SETTINGS, in_channels=1).state_dict(), tmp_path / 'grey.pth')
    with pytest.raises(
        UserError, match=r"'patch_embed.proj.weight' is \(16, 1, 7, 7\) in the file and \(16, 3, 7, 7\) in the model"
    ):
        load(tmp_path / 'grey.pth')


@pytest.mark.parametrize('init_cfg', [dict(type='Kaiming'), dict(type='Pretrained', checkpoint='x', prefix='y')])
def test_init_cfg_of_another_kind_is_refused(init_cfg):
    with pytest.raises(UserError, match="must be dict\\(type='Pretrained'"):
        Hiera(SETTINGS, init_cfg=init_cfg).init_weights()


class Detector(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.backbone = Hiera(SETTINGS)
        self.head = nn.Linear(128, classes)
        self.extra = nn.Linear(2, 2) if classes == 2 else None


def test_a_whole_models_checkpoint_gives_the_rest_too_and_names_what_does_not_fit():
    old, new = Detector(5), Detector(2)
    state = dict(state_dict=old.state_dict() | {'gone.weight': torch.ones(1)})
    fitted, report = fit_to_model(new, state, 'old.pth')
    assert torch.equal(fitted['backbone.pos_embed'], old.backbone.pos_embed)
    assert set(new.state_dict()) - set(fitted) == {'head.weight', 'head.bias', 'extra.weight', 'extra.bias'}
    assert "'head.weight' ((5, 128) in the file, (2, 128) in the model)" in report
    assert "without a place: 1 key ('gone.weight')" in report
    assert "not in the file, so left as initialised: 2 keys ('extra.bias', 'extra.weight')" in report
    same, _ = fit_to_model(Detector(5), state, 'old.pth')
    assert torch.equal(same['head.weight'], old.head.weight)


def test_a_published_checkpoint_gives_a_whole_model_its_backbone_only():
    model, oracle = Detector(5), hiera.Hiera(**OFFICIAL)
    fitted, _ = fit_to_model(model, dict(model_state=oracle.state_dict()), 'meta.pth')
    assert set(fitted) == {f'backbone.{name}' for name in model.backbone.state_dict()}


def test_a_key_chooses_one_of_several_sets_of_weights(tmp_path):
    torch.manual_seed(0)
    student, teacher = (hiera.Hiera(**OFFICIAL, num_classes=5).state_dict() for _ in range(2))
    path = tmp_path / 'both.pth'
    torch.save(dict(student=student, teacher=teacher, epoch=3), path)
    for init_cfg, expected in ((dict(), teacher), (dict(key='student'), student), (dict(key='teacher'), teacher)):
        model = Hiera(SETTINGS, init_cfg=dict(type='Pretrained', checkpoint=str(path), **init_cfg))
        model.init_weights()
        assert torch.equal(model.patch_embed.proj.weight, expected['patch_embed.proj.weight'])
    model = Hiera(SETTINGS, init_cfg=dict(type='Pretrained', checkpoint=str(path), key='ema'))
    with pytest.raises(UserError, match="has no weights under the key 'ema' of init_cfg; it has student, teacher"):
        model.init_weights()


def test_weights_that_are_no_numbers_are_loaded_where_it_is_asked_for(tmp_path):
    oracle = hiera.Hiera(**OFFICIAL, num_classes=5)
    oracle.head.projection.bias.data[1] = float('nan')
    torch.save(oracle.state_dict(), tmp_path / 'nan.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'nan.pth'))
    with pytest.raises(UserError, match="such as 'head.projection.bias'.*allow_nan=True"):
        Hiera(SETTINGS, init_cfg=init_cfg).init_weights()
    model = Hiera(SETTINGS, init_cfg=dict(init_cfg, allow_nan=True))
    model.init_weights()
    assert torch.equal(model.patch_embed.proj.weight, oracle.patch_embed.proj.weight)


def test_a_model_of_the_first_stages_leaves_the_later_ones_out_of_the_file(tmp_path, capfd):
    forget_earlier_runs()
    oracle = hiera.Hiera(**OFFICIAL, num_classes=5)
    torch.save(oracle.state_dict(), tmp_path / 'whole.pth')
    model = load(tmp_path / 'whole.pth', out_indices=(0, 1))
    assert len(model.blocks) == 2
    for name, value in model.state_dict().items():
        assert torch.equal(value, oracle.state_dict()[name]), name
    assert '40 of the later stages' in capfd.readouterr().out
    torch.save(
        dict(state_dict={f'backbone.{key}': value for key, value in model.state_dict().items()}), tmp_path / 'own.pth'
    )
    load(tmp_path / 'own.pth', out_indices=(0, 1))
    with pytest.raises(
        UserError, match='holds a Hiera of no published size .images, 16 channels, 1-1-2-1 blocks., but'
    ):
        load(tmp_path / 'whole.pth', arch=dict(SETTINGS, depths=(1, 1, 1, 1)), out_indices=(0, 1))


def test_weights_under_a_key_of_ones_own_are_found_beside_numbers_of_numpy(tmp_path):
    state = hiera.Hiera(**OFFICIAL, num_classes=5).state_dict()
    numbers = {kind.__name__: kind(1) for kind in (np.float32, np.float16, np.int32, np.uint8, np.bool_)}
    torch.save(dict(mine=state, optimizer=dict(state={}, param_groups=[]), **numbers), tmp_path / 'own.pth')
    assert torch.equal(load(tmp_path / 'own.pth').pos_embed, state['pos_embed'])
    torch.save(dict(mine=state, yours=state), tmp_path / 'two.pth')
    with pytest.raises(UserError, match='holds several sets of weights, mine, yours; choose one with init_cfg'):
        load(tmp_path / 'two.pth')
    model = Hiera(SETTINGS, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'two.pth'), key='yours'))
    model.init_weights()
    assert torch.equal(model.pos_embed, state['pos_embed'])


def sam2s_trunk(path):
    """SAM 2.1's tiny one, with random weights."""
    trunk = Trunk(
        **dict(embed_dim=96, num_heads=1, stages=(1, 2, 7, 2), global_att_blocks=(5, 7, 9)),
        window_pos_embed_bkg_spatial_size=(7, 7),
    ).eval()
    for parameter in trunk.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape)
    torch.save(dict(model={f'image_encoder.trunk.{k}': v for k, v in trunk.state_dict().items()}), path)
    return trunk


def test_following_the_advice_gives_sam2s_maps(tmp_path):
    """The settings are taken from the sentence, word for word."""
    trunk = sam2s_trunk(tmp_path / 'sam2.1_hiera_tiny.pt')
    with pytest.raises(UserError, match="is SAM 2's, which has two position tables and attends in windows") as refused:
        load(tmp_path / 'sam2.1_hiera_tiny.pt', 't')
    advice = re.search('; set (.*) on the backbone', str(refused.value))[1]
    model = load(tmp_path / 'sam2.1_hiera_tiny.pt', 't', **eval(f'dict({advice})'))
    pixels = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        for ours, theirs in zip(model(pixels), trunk(pixels), strict=True):
            assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


def test_other_windows_than_sam2s_are_told(tmp_path, capfd):
    sam2s_trunk(tmp_path / 'sam2.1_hiera_tiny.pt')
    forget_earlier_runs()
    load(tmp_path / 'sam2.1_hiera_tiny.pt', 't', pos_embed='absolute_win', pos_embed_size=7)
    printed = capfd.readouterr().out
    assert (
        "its features differ from SAM 2's; to get the same, set pos_embed='absolute_win', pos_embed_size=7, " in printed
    )
    assert "windows and global blocks are not SAM 2's" in printed


@pytest.mark.parametrize('channels', [1, 2, 4, 12])
@pytest.mark.parametrize('frames', [None, 16])
def test_other_channels_start_from_colour_by_timms_rule(tmp_path, capfd, channels, frames):
    torch.save(dict(state_dict=Hiera(SETTINGS, num_frames=frames).state_dict()), tmp_path / 'colour.pth')
    colour = torch.load(tmp_path / 'colour.pth')['state_dict']['patch_embed.proj.weight']
    forget_earlier_runs()
    model = load(tmp_path / 'colour.pth', num_frames=frames, in_channels=channels)
    weight = model.patch_embed.proj.weight
    # timm's function knows images only: each frame of the kernel is one.
    flat = colour.movedim(2, 0) if frames else colour[None]
    expected = torch.stack([adapt_input_conv(channels, frame) for frame in flat])
    assert torch.allclose(weight.movedim(2, 0) if frames else weight[None], expected, atol=1e-7)
    assert f'patch embedding adapted from red, green and blue to in_channels={channels}' in capfd.readouterr().out


def test_a_grey_picture_gives_the_maps_of_its_colours(tmp_path):
    torch.save(dict(state_dict=Hiera(SETTINGS).state_dict()), tmp_path / 'colour.pth')
    grey = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        one = load(tmp_path / 'colour.pth', in_channels=1)(grey)
        three = load(tmp_path / 'colour.pth')(grey.expand(-1, 3, -1, -1))
    for ours, theirs in zip(one, three, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize('side', [28, 7, 10])
def test_tables_of_any_side_are_loaded_again(tmp_path, side):
    model = Hiera(SETTINGS, pos_embed_size=side)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'own.pth')
    assert torch.equal(load(tmp_path / 'own.pth', pos_embed_size=side).pos_embed, model.pos_embed)
    with pytest.raises(UserError, match=f"is one of {side} x {side}, which can't be split into windows of 8 x 8"):
        load(tmp_path / 'own.pth', pos_embed='absolute_win', pos_embed_size=56)


def test_one_way_to_start_may_stand_in_a_list_as_for_mmengine(tmp_path):
    model = Hiera(TINY)
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    start = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    again = Hiera(TINY, init_cfg=[start])
    again.init_weights()
    assert torch.equal(again.pos_embed, model.pos_embed)
    with pytest.raises(UserError, match='init_cfg must be'):
        Hiera(TINY, init_cfg=[start, start]).init_weights()


def test_what_other_parts_of_a_whole_model_use_is_not_called_dropped():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.neck = Hiera(TINY), nn.Linear(3, 4)

    state = Whole().state_dict()
    _, report = fit_to_model(Whole(), dict(state_dict=state), 'file')
    assert 'for them: none' in report and '2 tensors used' in report
    _, report = fit_to_model(Whole(), dict(state_dict=state | {'other.weight': torch.ones(2)}), 'file')
    assert "without a place: 1 key ('other.weight')" in report


@pytest.mark.parametrize(
    'rename',
    [
        lambda key: key,
        lambda key: f'model.{key}',
        lambda key: f'module.{key}',
        lambda key: f'_orig_mod.{key}',
        lambda key: f'module._orig_mod.{key}',
        lambda key: f'net.{key}',
        lambda key: f'detector.model.{key}',
        lambda key: key.replace('backbone.', 'backbone._orig_mod.').replace('neck.', 'neck._orig_mod.'),
        lambda key: f'_fsdp_wrapped_module.{key}',
        lambda key: key.replace('blocks.0.', 'blocks.0._checkpoint_wrapped_module.'),
    ],
    ids=['plain', 'model', 'module', 'compiled', 'compiled module', 'net', 'two', 'parts', 'sharded', 'recomputed'],
)
def test_a_whole_model_loads_whatever_wraps_it(rename):
    model, other = small_detector(), small_detector()
    content = dict(state_dict={rename(key): value for key, value in other.state_dict().items()})
    state, _ = fit_to_model(model, content, 'x.pth')
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(state[key], value) for key, value in other.state_dict().items())


def test_parts_under_other_names_are_warned_of(capfd):
    forget_earlier_runs()
    model = small_detector()
    state = {key.replace('neck.', 'fpn.').replace('roi_head.', 'head.'): v for key, v in model.state_dict().items()}
    state = {key.replace('rpn_head.', 'rpn.'): value for key, value in state.items()}
    fit_to_model(model, dict(state_dict=state), 'x.pth')
    said = 'start from random weights. If it was trained with this config, rename its tensors'
    assert said in ''.join(capfd.readouterr())


def small_detector():
    config = Config.fromfile(TINY_DETECTOR).model
    config.backbone.init_cfg = None
    model = MODELS.build(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model
