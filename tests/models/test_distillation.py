"""Distillation against the publishers' packages: what the teacher gives, the loss, and what is trained."""

from hiera_mm.errors import UserError
from hiera_mm.models import FeatureDistillation
from hiera_mm.models.mask_units import cut_into_windows, units_to_map

import hiera
import pytest
import timm
import torch
import torch.nn as nn
from mmaction.models import ActionDataPreprocessor
from safetensors.torch import save_file

from tests.helpers import perturbed

SMALL = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
LARGE = dict(embed_dim=24, num_heads=1, depths=(1, 2, 2, 1))
STUDENT = dict(type='Hiera', arch=SMALL, pos_embed_size=16)
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


@pytest.fixture
def official(tmp_path):
    """A teacher of the official package with a file of its weights."""
    oracle = perturbed(
        hiera.Hiera(embed_dim=24, num_heads=1, stages=(1, 2, 2, 1), input_size=(64, 64), num_classes=2)
    ).eval()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'teacher.pth')
    return oracle, str(tmp_path / 'teacher.pth')


def teacher(file=None, **more):
    init = file and dict(type='Pretrained', checkpoint=file)
    return dict(type='Hiera', arch=LARGE, pos_embed_size=16, init_cfg=init, **more)


def distillation(of, **more):
    torch.manual_seed(0)
    model = FeatureDistillation(STUDENT, of, **more)
    model.init_weights()
    return model.train()


