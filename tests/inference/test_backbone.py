"""A backbone with weights in one call: it gives the publishers' maps, whatever belongs to their files."""

import hiera_mm
from hiera_mm.errors import UserError
from hiera_mm.inference.load_backbone import backbone
from hiera_mm.models import Hiera

import hiera
import pytest
import safetensors.torch
import timm
import torch
import transformers
from mmengine.config import Config
from sam2.build_sam import build_sam2

from tests.helpers import TINY, assert_same_maps, forget_earlier_runs, perturbed, read

IMAGE = torch.randn(1, 3, 320, 448, generator=torch.Generator().manual_seed(0))
SMALL = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def official(oracle, pixels):
    return oracle(pixels, return_intermediates=True)[1]


def test_metas_file_gives_metas_maps(tmp_path):
    oracle = perturbed(hiera.hiera_tiny_224()).eval()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'hiera.pth')
    model = hiera_mm.backbone(str(tmp_path / 'hiera.pth'))
    expected = [stage.permute(0, 3, 1, 2) for stage in official(oracle, SMALL)]
    with torch.no_grad():
        assert_same_maps(model(SMALL), expected)
        (last,) = hiera_mm.backbone(str(tmp_path / 'hiera.pth'), out_indices=(3,))(SMALL)
    torch.testing.assert_close(last, model(SMALL)[3])
    assert not model.training and isinstance(model, Hiera)


@pytest.mark.slow
def test_metas_clips_give_metas_maps(tmp_path):
    oracle = perturbed(hiera.hiera_base_16x224()).eval()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'hiera.pth')
    clip = torch.randn(1, 3, 16, 224, 224)
    model = backbone(str(tmp_path / 'hiera.pth'))
    expected = [stage.permute(0, 4, 1, 2, 3) for stage in official(oracle, clip)]
    with torch.no_grad():
        assert_same_maps(model(clip), expected)


@pytest.mark.parametrize('size', ['t', *(pytest.param(size, marks=pytest.mark.slow) for size in ('s', 'b+', 'l'))])
def test_sam2s_file_gives_sam2s_maps_without_a_word_about_windows(tmp_path, size):
    whole = build_sam2(f'configs/sam2.1/sam2.1_hiera_{size}.yaml', device='cpu')
    trunk = perturbed(whole.image_encoder.trunk).eval()
    torch.save(dict(model=whole.state_dict()), tmp_path / 'sam2.pt')
    with torch.no_grad():
        assert_same_maps(backbone(str(tmp_path / 'sam2.pt'))(IMAGE), trunk(IMAGE))


@pytest.mark.parametrize(
    'name', ['sam2_hiera_tiny', 'hiera_small_abswin_256', pytest.param('hiera_base_abswin_256', marks=pytest.mark.slow)]
)
def test_timms_files_give_timms_maps(tmp_path, name):
    # timm's antialiased tables are resized once, when the model is made.
    pixels, settings = (SMALL, dict(img_size=224)) if 'abswin' in name else (IMAGE, {})
    oracle = perturbed(timm.create_model(name, **settings)).eval()
    safetensors.torch.save_file(oracle.state_dict(), tmp_path / 'model.safetensors')
    with torch.no_grad():
        expected = oracle.forward_intermediates(pixels, intermediates_only=True)
        assert_same_maps(backbone(str(tmp_path / 'model.safetensors'))(pixels), expected)


def test_transformers_files_give_their_hidden_states(tmp_path):
    oracle = perturbed(transformers.HieraForImageClassification(transformers.HieraConfig(depths=[1, 2, 7, 2]))).eval()
    oracle.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = oracle(SMALL, output_hidden_states=True).reshaped_hidden_states[1:]
        maps = backbone(str(tmp_path / 'model.safetensors'))(SMALL)
    assert_same_maps(maps, [state.permute(0, 3, 1, 2) for state in expected])


