"""Names of every publisher to ours and back, on the names that the publishers' own packages give."""

from hiera_mm.errors import UserError
from hiera_mm.weights.formats import TARGETS, describe, to_our_names, to_their_names, unwrap

import hiera
import pytest
import timm
import torch
import transformers
from birder.net.hiera import Hiera as BirderHiera
from birder.net.hieradet import HieraDet
from birder.net.mim.mae_hiera import MAE_Hiera
from sam2.modeling.backbones.hieradet import Hiera as Sam2Trunk

from tests.helpers import official_classifier

SMALL = dict(embed_dim=16, num_heads=1, stages=(1, 2, 3, 2))
SMALL_HF = dict(depths=[1, 2, 3, 2], embed_dim=16)


def autoencoder():
    decoder = dict(decoder_embed_dim=16, decoder_depth=2, decoder_num_heads=2)
    return hiera.MaskedAutoencoderHiera(**SMALL, q_pool=2, **decoder)


def video():
    return official_classifier(
        input_size=(16, 224, 224),
        q_stride=(1, 2, 2),
        mask_unit_size=(1, 8, 8),
        patch_kernel=(3, 7, 7),
        patch_stride=(2, 4, 4),
        patch_padding=(1, 3, 3),
        sep_pos_embed=True,
    )


def hf_autoencoder():
    config = transformers.HieraConfig(
        **SMALL_HF, num_query_pool=2, decoder_hidden_size=16, decoder_depth=2, decoder_num_heads=2
    )
    return transformers.HieraForPreTraining(config)


def hf_sam2():
    config = transformers.Sam2HieraDetConfig(
        hidden_size=16,
        blocks_per_stage=[1, 2, 3, 2],
        embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        global_attention_blocks=[4],
    )
    return transformers.Sam2HieraDetModel(config)


BIRDER = dict(depths=[1, 2, 3, 2], embed_dim=16, num_heads=1, drop_path_rate=0.0)


def birder_hiera():
    return BirderHiera(3, 5, config=dict(BIRDER, abs_win_pos_embed=True), size=(224, 224))


def birder_hieradet():
    windows = dict(global_pos_size=(7, 7), global_att_blocks=[4], window_spec=[8, 4, 14, 7])
    return HieraDet(3, 5, config=dict(BIRDER, **windows), size=(224, 224))


PUBLISHERS = {
    'meta': (official_classifier, 'meta'),
    'meta, autoencoder': (autoencoder, 'meta'),
    'meta, video': (video, 'meta'),
    'timm': (lambda: timm.models.hiera.Hiera(**SMALL), 'timm'),
    'timm, without head': (lambda: timm.models.hiera.Hiera(**SMALL, num_classes=0), 'timm'),
    'timm, absolute-win': (
        lambda: timm.models.hiera.Hiera(
            **SMALL, img_size=(256, 256), abs_win_pos_embed=True, init_values=1e-5, use_expand_proj=False
        ),
        'timm',
    ),
    'timm, SAM 2': (lambda: timm.models.hieradet_sam2.HieraDet(**SMALL, global_att_blocks=(4,), num_classes=0), 'timm'),
    'transformers': (
        lambda: transformers.HieraForImageClassification(transformers.HieraConfig(**SMALL_HF, num_labels=5)),
        'transformers',
    ),
    'transformers, without head': (
        lambda: transformers.HieraModel(transformers.HieraConfig(**SMALL_HF)),
        'transformers',
    ),
    'transformers, autoencoder': (hf_autoencoder, 'transformers'),
    'transformers, SAM 2': (hf_sam2, 'sam2 in transformers'),
    'SAM 2': (lambda: Sam2Trunk(**SMALL, global_att_blocks=(4,)), 'sam2'),
    'birder': (birder_hiera, 'birder'),
    'birder, autoencoder': (lambda: MAE_Hiera(birder_hiera()), 'birder'),
    'birder, HieraDet': (birder_hieradet, 'birder hieradet'),
}
CAN_HOLD = {
    'meta': TARGETS[:3] + ('hiera_mm',),
    'meta, autoencoder': ('meta', 'transformers', 'hiera_mm'),
    'meta, video': ('meta', 'timm', 'hiera_mm'),
    'timm': ('meta', 'timm', 'transformers', 'hiera_mm'),
    'timm, without head': ('meta', 'timm', 'transformers', 'hiera_mm'),
    'timm, absolute-win': ('timm', 'hiera_mm'),
    'timm, SAM 2': ('timm', 'hiera_mm'),
    'transformers': ('meta', 'timm', 'transformers', 'hiera_mm'),
    # Not timm, where a norm without a classifier is an autoencoder's.
    'transformers, without head': ('meta', 'transformers', 'hiera_mm'),
    'transformers, autoencoder': ('meta', 'transformers', 'hiera_mm'),
    'transformers, SAM 2': ('timm', 'transformers', 'sam2', 'hiera_mm'),
    'SAM 2': ('timm', 'transformers', 'sam2', 'hiera_mm'),
}


@pytest.fixture(scope='module')
def states():
    torch.manual_seed(0)
    return {name: make().state_dict() for name, (make, _) in PUBLISHERS.items()}


@pytest.mark.parametrize('name', PUBLISHERS)
def test_the_format_and_the_architecture_are_recognised(states, name):
    weights = to_our_names(states[name], 'file')
    assert weights.format == PUBLISHERS[name][1]
    assert not weights.others and len(weights.tensors) == len(states[name])
    kind = 'clips' if 'video' in name else 'images'
    extras = ', layer scale, pooled shortcut' if name == 'timm, absolute-win' else ''
    expected = f'Hiera of no published size ({kind}, 16 channels, 1-2-3-2 blocks{extras})'
    assert describe(weights.tensors) == expected


