"""hiera-mm weights on files as they are published and on files that are none."""

from hiera_mm.weights.files import read_checkpoint
from hiera_mm.weights.zoo import ZOO

import hiera
import pytest
import safetensors.torch
import timm
import torch
import transformers
from sam2.modeling.backbones.hieradet import Hiera as Sam2Trunk

from tests.helpers import Payload, assert_explained, official_classifier

SMALL = dict(embed_dim=16, num_heads=1, stages=(1, 2, 3, 2))


def assert_same_tensors(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_list_names_every_checkpoint_with_licence_and_figure(run_command):
    code, printed = run_command('weights', 'list')
    lines = printed.splitlines()
    assert code == 0 and len(lines) == len(ZOO)
    for line, published in zip(lines, ZOO.values(), strict=True):
        for part in (published.name, published.contents, published.figure, published.licence, published.address):
            assert part in line


@pytest.mark.parametrize('target, ending', [('timm', '.safetensors'), ('timm', '.pth'), ('hiera_mm', '.pth')])
def test_metas_file_converted_there_and_back_is_itself(run_command, tmp_path, target, ending):
    original = dict(model_state=official_classifier().state_dict())
    torch.save(original, tmp_path / 'meta.pth')
    for source, destination, to in (('meta.pth', f'there{ending}', target), (f'there{ending}', 'back.pth', 'meta')):
        code, printed = run_command('weights', 'convert', tmp_path / source, tmp_path / destination, '--to', to)
        assert code == 0, printed
    back = torch.load(tmp_path / 'back.pth', weights_only=True)
    assert back.keys() == original.keys()
    assert_same_tensors(back['model_state'], original['model_state'])


def test_a_file_converted_to_transformers_loads_by_its_from_pretrained(run_command, tmp_path):
    oracle = hiera.Hiera(**SMALL, num_classes=5).eval()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'meta.pth')
    folder = tmp_path / 'hf'
    transformers.HieraConfig(depths=[1, 2, 3, 2], embed_dim=16, num_labels=5).save_pretrained(folder)
    arguments = ('convert', tmp_path / 'meta.pth', folder / 'model.safetensors', '--to', 'transformers')
    code, printed = run_command('weights', *arguments)
    assert code == 0, printed
    model, report = transformers.HieraForImageClassification.from_pretrained(folder, output_loading_info=True)
    assert not report['missing_keys'] and not report['unexpected_keys'] and not report['mismatched_keys']
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(image).logits.softmax(-1), oracle(image))


def test_a_sam2_trunk_goes_to_timm_and_back_and_the_rest_of_sam2_is_said_to_stay(run_command, tmp_path):
    trunk = Sam2Trunk(**SMALL, global_att_blocks=(4,))
    state = {f'image_encoder.trunk.{key}': value for key, value in trunk.state_dict().items()}
    torch.save(dict(model=state | {'sam_mask_decoder.x': torch.ones(1)}), tmp_path / 'sam2.pt')
    code, printed = run_command('weights', 'convert', tmp_path / 'sam2.pt', tmp_path / 't.pth', '--to', 'timm')
    assert code == 0 and 'Left out: 1 of the rest of its model.' in printed
    settings = dict(global_att_blocks=(4,), global_pos_size=(14, 14), num_classes=0)
    model = timm.models.hieradet_sam2.HieraDet(**SMALL, **settings)
    missing = model.load_state_dict(torch.load(tmp_path / 't.pth'), strict=False)
    assert missing.missing_keys == ['head.norm.weight', 'head.norm.bias'] and not missing.unexpected_keys
    code, printed = run_command('weights', 'convert', tmp_path / 't.pth', tmp_path / 'b.pt', '--to', 'sam2')
    assert code == 0, printed
    assert_same_tensors(torch.load(tmp_path / 'b.pt')['model'], state)