def test_of_a_run_all_that_its_config_says_counts(tmp_path):
    config = read('mask_rcnn_hiera_t.py')
    settings = {key: value for key, value in config.model.backbone.items() if key not in ('type', 'init_cfg')}
    oracle = perturbed(Hiera(**settings)).eval()
    state = {f'backbone.{key}': value for key, value in oracle.state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(cfg=config.pretty_text)), tmp_path / 'run.pth')
    with torch.no_grad():
        assert_same_maps(backbone(str(tmp_path / 'run.pth'))(IMAGE), oracle(IMAGE))


def test_the_folder_of_a_run_gives_its_newest_checkpoint(tmp_path):
    arch = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
    oracle = perturbed(Hiera(arch)).eval()
    state = {f'backbone.{key}': value for key, value in oracle.state_dict().items()}
    text = f"model = dict(backbone=dict(type='Hiera', arch={arch}))"
    torch.save(dict(state_dict=state, meta=dict(cfg=text)), tmp_path / 'epoch_2.pth')
    with pytest.raises(UserError, match="neither a published model nor a run's checkpoints"):
        backbone(str(tmp_path))
    (tmp_path / 'last_checkpoint').write_text('epoch_2.pth')
    with torch.no_grad():
        assert_same_maps(backbone(str(tmp_path))(SMALL), oracle(SMALL))


def test_what_weights_do_not_tell_is_asked_for(tmp_path):
    small = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
    torch.save(Hiera(small).state_dict(), tmp_path / 'small.pth')
    with pytest.raises(UserError, match=r'holds a Hiera of no published size .*; set its architecture: arch=dict\('):
        backbone(str(tmp_path / 'small.pth'))
    assert backbone(str(tmp_path / 'small.pth'), arch=small)(SMALL)[3].shape == (1, 128, 7, 7)
    own = Hiera('t', pos_embed='absolute_win', pos_embed_size=7, out_norm=True)
    torch.save(
        dict(state_dict={f'backbone.{key}': value for key, value in own.state_dict().items()}), tmp_path / 'x.pth'
    )
    with pytest.raises(UserError, match='does not say which windows its Hiera was trained with'):
        backbone(str(tmp_path / 'x.pth'))
    backbone(str(tmp_path / 'x.pth'), window_sizes=None, out_norm=True)
    everything = backbone(str(tmp_path / 'x.pth'), window_sizes=None, out_norm=True)(SMALL)
    last = backbone(str(tmp_path / 'x.pth'), window_sizes=None, out_norm=True, out_indices=(3,))(SMALL)
    assert len(last) == 1 and torch.equal(last[0], everything[3])
    with pytest.raises(TypeError, match='windows'):
        backbone(str(tmp_path / 'small.pth'), arch=small, windows=(1, 2))


def test_weights_that_nobody_loaded_are_told(tmp_path, capfd):
    settings = Config.fromfile(TINY).model.backbone
    oracle = Hiera(**{key: value for key, value in settings.items() if key != 'type'})
    torch.save(oracle.state_dict(), tmp_path / 'small.pth')
    settings = {key: value for key, value in settings.items() if key not in ('type', 'init_cfg')}
    forgotten = Hiera(**settings, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'small.pth')))
    forget_earlier_runs()
    forgotten(SMALL)
    forgotten(SMALL)
    assert ''.join(capfd.readouterr()).count("The backbone's weights are random: init_weights() was not called") == 1
    loaded = Hiera(**settings, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'small.pth')))
    loaded.init_weights()
    expected = loaded.eval()(SMALL)[0]
    # A whole model's checkpoint brings its weights too.
    loaded = Hiera(**settings, init_cfg=dict(type='Pretrained', checkpoint='none.pth'))
    torch.nn.Sequential(loaded).load_state_dict({f'0.{key}': value for key, value in oracle.state_dict().items()})
    torch.testing.assert_close(loaded.eval()(SMALL)[0], expected)
    assert ''.join(capfd.readouterr()).count('are random') == 0 and not loaded._forward_pre_hooks
