"""Files as each publisher writes them, in the backbone of a Mask R-CNN built from a config of the suite.

At 224 x 224 pixels the windows of the configs hold the whole map of stages 3 and 4, as the published models do.
"""

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.models import Hiera

import hiera
import pytest
import safetensors.torch
import timm
import torch
import transformers
from mmengine.registry import MODELS
from mmengine.runner import save_checkpoint
from sam2.build_sam import build_sam2

from tests.helpers import assert_same_maps, perturbed, read

IMAGE = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(5))
LARGER = torch.randn(1, 3, 320, 448, generator=torch.Generator().manual_seed(5))


NARROW = dict(ARCHITECTURES['bp'], embed_dim=32)
"""For files of SAM 2's trunk, whose full width takes seconds."""


def maps_of_detector(config, checkpoint, image=IMAGE, arch=None):
    """Maps of the backbone, before the norms that no published model has, of a detector that was initialised."""
    model = read(config).model
    model.backbone.arch = arch or model.backbone.arch
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
    model.backbone.out_norm = False
    # At 224 pixels these windows hold all tokens and nothing else, as the published models' attention does.
    model.backbone.window_sizes = (8, 4, 14, 7)
    # Nothing that follows the backbone takes part.
    model.rpn_head = model.roi_head = None
    detector = MODELS.build(model)
    detector.init_weights()
    with torch.no_grad():
        return detector.eval().backbone(image)


def official_maps(model, image=IMAGE):
    with torch.no_grad():
        return [stage_map.permute(0, 3, 1, 2) for stage_map in model.eval()(image, return_intermediates=True)[1]]


def timms_maps(model, image=IMAGE):
    with torch.no_grad():
        return model.eval().forward_intermediates(image, intermediates_only=True)


def test_meta_fine_tuned(tmp_path):
    oracle = perturbed(hiera.hiera_tiny_224())
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'hiera_tiny_224.pth')
    maps = maps_of_detector('mask_rcnn_hiera_t.py', tmp_path / 'hiera_tiny_224.pth')
    assert_same_maps(maps, official_maps(oracle))


def test_meta_masked_autoencoder_with_its_decoder(tmp_path):
    autoencoder = perturbed(hiera.mae_hiera_tiny_224())
    torch.save(dict(model_state=autoencoder.state_dict()), tmp_path / 'mae_hiera_tiny_224.pth')
    # The autoencoder leaves the last pooling out; the model that is fine-tuned from it has it.
    oracle = hiera.hiera_tiny_224()
    oracle.load_state_dict(autoencoder.state_dict(), strict=False)
    maps = maps_of_detector('mask_rcnn_hiera_t.py', tmp_path / 'mae_hiera_tiny_224.pth')
    assert_same_maps(maps, official_maps(oracle))


def test_meta_on_the_hub_without_a_wrapper(tmp_path):
    oracle = perturbed(hiera.hiera_tiny_224())
    safetensors.torch.save_file(oracle.state_dict(), tmp_path / 'model.safetensors')
    maps = maps_of_detector('cascade_mask_rcnn_hiera_t.py', tmp_path / 'model.safetensors')
    assert_same_maps(maps, official_maps(oracle))


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_timm(tmp_path, ending):
    oracle = perturbed(timm.create_model('hiera_tiny_224'))
    path = tmp_path / f'model{ending}'
    (torch.save if ending == '.pth' else safetensors.torch.save_file)(oracle.state_dict(), path)
    assert_same_maps(maps_of_detector('mask_rcnn_hiera_t.py', path), timms_maps(oracle))


def test_timm_absolute_win(tmp_path):
    oracle = perturbed(timm.create_model('hiera_small_abswin_256', img_size=224))
    safetensors.torch.save_file(oracle.state_dict(), tmp_path / 'model.safetensors')
    maps = maps_of_detector('mask_rcnn_hiera_s_abswin.py', tmp_path / 'model.safetensors')
    assert_same_maps(maps, timms_maps(oracle))


def test_timms_trunk_of_sam2(tmp_path):
    width = {key: NARROW[key] for key in ('embed_dim', 'num_heads')}
    oracle = perturbed(timm.create_model('sam2_hiera_base_plus', **width))
    safetensors.torch.save_file(oracle.state_dict(), tmp_path / 'model.safetensors')
    maps = maps_of_detector('mask_rcnn_hiera_bp_sam2.py', tmp_path / 'model.safetensors', LARGER, NARROW)
    assert_same_maps(maps, timms_maps(oracle, LARGER))


