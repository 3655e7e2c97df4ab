"""Windows and absolute-win positions against SAM 2's trunk, timm's models and transformers' classifier."""

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.complexity import count_macs
from hiera_mm.errors import UserError
from hiera_mm.models import Hiera
from hiera_mm.weights.formats import to_our_names
from hiera_mm.weights.load import fit_to_backbone

import pytest
import timm
import torch
import transformers
from birder.net.hiera import Hiera as BirderHiera
from birder.net.hieradet import HieraDet
from sam2.modeling.backbones.hieradet import Hiera as Sam2Trunk

from tests.helpers import assert_same_maps, perturbed

SMALL = dict(embed_dim=16, num_heads=1, depths=(1, 2, 3, 2))
# Sizes of tables and windows, and global blocks, of the four trunks that SAM 2 has.
SAM2 = dict(
    t=(7, (8, 4, 14, 7), (5, 7, 9)),
    s=(7, (8, 4, 14, 7), (7, 10, 13)),
    bp=(14, (8, 4, 14, 7), (12, 16, 20)),
    l=(7, (8, 4, 16, 8), (23, 33, 43)),
)


def narrow(name):
    """A published architecture with 16 channels for each head of its first stage."""
    return dict(ARCHITECTURES[name], embed_dim=16 * ARCHITECTURES[name]['num_heads'])


def narrow_timm(name, arch, **arguments):
    """timm's model of a name with random weights, as narrow as ``narrow(arch)``."""
    width = {key: narrow(arch)[key] for key in ('embed_dim', 'num_heads')}
    return perturbed(timm.create_model(name, **width, **arguments)).eval()


def trunk_and_ours(arch, side, windows, global_blocks, **arguments):
    """SAM 2's trunk with random weights, and ours with the same."""
    trunk = perturbed(
        Sam2Trunk(
            embed_dim=arch['embed_dim'],
            num_heads=arch['num_heads'],
            stages=arch['depths'],
            window_spec=windows,
            global_att_blocks=global_blocks,
            window_pos_embed_bkg_spatial_size=(side, side),
        )
    )
    settings = dict(window_sizes=windows, global_blocks=global_blocks, pos_embed='absolute_win', pos_embed_size=side)
    model = Hiera(arch, **settings, **arguments)
    return trunk.eval(), with_weights_of(trunk, model)


def with_weights_of(oracle, model):
    fitted, _ = fit_to_backbone(model, to_our_names(oracle.state_dict(), 'oracle'), 'oracle')
    model.load_state_dict(fitted)
    return model.eval()


@pytest.mark.parametrize(
    'name, size',
    [
        pytest.param(name, size, marks=pytest.mark.slow if name != 't' and size != (512, 512) else ())
        for name in SAM2
        for size in [(1024, 1024), (800, 1344), (512, 512)]
    ],
)
def test_maps_equal_those_of_sam2s_trunk(name, size):
    side, windows, global_blocks = SAM2[name]
    trunk, model = trunk_and_ours(narrow(name), side, windows, global_blocks)
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        assert_same_maps(model(image), trunk(image))


@pytest.mark.parametrize('size', [(320, 448), (64, 320), (32, 32), (448, 448)])
@pytest.mark.parametrize('windows', [(8, 4, 14, 7), (8, 4, 16, 8), (8, 4, 2, 1), (8, 4, 4, 2)])
@pytest.mark.usefixtures('kernels')
def test_batches_of_any_size_equal_sam2s_trunk_in_training_too(windows, size):
    trunk, model = trunk_and_ours(SMALL, 7, windows, (4,))
    trunk.train(), model.train()
    image = torch.randn(3, 3, *size)
    assert_same_maps(model(image), trunk(image))


@pytest.mark.usefixtures('kernels')
def test_gradients_equal_those_of_sam2s_trunk():
    trunk, model = trunk_and_ours(SMALL, 7, (8, 4, 14, 7), (4,))
    image = torch.randn(2, 3, 320, 256)
    sum(feature_map.square().mean() for feature_map in model(image)).backward()
    sum(feature_map.square().mean() for feature_map in trunk(image)).backward()
    names = to_our_names({name: p.grad for name, p in trunk.named_parameters()}, 'gradients').tensors
    for name, parameter in model.named_parameters():
        assert (parameter.grad - names[name]).abs().max() <= 1e-4 * names[name].abs().max(), name


def test_a_global_block_may_open_a_stage_or_lie_in_an_early_one():
    """SAM 2's trunk fails on these: with one window as large as the image, windows must give what global blocks do."""
    windows = dict(window_sizes=(8, 4, 16, 8), pos_embed='absolute_win')
    everywhere = perturbed(Hiera(SMALL, **windows)).eval()
    some = Hiera(SMALL, global_blocks=(6, 7), **windows).eval()
    early = Hiera(SMALL, global_blocks=(0, 3), **windows).eval()
    for model in (some, early):
        model.load_state_dict(everywhere.state_dict())
    image = torch.randn(2, 3, 256, 256)
    with torch.no_grad():
        expected = everywhere(image)
        assert_same_maps(some(image), expected)
        assert (early(image)[0] - expected[0]).abs().max() > 0.001 * expected[0].abs().max()


