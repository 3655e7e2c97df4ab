"""Training by low-rank updates, from the options to a published model that knows nothing of them."""

from hiera_mm.errors import UserError
from hiera_mm.inference.load_backbone import backbone
from hiera_mm.inference.publish import publish
from hiera_mm.models import Hiera
from hiera_mm.tasks import load
from hiera_mm.weights.convert import convert

import numpy as np
import pytest
import torch

from tests.helpers import TINY, assert_same_maps, assert_same_weights, options, weights

LORA = ['model.backbone.lora.r=4', 'model.backbone.lora.lora_alpha=8']


def test_a_run_learns_updates_alone_resumes_and_is_published_without_them(run_command, shapes, tmp_path):
    more = options(shapes, *LORA, 'train_cfg.max_iters=4', 'default_hooks.checkpoint.interval=2')
    code, printed = run_command('train', TINY, '--work-dir', tmp_path / 'run', *more)
    assert code == 0, printed
    before, after = weights(tmp_path / 'run' / 'iter_2.pth'), weights(tmp_path / 'run' / 'iter_4.pth')
    changed = {name for name in after if not torch.equal(before[name], after[name]) and name.startswith('backbone.')}
    assert changed == {name for name in after if 'lora_' in name or name.startswith('backbone.out_norms')}
    code, printed = run_command(
        'train', TINY, '--work-dir', tmp_path / 'on', '--resume', tmp_path / 'run/iter_2.pth', *more
    )
    assert code == 0, printed
    assert_same_weights(tmp_path / 'on' / 'iter_4.pth', tmp_path / 'run' / 'iter_4.pth')

    trained = str(tmp_path / 'run' / 'iter_4.pth')
    model = load(trained, device='cpu')
    publish(model, tmp_path / 'published')
    text = (tmp_path / 'published' / 'config.py').read_text()
    assert 'lora' not in text
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    own, published = (each.predict(picture) for each in (model, load(str(tmp_path / 'published'), device='cpu')))
    np.testing.assert_allclose(published.boxes, own.boxes, atol=1e-3)
    np.testing.assert_allclose(published.scores, own.scores, atol=1e-5)

    # What is started from the run by itself is told to take what was published, and then starts from it.
    settings = dict(model.trained.config.model.backbone, type=None)
    plain = Hiera(
        **{**{key: value for key, value in settings.items() if value is not None}, 'init_cfg': start(trained)}
    )
    with pytest.raises(UserError, match='holds low-rank updates .*publish.* FOLDER, and use FOLDER'):
        plain.init_weights()
    with pytest.raises(UserError, match='holds low-rank updates'):
        convert(trained, str(tmp_path / 'converted.pth'), 'timm')
    plain.init_cfg = start(str(tmp_path / 'published'))
    plain.init_weights()
    pixels = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        maps = model.trained.model.backbone(pixels)
        assert_same_maps(plain.eval()(pixels), maps)
        assert_same_maps(backbone(trained)(pixels), maps)


def start(checkpoint):
    return dict(type='Pretrained', checkpoint=checkpoint)