@pytest.mark.parametrize('name, target', [(name, target) for name, targets in CAN_HOLD.items() for target in targets])
def test_there_and_back_is_the_identity(states, name, target):
    ours = to_our_names(states[name], 'file').tensors
    there, left_out = to_their_names(ours, target)
    assert not left_out
    assert_equal(to_our_names(there, 'there').tensors, ours)
    own_format = PUBLISHERS[name][1].split()[-1]
    again, _ = to_their_names(to_our_names(there, 'there').tensors, own_format)
    without_prefix = {
        key.removeprefix('vision_encoder.backbone.').removeprefix('image_encoder.trunk.') for key in again
    }
    if name == 'transformers, without head':
        without_prefix = {key.removeprefix('hiera.') for key in again}
    assert without_prefix == set(states[name])


def assert_equal(tensors, expected):
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[key], expected[key]) for key in expected)


def test_converted_names_are_those_of_the_publishers_packages(states):
    """The target's own model takes the file, with nothing missing and nothing left over."""
    meta = to_our_names(states['meta'], 'file').tensors
    timm_model = timm.models.hiera.Hiera(**SMALL, num_classes=5)
    timm_model.load_state_dict(to_their_names(meta, 'timm')[0])
    hf = PUBLISHERS['transformers'][0]()
    hf.load_state_dict(to_their_names(meta, 'transformers')[0])
    image = torch.randn(1, 3, 224, 224)
    model = official_classifier().eval()
    model.load_state_dict(states['meta'])
    with torch.no_grad():
        expected = model(image)
        torch.testing.assert_close(timm_model.eval()(image).softmax(-1), expected)
        torch.testing.assert_close(hf.eval()(image).logits.softmax(-1), expected)
    hf_autoencoder().load_state_dict(
        to_their_names(to_our_names(states['meta, autoencoder'], 'f').tensors, 'transformers')[0]
    )
    trunk = to_our_names(states['transformers, SAM 2'], 'file').tensors
    names = to_their_names(trunk, 'sam2')[0]
    assert {key.removeprefix('image_encoder.trunk.') for key in names} == set(states['SAM 2'])


@pytest.mark.parametrize('target', ['timm', 'sam2', 'meta'])
def test_what_a_format_has_no_place_for_is_named(states, target):
    name = 'timm, SAM 2' if target == 'sam2' else 'meta, autoencoder'
    ours = to_our_names(states[name], 'file').tensors
    there, left_out = to_their_names(ours, target)
    back = to_our_names(there, 'there').tensors
    assert set(left_out) == set(ours) - set(back)
    starts = dict(timm=('decoder_', 'mask_token', 'multi_scale'), sam2=('norm.',), meta=())[target]
    assert bool(left_out) == bool(starts) and all(key.startswith(starts) for key in left_out)
    assert_equal(back, {key: value for key, value in ours.items() if key not in left_out})


@pytest.mark.parametrize(
    'name, target, what',
    [
        ('SAM 2', 'meta', 'two position tables'),
        ('meta', 'sam2', 'one position table'),
        ('timm, absolute-win', 'transformers', 'LayerScale'),
        ('meta, video', 'transformers', 'clips'),
    ],
)
def test_a_backbone_that_a_format_cannot_hold_is_refused(states, name, target, what):
    with pytest.raises(UserError, match=f'no place for a Hiera with {what}.*convert it to timm or hiera_mm'):
        to_their_names(to_our_names(states[name], 'file').tensors, target)


def test_a_checkpoint_of_another_model_is_refused():
    state = timm.create_model('resnet18').state_dict()
    with pytest.raises(
        UserError, match=r"'r.pth' holds no Hiera: the names of its 122 tensors, such as 'conv1.weight'"
    ):
        to_our_names(state, 'r.pth')


def test_several_backbones_in_one_file_are_refused(states):
    state = {f'{side}.{key}': value for side in ('student', 'teacher') for key, value in states['meta'].items()}
    with pytest.raises(UserError, match="more than one Hiera, under 'student.', 'teacher.'"):
        to_our_names(state, 'two.pth')


def test_a_wrapper_for_several_devices_changes_nothing(states):
    wrapped = dict(state_dict={f'module.{key}': value for key, value in states['meta'].items()})
    assert_equal(to_our_names(wrapped, 'file').tensors, states['meta'])


def test_a_checkpoint_without_weights_is_refused():
    with pytest.raises(UserError, match=r"holds no weights: its keys \['epoch'\] don't name tensors"):
        to_our_names(dict(epoch=3), 'file')


@pytest.mark.parametrize('key', ['model_state_dict', 'net', 'module', 'model_ema', 'ema', 'teacher'])
def test_weights_under_the_keys_of_other_trainers_are_found(key):
    tensors = {'module.blocks.0.norm1.weight': torch.ones(2)}
    assert unwrap({'epoch': 3, key: tensors, 'optimizer': {}}, 'a.pth')[0].keys() == {'blocks.0.norm1.weight'}


def test_the_weights_come_before_their_average_where_both_are_there():
    content = dict(model_ema=dict(a=torch.zeros(1)), state_dict=dict(a=torch.ones(1)))
    assert unwrap(content, 'a.pth')[0]['a'] == 1


def test_weights_that_are_no_numbers_are_refused():
    content = dict(state_dict=dict(a=torch.ones(2), b=torch.tensor([1.0, float('nan')])))
    with pytest.raises(
        UserError, match=r"1 of the 2 tensors in 'a.pth' hold NaN, such as 'b': the training that wrote"
    ):
        unwrap(content, 'a.pth')