@pytest.mark.parametrize('size', [(250, 333), (1000, 45)])
def test_sizes_that_are_no_multiple_of_32_equal_zeros_added_outside(size):
    trunk, model = trunk_and_ours(SMALL, 7, (8, 4, 14, 7), (4,))
    image = torch.randn(2, 3, *size)
    padded = torch.nn.functional.pad(image, (0, -size[1] % 32, 0, -size[0] % 32))
    with torch.no_grad():
        maps = model(image)
        expected = [e[..., : m.shape[-2], : m.shape[-1]] for m, e in zip(maps, trunk(padded), strict=True)]
    assert_same_maps(maps, expected)


@pytest.mark.parametrize('name, arch, side', [('tiny', 't', 224), ('base_plus', 'bp', 224), ('tiny', 't', 512)])
def test_maps_equal_timms_hiera(name, arch, side):
    oracle = narrow_timm(f'hiera_{name}_224', arch, img_size=side)
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        expected = oracle.forward_intermediates(image, intermediates_only=True)
        for pos_embed in ('resized', 'absolute_win'):
            model = with_weights_of(oracle, Hiera(narrow(arch), pos_embed=pos_embed, pos_embed_size=side // 4))
            assert_same_maps(model(image), expected)


@pytest.mark.parametrize(
    'arch, name, side, size',
    [
        ('s_abswin', 'small', 16, (256, 256)),
        pytest.param('s_abswin', 'small', 16, (800, 1344), marks=pytest.mark.slow),
        ('b_abswin', 'base', 14, (320, 192)),
        ('b_abswin', 'base', 14, (512, 512)),
    ],
)
@pytest.mark.usefixtures('kernels')
def test_maps_equal_timms_absolute_win_models(arch, name, side, size):
    oracle = narrow_timm(f'hiera_{name}_abswin_256', arch, img_size=size)
    settings = dict(pos_embed='absolute_win', pos_embed_size=side, pos_embed_antialias=True)
    model = with_weights_of(oracle, Hiera(narrow(arch), **settings))
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        assert_same_maps(model(image), oracle.forward_intermediates(image, intermediates_only=True))


def birders(kind, arch, side, **settings):
    """A model of the package birder for pictures of this side, with random weights."""
    settings = dict(narrow(arch), drop_path_rate=0.0, **settings)
    return perturbed(kind(3, 5, config=settings, size=(side, side))).eval()


def assert_birders_maps(oracle, model, side):
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        assert_same_maps(with_weights_of(oracle, model)(image), list(oracle.detection_features(image).values()))


@pytest.mark.parametrize('side', [224, 384])
@pytest.mark.usefixtures('kernels')
def test_maps_equal_birders_absolute_win_models(side):
    oracle = birders(BirderHiera, 'b', side, abs_win_pos_embed=True)
    settings = dict(pos_embed='absolute_win', pos_embed_size=side // 16, pos_embed_antialias=True)
    assert_birders_maps(oracle, Hiera(narrow('b'), **settings), side)


@pytest.mark.parametrize('side', [224, 448])
@pytest.mark.parametrize('windows', [(8, 4, 14, 7), None])
def test_maps_equal_birders_hieradet(windows, side):
    """Its ``hieradet_d`` have no windows in the later stages."""
    settings = dict(global_pos_size=(7, 7), global_att_blocks=[7, 10, 13], window_spec=list(windows or (8, 4, 0, 0)))
    oracle = birders(HieraDet, 's', side, **settings)
    model = Hiera(
        narrow('s'),
        pos_embed='absolute_win',
        pos_embed_size=7,
        window_sizes=windows,
        global_blocks=(7, 10, 13) if windows else (),
    )
    assert_birders_maps(oracle, model, side)


@pytest.mark.parametrize(
    'name, arch, size',
    [
        ('tiny', 't', (1024, 1024)),
        ('small', 's', (512, 384)),
        pytest.param('base_plus', 'bp', (800, 1344), marks=pytest.mark.slow),
    ],
)
def test_maps_equal_timms_trunks_of_sam2(name, arch, size):
    oracle = narrow_timm(f'sam2_hiera_{name}', arch)
    side, windows, global_blocks = SAM2[arch]
    settings = dict(window_sizes=windows, global_blocks=global_blocks, pos_embed='absolute_win', pos_embed_size=side)
    model = with_weights_of(oracle, Hiera(narrow(arch), **settings))
    image = torch.randn(1, 3, *size)
    with torch.no_grad():
        assert_same_maps(model(image), oracle.forward_intermediates(image, intermediates_only=True))


def test_maps_equal_the_hidden_states_of_transformers_classifier():
    """Its HieraBackbone is no oracle: it never puts the tokens in order."""
    config = transformers.HieraConfig(depths=[1, 2, 7, 2], embed_dim=16)
    oracle = perturbed(transformers.HieraForImageClassification(config)).eval()
    model = with_weights_of(oracle, Hiera(narrow('t')))
    image = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = oracle(image, output_hidden_states=True).reshaped_hidden_states[1:]
        assert_same_maps(model(image), [state.permute(0, 3, 1, 2) for state in expected])


def test_rows_processed_in_chunks_give_the_same_maps(monkeypatch):
    _, model = trunk_and_ours(SMALL, 7, (8, 4, 14, 7), (4,))
    image = torch.randn(2, 3, 320, 256)
    whole = [feature_map.detach() for feature_map in model(image)]
    monkeypatch.setattr('hiera_mm.models.cpu.CHUNK_SIZE', 3 * 64 * 16)
    with torch.no_grad():
        assert_same_maps(model(image), whole, tolerance=1e-5)


def test_rows_processed_in_chunks_give_the_same_gradients(monkeypatch):
    _, model = trunk_and_ours(SMALL, 7, (8, 4, 14, 7), (4,))
    image = torch.randn(2, 3, 320, 256)

    def gradients():
        loss = sum(feature_map.square().mean() for feature_map in model(image))
        return torch.autograd.grad(loss, list(model.parameters()))

    whole = gradients()
    monkeypatch.setattr('hiera_mm.models.cpu.CHUNK_SIZE', 3 * 64 * 16)
    for one, other in zip(gradients(), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_stochastic_depth_drops_whole_images_not_pieces(monkeypatch):
    model = Hiera(SMALL, drop_path_rate=0.5).train()
    image = torch.randn(4, 3, 128, 128)

    def drawn():
        torch.manual_seed(0)
        return [feature_map.detach() for feature_map in model(image)]

    whole = drawn()
    monkeypatch.setattr('hiera_mm.models.cpu.CHUNK_SIZE', 3 * 64 * 16)
    assert_same_maps(drawn(), whole, tolerance=1e-5)


def test_with_cp_changes_nothing_in_windows():
    trunk, model = trunk_and_ours(SMALL, 7, (8, 4, 14, 7), (4,), with_cp=True)
    trunk.train(), model.train()
    image = torch.randn(1, 3, 256, 320)
    assert_same_maps(model(image), trunk(image))
    model(image)[-1].sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_windows_run_in_mixed_precision():
    """The keys of what fills windows up are cast as the others are."""
    trunk, model = trunk_and_ours(SMALL, 7, (8, 4, 14, 7), (4,))
    image = torch.randn(1, 3, 256, 320)
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        assert_same_maps(model(image), trunk(image), tolerance=0.05)


@pytest.mark.slow
def test_windows_compile_and_export():
    _, model = trunk_and_ours(SMALL, 7, (8, 4, 4, 2), (4,))
    image = torch.randn(1, 3, 96, 160)
    expected = model(image)
    with torch.no_grad():
        assert_same_maps(torch.compile(model, fullgraph=True, dynamic=False)(image), expected)
    assert_same_maps(torch.export.export(model, (image,)).module()(image), expected)


def test_windows_compute_no_padding_where_sam2_does():
    """Multiply-accumulates of SAM 2's trunk at 1024 are what the field counts; here the filled tokens cost nothing."""
    trunk = Sam2Trunk().to('meta')
    with torch.device('meta'):
        model = Hiera('b', window_sizes=(8, 4, 14, 7), global_blocks=(12, 16, 20))
        image = torch.empty(1, 3, 1024, 1024)
        expected, ours = count_macs(trunk, image)[0] / 1e9, count_macs(model, image)[0] / 1e9
    assert expected == pytest.approx(242, rel=0.005)
    assert 0.95 * expected < ours < 0.97 * expected


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            dict(window_sizes=(7, 7, 7, 7)),
            r"'window_sizes' must be .* such as \(8, 4, 14, 7\).* but are \(7, 7, 7, 7\)",
        ),
        (dict(window_sizes=(8, 4, 14)), "'window_sizes' must be"),
        (dict(window_sizes=(8, 4, 0, 0)), "'window_sizes' must be"),
        (dict(global_blocks=(24,)), "'global_blocks' must lie between 0 and 23"),
        (dict(pos_embed='abswin'), "'pos_embed' must be one of resized, absolute_win, but is 'abswin'"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_sentence(arguments, message):
    with pytest.raises(UserError, match=message):
        Hiera(**arguments)