def test_what_the_target_has_no_place_for_is_said(run_command, tmp_path):
    torch.save(dict(model_state=hiera.mae_hiera_tiny_224().state_dict()), tmp_path / 'mae.pth')
    code, printed = run_command('weights', 'convert', tmp_path / 'mae.pth', tmp_path / 't.pth', '--to', 'timm')
    assert code == 0 and 'No place there for 108 of the masked autoencoder: left out.' in printed
    model = timm.create_model('hiera_tiny_224', num_classes=0)
    model.load_state_dict(read_checkpoint(tmp_path / 't.pth'))


def test_info_tells_format_size_tables_and_what_else_is_there(run_command, tmp_path):
    model = timm.create_model('hiera_small_abswin_256')
    safetensors.torch.save_file(model.state_dict(), tmp_path / 'x.safetensors')
    numbers = sum(value.numel() for key, value in model.state_dict().items() if not key.startswith('head.'))
    code, printed = run_command('weights', 'info', tmp_path / 'x.safetensors')
    assert code == 0
    assert printed.splitlines() == [
        'format:    timm',
        "backbone:  Hiera of arch='s_abswin' (images, 96 channels, 1-2-11-2 blocks, layer scale, pooled shortcut)",
        'position:  pos_embed (1, 96, 16, 16)',
        'position:  pos_embed_window (1, 96, 8, 8)',
        f'tensors:   228 of the backbone, {numbers / 1e6:.3f}M numbers',
        '           4 of the classification head',
        'classes:   1000',
    ]


def broken_files(folder):
    """Hostile, truncated, wrong-format and empty files, and what is said of each."""
    torch.save(dict(model_state=Payload()), folder / 'hostile.pth')
    torch.save(official_classifier().state_dict(), folder / 'whole.pth')
    whole = (folder / 'whole.pth').read_bytes()
    (folder / 'truncated.pth').write_bytes(whole[: len(whole) // 3])
    (folder / 'empty.pth').touch()
    (folder / 'page.pth').write_text('<html>404</html>')
    (folder / 'cut.safetensors').write_bytes((10**6).to_bytes(8, 'little') + b'{"a":')
    torch.save(timm.create_model('resnet18').state_dict(), folder / 'resnet.pth')
    torch.save(dict(epoch=1), folder / 'epoch.pth')
    torch.save([1, 2], folder / 'list.pth')
    return {
        'hostile.pth': 'was refused: it holds more than weights and could run code when loaded: posix.system',
        'truncated.pth': 'is damaged, truncated or not a',
        'empty.pth': '(0 bytes) is damaged, truncated or not a',
        'page.pth': 'is damaged, truncated or not a PyTorch',
        'cut.safetensors': 'is damaged, truncated or not a',
        'resnet.pth': "holds no Hiera: the names of its 122 tensors, such as 'conv1.weight'",
        'epoch.pth': "holds no weights: its keys ['epoch'] don't name tensors",
        'list.pth': 'holds a list, not a checkpoint',
        'absent.pth': "does not exist; correct the path, or use a name that 'hiera-mm weights list'",
    }


def test_every_file_that_is_no_checkpoint_gets_one_sentence(run_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, said in broken_files(tmp_path).items():
        assert_explained(run_command('weights', 'info', tmp_path / name), name, said)
    assert not (tmp_path / 'payload_ran').exists()


def test_a_conversion_that_is_impossible_says_so_and_writes_nothing(run_command, tmp_path):
    torch.save(official_classifier().state_dict(), tmp_path / 'meta.pth')
    result = run_command('weights', 'convert', tmp_path / 'meta.pth', tmp_path / 's.pt', '--to', 'sam2')
    assert_explained(result, 'no place for a Hiera with one position table', 'convert it to timm or hiera_mm')
    result = run_command('weights', 'convert', tmp_path / 'meta.pth', tmp_path / 's.bin', '--to', 'timm')
    assert_explained(result, "must end in .pth, .pt, .safetensors, unlike '", "s.bin'")
    assert [path.name for path in tmp_path.iterdir()] == ['meta.pth']
