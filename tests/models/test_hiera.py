"""The backbone against the official implementation, the PyPI package hiera-transformer."""

import copy

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.complexity import count_macs, count_parameters
from hiera_mm.errors import UserError
from hiera_mm.models import Hiera
from hiera_mm.models.position import resize_position_table

import hiera
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers import perturbed

SMALL = dict(embed_dim=16, num_heads=1, depths=(1, 2, 3, 2))
REDUCED = dict(l=dict(ARCHITECTURES['l'], depths=(1, 2, 3, 2)), h=dict(ARCHITECTURES['h'], depths=(1, 1, 2, 1)))
"""The large sizes with all their widths and heads, at a depth that CPU tests can afford."""


def official(arch, input_size=(224, 224), **arguments):
    settings = ARCHITECTURES[arch] if isinstance(arch, str) else arch
    return hiera.Hiera(
        input_size=input_size,
        embed_dim=settings['embed_dim'],
        num_heads=settings['num_heads'],
        stages=settings['depths'],
        **arguments,
    )


def backbone_weights(model):
    return {key: value for key, value in model.state_dict().items() if not key.startswith(('norm.', 'head.'))}


def assert_maps_equal(maps, expected, tolerance=1e-4):
    assert len(maps) == len(expected)
    for got, want in zip(maps, expected, strict=True):
        want = want.permute(0, 3, 1, 2)
        assert got.shape == want.shape and got.is_contiguous(memory_format=torch.channels_last)
        assert (got - want).abs().max() <= tolerance * want.abs().max()


@pytest.mark.parametrize(
    'arch', ['t', 'bp', *(pytest.param(arch, marks=pytest.mark.slow) for arch in ('s', 'b', *REDUCED))]
)
def test_stage_maps_equal_the_official_ones_at_224(arch):
    settings = REDUCED.get(arch, arch)
    oracle = perturbed(official(settings)).eval()
    model = Hiera(settings).eval()
    model.load_state_dict(backbone_weights(oracle))
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert_maps_equal(model(image), oracle(image, return_intermediates=True)[1])


