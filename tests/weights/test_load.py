"""Checkpoints as Meta publishes them and as this suite writes them, and files that are none."""

from hiera_mm.errors import UserError
from hiera_mm.models import Hiera
from hiera_mm.weights.load import read_checkpoint

import hiera
import pytest
import torch
from mmengine.logging import HistoryBuffer

SETTINGS = dict(embed_dim=16, num_heads=1, depths=(1, 1, 2, 1))
OFFICIAL = dict(embed_dim=16, num_heads=1, stages=(1, 1, 2, 1))


def load(path, **arguments):
    model = Hiera(SETTINGS, init_cfg=dict(type='Pretrained', checkpoint=str(path)), **arguments)
    model.init_weights()
    return model.eval()


def test_a_fine_tuned_checkpoint_of_meta_gives_the_official_maps(tmp_path):
    oracle = hiera.Hiera(**OFFICIAL).eval()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'hiera.pth')
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = oracle(image, return_intermediates=True)[1]
        for got, want in zip(load(tmp_path / 'hiera.pth')(image), expected, strict=True):
            torch.testing.assert_close(got, want.permute(0, 3, 1, 2), rtol=1e-4, atol=1e-5)


def test_a_masked_autoencoder_of_meta_loads_without_its_decoder(tmp_path, caplog):
    oracle = hiera.MaskedAutoencoderHiera(**OFFICIAL, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'mae.pth')
    model = load(tmp_path / 'mae.pth', out_norm=True)
    for name, value in model.state_dict().items():
        if not name.startswith('out_norms'):
            assert torch.equal(value, oracle.state_dict()[name]), name


def test_the_backbone_is_found_inside_a_detectors_checkpoint(tmp_path):
    source = Hiera(SETTINGS)
    state = {f'backbone.{name}': value for name, value in source.state_dict().items()} | {'neck.w': torch.ones(1)}
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'detector.pth')
    assert torch.equal(load(tmp_path / 'detector.pth').pos_embed, source.pos_embed)


def test_another_size_is_refused_with_both_shapes(tmp_path):
    torch.save(Hiera(dict(SETTINGS, embed_dim=8)).state_dict(), tmp_path / 'narrow.pth')
    with pytest.raises(UserError, match=r'\(.*\) in the file and \(.*\) in the model; take the checkpoint of the same'):
        load(tmp_path / 'narrow.pth')


def test_unknown_and_missing_keys_are_refused_by_name(tmp_path):
    state = Hiera(SETTINGS).state_dict()
    state['blocks.9.norm1.weight'] = state.pop('blocks.0.norm1.weight')
    torch.save(state, tmp_path / 'odd.pth')
    with pytest.raises(
        UserError, match=r"1 key \('blocks.9.norm1.weight'\) unknown.*lacks 1 key \('blocks.0.norm1.weight'\)"
    ):
        load(tmp_path / 'odd.pth')


class Payload:
    def __reduce__(self):
        import os

        return os.system, ('touch payload_ran',)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(dict(model_state=Payload()), 'hostile.pth')
    with pytest.raises(UserError, match=r"'hostile.pth' was refused: .* when loaded: posix.system; take the file"):
        read_checkpoint('hostile.pth')
    assert not (tmp_path / 'payload_ran').exists()


def test_reading_leaves_torchs_list_of_safe_classes_as_it_was(tmp_path):
    torch.save(Hiera(SETTINGS).state_dict(), tmp_path / 'weights.pth')
    torch.serialization.add_safe_globals([HistoryBuffer])
    before = torch.serialization.get_safe_globals()
    read_checkpoint(tmp_path / 'weights.pth')
    assert set(map(str, torch.serialization.get_safe_globals())) == set(map(str, before))


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04 cut off', bytes(100)])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / 'file.pth').write_bytes(content)
    with pytest.raises(UserError, match='(damaged, truncated or not a PyTorch|not a PyTorch checkpoint)'):
        read_checkpoint(tmp_path / 'file.pth')


def test_a_truncated_checkpoint_is_refused(tmp_path):
    torch.save(Hiera(SETTINGS).state_dict(), tmp_path / 'whole.pth')
    whole = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut.pth' \(\d+ bytes\) is damaged"):
        read_checkpoint(tmp_path / 'cut.pth')


def test_a_checkpoint_without_weights_is_refused(tmp_path):
    torch.save(dict(epoch=3), tmp_path / 'empty.pth')
    with pytest.raises(UserError, match=r"holds no weights: none of its keys \['epoch'\]"):
        load(tmp_path / 'empty.pth')


def test_a_missing_checkpoint_is_named():
    with pytest.raises(UserError, match="'nowhere.pth' does not exist"):
        read_checkpoint('nowhere.pth')


def test_an_address_that_cannot_be_reached_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UserError, match=f"put it at '{tmp_path}/hub/checkpoints/weights.pth'"):
        read_checkpoint('http://127.0.0.1:9/weights.pth')
    assert not list((tmp_path / 'hub' / 'checkpoints').iterdir())


def test_a_downloaded_file_is_taken_from_torchs_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    cache = tmp_path / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    torch.save(Hiera(SETTINGS).state_dict(), cache / 'weights.pth')
    assert load('http://127.0.0.1:9/weights.pth').pos_embed.shape == (1, 3136, 16)


def test_init_cfg_of_another_kind_is_refused():
    with pytest.raises(UserError, match="must be dict\\(type='Pretrained'"):
        Hiera(SETTINGS, init_cfg=dict(type='Kaiming')).init_weights()