def test_transformers_classifier(tmp_path):
    oracle = perturbed(transformers.HieraForImageClassification(transformers.HieraConfig(depths=[1, 2, 7, 2])))
    oracle.eval().save_pretrained(tmp_path)
    with torch.no_grad():
        states = oracle(IMAGE, output_hidden_states=True).reshaped_hidden_states[1:]
    maps = maps_of_detector('mask_rcnn_hiera_t.py', tmp_path / 'model.safetensors')
    assert_same_maps(maps, [state.permute(0, 3, 1, 2) for state in states])


def test_transformers_masked_autoencoder(tmp_path):
    decoder = dict(num_query_pool=2, decoder_hidden_size=64, decoder_depth=1, decoder_num_heads=2)
    config = transformers.HieraConfig(depths=[1, 2, 7, 2], **decoder)
    autoencoder = perturbed(transformers.HieraForPreTraining(config))
    autoencoder.save_pretrained(tmp_path)
    oracle = transformers.HieraModel(transformers.HieraConfig(depths=[1, 2, 7, 2]))
    oracle.load_state_dict(autoencoder.hiera.state_dict(), strict=False)
    with torch.no_grad():
        states = oracle.eval()(IMAGE, output_hidden_states=True).reshaped_hidden_states[1:]
    maps = maps_of_detector('mask_rcnn_hiera_t.py', tmp_path / 'model.safetensors')
    assert_same_maps(maps, [state.permute(0, 3, 1, 2) for state in states])


@pytest.mark.parametrize('version', ['sam2', 'sam2.1'])
def test_sam2s_whole_model(tmp_path, version):
    narrow = ['trunk.embed_dim=32', 'neck.backbone_channel_list=[256,128,64,32]']
    narrow = [f'++model.image_encoder.{setting}' for setting in narrow]
    whole = build_sam2(f'configs/{version}/{version}_hiera_b+.yaml', device='cpu', hydra_overrides_extra=narrow)
    trunk = perturbed(whole.image_encoder.trunk)
    torch.save(dict(model=whole.state_dict()), tmp_path / f'{version}_hiera_base_plus.pt')
    maps = maps_of_detector('mask_rcnn_hiera_bp_sam2.py', tmp_path / f'{version}_hiera_base_plus.pt', LARGER, NARROW)
    with torch.no_grad():
        assert_same_maps(maps, trunk.eval()(LARGER))


def test_sam2_of_transformers(tmp_path):
    vision = dict(
        backbone_config=dict(
            model_type='sam2_hiera_det_model',
            hidden_size=32,
            blocks_per_stage=[2, 3, 16, 3],
            embed_dim_per_stage=[32, 64, 128, 256],
            num_attention_heads_per_stage=[2, 4, 8, 16],
            window_positional_embedding_background_size=[14, 14],
            window_size_per_stage=[8, 4, 14, 7],
            global_attention_blocks=[12, 16, 20],
        ),
        backbone_channel_list=[256, 128, 64, 32],
    )
    whole = transformers.Sam2Model(transformers.Sam2Config(vision_config=vision)).eval()
    backbone = perturbed(whole.vision_encoder.backbone)
    whole.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = [state.permute(0, 3, 1, 2) for state in backbone(LARGER).intermediate_hidden_states]
    maps = maps_of_detector('mask_rcnn_hiera_bp_sam2.py', tmp_path / 'model.safetensors', LARGER, NARROW)
    assert_same_maps(maps, expected)


@pytest.mark.parametrize('where', ['alone', 'in a detector', 'in a recogniser', 'in an autoencoder'])
def test_own_checkpoints(tmp_path, where):
    model = read('mask_rcnn_hiera_t.py').model.backbone
    arch = dict(ARCHITECTURES['t'], embed_dim=16)
    model.update(arch=arch, init_cfg=None, out_norm=False, window_sizes=(8, 4, 14, 7))
    oracle = perturbed(MODELS.build(model)).eval()
    prefix = '' if where == 'alone' else 'backbone.'
    state = {f'{prefix}{name}': value for name, value in oracle.state_dict().items()}
    beside = {'in a detector': 'neck.x', 'in a recogniser': 'cls_head.fc.weight', 'in an autoencoder': 'decoder.x'}
    if where in beside:
        state[beside[where]] = torch.ones(3)
    save_checkpoint(dict(meta=dict(iter=3), state_dict=state), str(tmp_path / 'iter_3.pth'))
    assert isinstance(oracle, Hiera)
    with torch.no_grad():
        expected = oracle(LARGER)
    assert_same_maps(maps_of_detector('mask_rcnn_hiera_t.py', tmp_path / 'iter_3.pth', LARGER, arch), expected)