@pytest.mark.parametrize('size', [(256, 416), (448, 224), (64, 32), (320, 320)])
@pytest.mark.parametrize('mode', ['train', 'eval'])
@pytest.mark.usefixtures('kernels')
def test_stage_maps_equal_the_official_ones_at_other_sizes_and_in_batches(size, mode):
    model = perturbed(Hiera(SMALL))
    oracle = official(SMALL, input_size=size)
    weights = model.state_dict()
    table = resize_position_table(weights['pos_embed'], size[0] // 4, size[1] // 4)
    weights['pos_embed'] = table.flatten(2).transpose(1, 2)
    oracle.load_state_dict(weights, strict=False)
    model.train(mode == 'train'), oracle.train(mode == 'train')
    image = torch.randn(3, 3, *size)
    with torch.no_grad():
        assert_maps_equal(model(image), oracle(image, return_intermediates=True)[1])


@pytest.mark.usefixtures('kernels')
def test_gradients_equal_the_official_ones():
    oracle = perturbed(official(SMALL))
    model = Hiera(SMALL)
    model.load_state_dict(backbone_weights(oracle))
    image = torch.randn(2, 3, 224, 224)
    sum(feature_map.square().mean() for feature_map in model(image)).backward()
    sum(feature_map.square().mean() for feature_map in oracle(image, return_intermediates=True)[1]).backward()
    expected = dict(oracle.named_parameters())
    for name, parameter in model.named_parameters():
        want = expected[name].grad
        assert (parameter.grad - want).abs().max() <= 1e-4 * want.abs().max(), name


@pytest.mark.parametrize('size', [(33, 97), (100, 75), (224, 200), (32, 32)])
def test_any_size_from_32_up_gives_maps_of_rounded_up_size(size):
    maps = Hiera(SMALL)(torch.randn(2, 3, *size))
    for stage, feature_map in enumerate(maps):
        stride = 4 * 2**stage
        assert feature_map.shape == (2, 16 * 2**stage, -(-size[0] // stride), -(-size[1] // stride))


def test_padding_inside_equals_zeros_added_outside():
    model = perturbed(Hiera(SMALL)).eval()
    image = torch.randn(1, 3, 90, 70)
    padded = torch.nn.functional.pad(image, (0, 96 - 70, 0, 96 - 90))
    for cropped, whole in zip(model(image), model(padded), strict=True):
        assert torch.equal(cropped, whole[..., : cropped.shape[-2], : cropped.shape[-1]])


def test_an_image_below_one_mask_unit_is_refused():
    with pytest.raises(UserError, match='at least 32 x 32 pixels.*31 x 64'):
        Hiera(SMALL)(torch.randn(1, 3, 31, 64))


@pytest.mark.parametrize('with_cp', [True, (True, True, False, False), [False, False, True, False]])
def test_with_cp_changes_neither_loss_nor_gradients_nor_keys(with_cp):
    plain = perturbed(Hiera(SMALL, drop_path_rate=0.5))
    recomputing = Hiera(SMALL, drop_path_rate=0.5, with_cp=with_cp)
    recomputing.load_state_dict(plain.state_dict())
    image = torch.randn(3, 3, 64, 96)
    results = []
    for model in (plain, recomputing):
        torch.manual_seed(1)
        loss = sum(feature_map.square().mean() for feature_map in model(image))
        loss.backward()
        results.append((loss, [parameter.grad for parameter in model.parameters()]))
    assert torch.equal(results[0][0], results[1][0])
    for first, second in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-7)


def test_with_cp_keeps_fewer_activations():
    def saved_bytes(model):
        total = 0

        def count(tensor):
            nonlocal total
            total += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            model(torch.randn(1, 3, 64, 64))
        return total

    choices = (True, (True, True, False, False), (True, False, False, False), False)
    kept = [saved_bytes(Hiera(SMALL, with_cp=with_cp)) for with_cp in choices]
    assert kept == sorted(kept) and len(set(kept)) == 4 and kept[0] < 0.3 * kept[-1]


@pytest.mark.parametrize('arch', ['t', 's', 'b', 'bp', 'l', 'h'])
def test_parameters_and_macs_equal_the_papers_table_2(arch):
    paper = dict(t=(28, 5), s=(35, 6), b=(52, 9), bp=(70, 13), l=(214, 40), h=(673, 125))
    # Decimals that the official model has with its classifier of 1000 classes, counted independently.
    exact = dict(t=(27.910, 4.90), s=(35.008, 6.41), b=(51.525, 9.37), bp=(69.897, 12.64))
    exact |= dict(l=(213.740, 40.27), h=(672.780, 124.73))
    with torch.device('meta'):
        model = Hiera(arch)
        macs, maps = count_macs(model, torch.empty(1, 3, 224, 224))
    width = maps[-1].shape[1]
    parameters = (count_parameters(model) + 2 * width + 1001 * width) / 1e6
    macs = (macs + 1000 * width) / 1e9
    assert (round(parameters), round(macs)) == paper[arch]
    assert parameters == pytest.approx(exact[arch][0], abs=1e-3)
    assert macs == pytest.approx(exact[arch][1], rel=0.01)


@pytest.mark.skipif(torch.__version__.startswith('2.6.'), reason="torch 2.6 does not count a CPU's attention")
def test_counting_includes_attention():
    model = Hiera('t').eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.randn(1, 3, 224, 224))
    by_operator = {str(operator): count for operator, count in counter.get_flop_counts()['Global'].items()}
    assert any('attention' in operator for operator in by_operator)


def test_out_indices_choose_and_order_the_maps():
    model = Hiera(SMALL, out_indices=(3, 1)).eval()
    everything = Hiera(SMALL).eval()
    everything.load_state_dict(model.state_dict())
    image = torch.randn(1, 3, 64, 64)
    last, second = model(image)
    maps = everything(image)
    assert torch.equal(last, maps[3]) and torch.equal(second, maps[1])


def test_stages_after_the_last_map_are_neither_built_nor_computed():
    whole = Hiera(SMALL, drop_path_rate=0.3).eval()
    first = Hiera(SMALL, drop_path_rate=0.3, out_indices=(1, 0)).eval()
    assert len(first.blocks) == sum(first.depths[:2])
    assert [block.drop_prob for block in whole.blocks][: len(first.blocks)] == [
        block.drop_prob for block in first.blocks
    ]
    first.load_state_dict({key: value for key, value in whole.state_dict().items() if key in first.state_dict()})
    pixels = torch.randn(2, 3, 64, 96)
    maps = first(pixels)
    for stage_map, expected in zip(maps, whole(pixels)[1::-1], strict=True):
        assert torch.equal(stage_map, expected)
    sum(stage_map.sum() for stage_map in maps).backward()
    assert all(parameter.grad is not None for parameter in first.parameters())
    with torch.device('meta'):
        costs = [
            count_macs(Hiera('t', out_indices=stages).eval(), torch.empty(1, 3, 224, 224))[0]
            for stages in ((0,), (0, 1, 2, 3))
        ]
    assert costs[0] < 0.15 * costs[1]


def test_out_norm_normalises_each_map_over_its_channels():
    model = Hiera(SMALL, out_norm=True).eval()
    plain = Hiera(SMALL).eval()
    plain.load_state_dict({key: value for key, value in model.state_dict().items() if not key.startswith('out_norms')})
    image = torch.randn(1, 3, 64, 64)
    for stage, (normed, raw) in enumerate(zip(model(image), plain(image), strict=True)):
        norm = model.out_norms[str(stage)]
        expected = torch.nn.functional.layer_norm(
            raw.permute(0, 2, 3, 1), raw.shape[1:2], norm.weight, norm.bias, eps=1e-6
        )
        torch.testing.assert_close(normed, expected.permute(0, 3, 1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('window_sizes', [None, (8, 4, 4, 2)])
def test_more_attention_groups_than_a_kernel_takes_are_split(monkeypatch, window_sizes):
    model, pixels = Hiera(SMALL, window_sizes=window_sizes), torch.randn(3, 3, 96, 96)
    expected = model(pixels)
    sum(stage_map.square().mean() for stage_map in expected).backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    seen, attend = [], torch.nn.functional.scaled_dot_product_attention

    def small_grids_only(q, k, v):
        seen.append(len(q))
        return attend(q, k, v)

    monkeypatch.setattr('hiera_mm.models.hiera.MAX_GROUPS', 4)
    monkeypatch.setattr('torch.nn.functional.scaled_dot_product_attention', small_grids_only)
    maps = model(pixels)
    assert max(seen) == 4
    for stage_map, wanted in zip(maps, expected, strict=True):
        torch.testing.assert_close(stage_map, wanted, rtol=1e-5, atol=1e-5)
    sum(stage_map.square().mean() for stage_map in maps).backward()
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_frozen_stages_are_in_evaluation_mode_from_the_start():
    model = Hiera(SMALL, frozen_stages=1, drop_path_rate=0.5)
    assert model.training and not model.patch_embed.training
    assert [block.training for block in model.blocks][:2] == [False, True]


@pytest.mark.parametrize('frozen_stages', [-1, 0, 2, 4])
def test_frozen_stages_get_no_gradient_and_no_drop_path(frozen_stages):
    model = Hiera(SMALL, pos_embed='absolute_win', frozen_stages=frozen_stages, drop_path_rate=0.5).train()
    assert model.pos_embed_window.requires_grad == (frozen_stages < 0)
    frozen_blocks = sum(SMALL['depths'][: max(frozen_stages, 0)])
    assert model.pos_embed.requires_grad == (frozen_stages < 0)
    assert model.patch_embed.proj.weight.requires_grad == (frozen_stages < 0)
    for index, block in enumerate(model.blocks):
        frozen = index < frozen_blocks
        assert block.training != frozen
        assert all(parameter.requires_grad != frozen for parameter in block.parameters())


def test_drop_path_rates_rise_linearly_to_the_given_rate():
    rates = [block.drop_prob for block in Hiera(SMALL, drop_path_rate=0.7).blocks]
    assert rates == pytest.approx(torch.linspace(0, 0.7, 8).tolist())


def test_drop_path_changes_training_but_not_evaluation():
    model = Hiera(SMALL, drop_path_rate=0.5)
    image = torch.randn(4, 3, 64, 64)
    assert not torch.equal(model.train()(image)[-1], model(image)[-1])
    assert torch.equal(model.eval()(image)[-1], model(image)[-1])


def test_layer_depths_cover_every_parameter():
    model = Hiera(SMALL, pos_embed='absolute_win', out_norm=True)
    depths = {name: model.get_layer_depth(f'backbone.{name}', 'backbone.') for name, _ in model.named_parameters()}
    assert {layers for _, layers in depths.values()} == {10}
    assert depths['pos_embed'][0] == depths['pos_embed_window'][0] == depths['patch_embed.proj.weight'][0] == 0
    assert [depths[f'blocks.{i}.norm1.weight'][0] for i in range(8)] == list(range(1, 9))
    assert depths['out_norms.3.weight'][0] == model.get_layer_depth('neck.conv.weight', 'backbone.')[0] == 9
    assert model.no_weight_decay() == {'pos_embed', 'pos_embed_window'}


@pytest.mark.parametrize('long, short', [('tiny', 't'), ('base_plus', 'bp'), ('huge', 'h')])
def test_long_names_mean_the_same_sizes(long, short):
    with torch.device('meta'):
        assert Hiera(long).state_dict().keys() == Hiera(short).state_dict().keys()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(arch='xl'), "no arch 'xl'; take one of t, s, b, bp, l, h"),
        (dict(arch=dict(embed_dim=8)), "needs the keys 'embed_dim', 'num_heads' and 'depths' and may have"),
        (dict(arch=dict(SMALL, depths=(1, 2))), 'four stages'),
        (dict(arch=dict(SMALL, num_heads=3)), "can't be divided among 3 heads"),
        (dict(out_indices=(0, 4)), "'out_indices' must lie between 0 and 3"),
        (dict(with_cp=(True, False)), "'with_cp' must be True, False, or one value for each stage"),
        (dict(frozen_stages=5), "'frozen_stages' must lie between -1 and 4"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_sentence(arguments, message):
    with pytest.raises(UserError, match=message):
        Hiera(**arguments)


def test_an_unknown_argument_is_an_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
        Hiera(depth=50)


def test_initial_weights_are_distributed_as_the_official_ones():
    model, oracle = Hiera('t'), official('t')
    expected = dict(oracle.named_parameters())
    for name, parameter in model.named_parameters():
        want = expected[name]
        if want.min() == want.max():
            assert torch.equal(parameter, want), name
        elif parameter.numel() > 5000:
            assert parameter.mean().item() == pytest.approx(want.mean().item(), abs=1e-3), name
            assert parameter.std().item() == pytest.approx(want.std().item(), rel=0.05), name


def test_copies_are_independent():
    model = Hiera(SMALL)
    twin = copy.deepcopy(model)
    twin.pos_embed.data.zero_()
    assert model.pos_embed.abs().sum() > 0


@pytest.mark.slow
def test_compiled_model_gives_the_same_maps():
    model = perturbed(Hiera(SMALL)).eval()
    image = torch.randn(1, 3, 64, 96)
    compiled = torch.compile(model, fullgraph=True, dynamic=False)
    with torch.no_grad():
        for got, expected in zip(compiled(image), model(image), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_exported_program_gives_the_same_maps():
    model = perturbed(Hiera(SMALL)).eval()
    image = torch.randn(1, 3, 96, 70)
    exported = torch.export.export(model, (image,)).module()
    for got, expected in zip(exported(image), model(image), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_gradients_of_each_sample_are_those_of_the_sample_alone():
    model = Hiera(dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))).eval()
    parameters, images = dict(model.named_parameters()), torch.randn(3, 3, 64, 64)

    def loss(parameters, image):
        return torch.func.functional_call(model, parameters, (image[None],))[-1].square().sum()

    every = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, images)
    for place, image in enumerate(images):
        expected = torch.autograd.grad(loss(parameters, image), list(parameters.values()))
        for name, gradient in zip(parameters, expected, strict=True):
            torch.testing.assert_close(every[name][place], gradient, atol=1e-4, rtol=1e-4)