def test_it_learns_the_normalised_maps_of_the_official_model_by_smooth_l1(official):
    oracle, file = official
    model, pixels = distillation(teacher(file)), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        _, maps = oracle(pixels, return_intermediates=True)
        losses = model(pixels[:, None], mode='loss')
        own = model.backbone(pixels)
    assert len(maps) == 4
    for number, (wanted, given) in enumerate(zip(maps, own, strict=True)):
        wanted = (wanted - wanted.mean(-1, keepdim=True)) / (wanted.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        error = (model.projections[number](given.permute(0, 2, 3, 1)) - wanted).abs()
        expected = torch.where(error < 2, 0.25 * error.square(), error - 1).mean()
        torch.testing.assert_close(losses[f'loss_stage{number + 1}'], expected, rtol=1e-4, atol=1e-5)
    assert set(losses) == {f'loss_stage{number}' for number in range(1, 5)}


def test_a_student_that_predicts_nothing_has_a_loss_of_about_1(official):
    model = distillation(teacher(official[1]))
    for layer in model.projections:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    losses = model(torch.randn(2, 1, 3, 64, 64), mode='loss')
    assert sum(losses.values()).item() == pytest.approx(1, abs=0.1)


def test_with_masks_both_see_the_same_units_as_the_official_model_does(official):
    oracle, file = official
    model, pixels = distillation(teacher(file), mask_ratio=0.5), torch.randn(3, 3, 64, 64)
    torch.manual_seed(1)
    keep = model._drawn_masks(pixels)
    assert keep.sum(dim=1).tolist() == [2, 2, 2]
    assert [one.shape for one in model.taught(pixels, keep)] == [(3, 2, 64 // 4**s, 24 * 2**s) for s in range(4)]
    # The official model gives the last stage alone with masks.
    with torch.no_grad():
        last = oracle.forward(pixels, mask=keep, return_intermediates=True)[1][-1].reshape(3, 2, 1, -1)
    expected = nn.functional.layer_norm(last, last.shape[-1:])
    torch.testing.assert_close(model.taught(pixels, keep)[-1], expected, rtol=1e-4, atol=1e-4)
    # Whatever the others hold.
    hidden = (~keep).reshape(3, 1, 2, 2).repeat_interleave(32, dim=2).repeat_interleave(32, dim=3)
    losses = model.losses(pixels, model.taught(pixels, keep), keep)
    others = pixels + 5 * hidden * torch.randn_like(pixels)
    again = model.losses(others, model.taught(others, keep), keep)
    assert all(torch.equal(losses[name], again[name]) for name in losses)


def test_all_units_kept_give_the_tokens_of_the_whole_map(official):
    model, pixels = distillation(teacher(official[1]), mask_ratio=0.5), torch.randn(2, 3, 64, 96)
    whole = [one.permute(0, 3, 1, 2) for one in model.taught(pixels)]
    model.mask_ratio = 0.0
    rows = model.taught(pixels, torch.ones(2, 6, dtype=torch.bool))
    for one, expected in zip(rows, whole, strict=True):
        torch.testing.assert_close(units_to_map(one, cut_into_windows((2, 3))), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('ratio', [0.0, 0.5])
def test_the_student_alone_is_trained_and_saved(official, ratio):
    model = distillation(teacher(official[1]), mask_ratio=ratio)
    assert not any(module.training for module in model.teacher.modules())
    names = {name.split('.')[0] for name, _ in model.named_parameters()} | {n.split('.')[0] for n in model.state_dict()}
    assert names == {'backbone', 'projections'}
    assert not model.teacher.training and not any(p.requires_grad for p in model.teacher.parameters())
    before = {name: tensor.clone() for name, tensor in model.teacher.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    pixels, sums = torch.randn(4, 1, 3, 64, 64), []
    for _ in range(25):
        loss = sum(model(pixels, mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        sums.append(loss.item())
    assert sums[-1] < 0.8 * sums[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.teacher.state_dict().items())


@pytest.mark.parametrize(
    'name, size, shapes',
    [
        ('resnet18', 64, [(16, 64), (8, 128), (4, 256), (2, 512)]),
        ('swin_tiny_patch4_window7_224', 224, [(56, 96), (28, 192), (14, 384), (7, 768)]),
        ('convnext_atto', 96, [(24, 40), (12, 80), (6, 160), (3, 320)]),
        # All of one stride.
        ('vit_tiny_patch16_224', 224, [(56, 192), (28, 192), (14, 192), (7, 192)]),
    ],
)
def test_a_teacher_of_timm_gives_its_maps_at_the_students_places(tmp_path, name, size, shapes):
    torch.manual_seed(0)
    oracle = timm.create_model(name, pretrained=False)
    save_file(oracle.state_dict(), tmp_path / 'model.safetensors')
    given = dict(type='TimmBackbone', model_name=name, pretrained=str(tmp_path / 'model.safetensors'))
    model = distillation(given, data_preprocessor=dict(type='mmaction.ActionDataPreprocessor', mean=MEAN, std=STD))
    assert isinstance(model.data_preprocessor, ActionDataPreprocessor)
    pixels = 255 * torch.rand(2, 3, size, size)
    normalised = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    taught = model.taught(normalised)
    assert [(one.shape[1], one.shape[-1]) for one in taught] == shapes
    config = timm.data.resolve_data_config({}, model=oracle)
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ('mean', 'std'))
    with torch.no_grad():
        last = oracle.eval().forward_intermediates((pixels / 255 - mean) / std, indices=1, intermediates_only=True)[-1]
    if last.shape[-1] == taught[-1].shape[2]:
        expected = nn.functional.layer_norm(last.permute(0, 2, 3, 1), last.shape[1:2])
        torch.testing.assert_close(taught[-1], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    'given, more, words',
    [
        (dict(type='mmdet.ResNet', depth=18), {}, 'is a Hiera or a TimmBackbone, but this is a ResNet'),
        (teacher(in_channels=1), {}, "takes 3 channels and the 'teacher' 1"),
        (teacher(num_frames=4), {}, "leave 'num_frames' out"),
        (teacher(window_sizes=(8, 4, 4, 2)), dict(mask_ratio=0.5), "leave 'window_sizes' out"),
        (
            dict(type='TimmBackbone', model_name='resnet18', pretrained=None),
            dict(mask_ratio=0.5),
            'both must be a Hiera',
        ),
        (teacher(), dict(mask_ratio=1.0), "'mask_ratio' is a share of the mask units"),
        (teacher(), dict(mask_ratio=-0.1), "'mask_ratio' is a share of the mask units"),
        (teacher(), dict(mask_ratio=0.5, maps_folder='maps'), "leave one of it and 'maps_folder' out"),
        (dict(type='TimmBackbone', model_name='resnet_18'), {}, "timm can't give 'resnet_18' with 4 maps"),
        (dict(type='TimmBackbone', model_name='resnet18', pretrained='gone.pth'), {}, 'gone.pth'),
    ],
)
def test_what_can_not_be_taught_is_refused(given, more, words):
    with pytest.raises(UserError) as raised:
        distillation(given, **more)
    assert words in str(raised.value)


def test_weights_of_timm_that_can_not_be_loaded_are_named(tmp_path):
    save_file(timm.create_model('resnet34', pretrained=False).state_dict(), tmp_path / 'other.safetensors')
    given = dict(type='TimmBackbone', model_name='resnet18', pretrained=str(tmp_path / 'other.safetensors'))
    with pytest.raises(
        UserError, match="are not those of timm's resnet18: 0 are missing and 96 are unknown, such as layer1.2"
    ):
        distillation(given)


def test_a_size_that_timms_model_does_not_take_is_named():
    model = distillation(dict(type='TimmBackbone', model_name='vit_tiny_patch16_224', pretrained=None))
    with pytest.raises(
        UserError, match='does not take images of 64 x 64 .* it was trained on 224 x 224: set image_size'
    ):
        model(torch.randn(1, 1, 3, 64, 64), mode='loss')


@pytest.mark.parametrize('shape, ratio', [((64, 80), 0.5), ((32, 32), 0.5), ((64, 64), 0.8)])
def test_sizes_whose_units_can_not_be_masked_are_refused(official, shape, ratio):
    model = distillation(teacher(official[1]), mask_ratio=ratio)
    with pytest.raises(UserError, match='sides that are multiples of 32'):
        model(torch.randn(1, 1, 3, *shape), mode='loss')


def test_images_of_any_size_are_learned_from_without_masks(official):
    model = distillation(teacher(official[1]))
    assert [tuple(one.shape[1:3]) for one in model.taught(torch.randn(1, 3, 50, 70))] == [
        (13, 18),
        (7, 9),
        (4, 5),
        (2, 3),
    ]
    assert torch.isfinite(sum(model(torch.randn(2, 1, 3, 50, 70), mode='loss').values()))


def test_the_features_are_those_of_the_student(official):
    model = distillation(teacher(official[1])).eval()
    pixels = torch.randn(2, 1, 3, 64, 64)

    class Sample:
        gt_label = torch.tensor([1])

    rows = model(pixels, [Sample(), Sample()], mode='predict')
    expected = model.backbone(pixels[:, 0])[-1].mean((2, 3))
    torch.testing.assert_close(torch.stack([row['features'] for row in rows]), expected)


def test_compiled_parts_give_the_same_loss_and_gradients(official):
    pixels, found = torch.randn(2, 1, 3, 64, 64), []
    for compiled in (False, True):
        model = distillation(teacher(official[1]))
        if compiled:
            assert model.compile_parts(dynamic=False, backend='aot_eager') == ["the teacher's maps", 'the loss']
        loss = sum(model(pixels, mode='loss').values())
        loss.backward()
        found.append((loss, [parameter.grad for parameter in model.parameters()]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_timms_weights_go_into_a_frozen_teacher_and_a_classifier_of_other_classes_does_not_matter(tmp_path):
    torch.manual_seed(0)
    oracle = timm.create_model('resnet18', pretrained=False, num_classes=7)
    save_file(oracle.state_dict(), tmp_path / 'seven.safetensors')
    model = distillation(
        dict(type='TimmBackbone', model_name='resnet18', pretrained=str(tmp_path / 'seven.safetensors'))
    )
    assert torch.equal(model.teacher.network.conv1.weight, oracle.conv1.weight)
    assert not any(module.training for module in model.teacher.modules())
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())
