"""Large images are segmented in strips: the same classes as mmsegmentation's, which holds all logits at once."""

import resource

from hiera_mm.tasks import load
from hiera_mm.tasks.segmentation import large_images
from hiera_mm.tasks.segmentation.large_images import labels_of_large

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate

from tests.helpers import ROOT, save_random_weights


@pytest.fixture(scope='module')
def segmenter(tmp_path_factory):
    path = save_random_weights(str(ROOT / 'tests' / 'data' / 'tiny_upernet.py'), tmp_path_factory.mktemp('m') / 'm.pth')
    content = torch.load(path)
    generator = torch.Generator().manual_seed(0)
    for value in content['state_dict'].values():
        if value.is_floating_point() and value.ndim > 1:
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    torch.save(content, path)
    return load(path, device='cpu')


@pytest.mark.parametrize('most', [2**12, 2**16, 2**29])
@pytest.mark.parametrize('align', [False, True])
@pytest.mark.parametrize('mode', ['slide', 'whole'])
@pytest.mark.parametrize(
    ('read', 'original'), [((160, 224), (160, 224)), ((128, 192), (301, 417)), ((230, 131), (77, 50))]
)
def test_strips_give_the_classes_of_all_logits_at_once(segmenter, monkeypatch, mode, align, most, read, original):
    model = segmenter.trained.model
    monkeypatch.setattr(large_images, 'STRIP_BYTES', most)
    monkeypatch.setattr(model, 'align_corners', align)
    windows = dict(mode=mode, crop_size=(96, 64), stride=(64, 40))
    monkeypatch.setattr(model, 'test_cfg', ConfigDict(windows))
    if mode == 'whole' and any(side % 32 for side in read):
        pytest.skip('the tiny model takes whole images of multiples of 32')
    pixels = np.random.default_rng(0).integers(0, 256, (*read, 3), np.uint8)
    sample = segmenter.from_array(dict(img=pixels, img_id=0))
    sample['inputs'] = torch.from_numpy(pixels).permute(2, 0, 1)
    sample['data_samples'].set_metainfo(dict(ori_shape=original, img_shape=read))
    with torch.no_grad():
        (expected,) = model.test_step(pseudo_collate([sample]))
    labels = labels_of_large(model, pseudo_collate([sample]))
    best = expected.seg_logits.data.topk(2, dim=0).values
    clear = (best[0] - best[1] > 1e-4).numpy()
    assert labels.shape == original and clear.mean() > 0.99 and len(np.unique(labels)) > 1
    assert np.array_equal(labels[clear], expected.pred_sem_seg.data[0].numpy()[clear])


def test_a_large_image_takes_the_memory_of_a_strip(segmenter, monkeypatch):
    monkeypatch.setattr(large_images, 'STRIP_BYTES', 2**24)
    monkeypatch.setattr(large_images, 'LARGE_BYTES', 2**24)
    windows = dict(mode='slide', crop_size=(256, 256), stride=(256, 256))
    monkeypatch.setattr(segmenter.trained.model, 'test_cfg', ConfigDict(windows))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = segmenter.predict(np.zeros((3000, 4000, 3), np.uint8))
    assert found.labels.shape == (3000, 4000)
    # All logits would take classes x 48 MB, several times.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 250
