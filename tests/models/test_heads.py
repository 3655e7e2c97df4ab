"""The head that pools by attention, against transformers' of SigLIP, which has the same one."""

from hiera_mm.models.heads import AttentionPoolingHead

import pytest
import torch
from mmengine.registry import init_default_scope
from transformers import SiglipVisionConfig
from transformers.models.siglip.modeling_siglip import SiglipMultiheadAttentionPoolingHead

from tests.helpers import perturbed


@pytest.mark.parametrize('width', [64, 128])
def test_it_pools_as_siglips(width):
    init_default_scope('mmaction')
    head = perturbed(AttentionPoolingHead(num_classes=5, in_channels=width, init_scale=1.0)).eval()
    settings = SiglipVisionConfig(
        hidden_size=width, num_attention_heads=width // 64, intermediate_size=4 * width, hidden_act='gelu'
    )
    # Beside it lies layer_norm_eps, whose default is timm's with another name.
    settings.layer_norm_eps = head.pool.norm.eps
    oracle, pool = SiglipMultiheadAttentionPoolingHead(settings).eval(), head.pool
    with torch.no_grad():
        oracle.probe.copy_(pool.latent)
        oracle.attention.in_proj_weight.copy_(torch.cat([pool.q.weight, pool.kv.weight]))
        oracle.attention.in_proj_bias.copy_(torch.cat([pool.q.bias, pool.kv.bias]))
        for own, theirs in ((pool.proj, oracle.attention.out_proj), (pool.norm, oracle.layernorm)):
            theirs.load_state_dict(own.state_dict())
        for name in ('fc1', 'fc2'):
            getattr(oracle.mlp, name).load_state_dict(getattr(pool.mlp, name).state_dict())
        last = torch.randn(2, width, 3, 4)
        expected = head.projection(oracle(head.norm(last.flatten(2).transpose(1, 2))))
        torch.testing.assert_close(head((torch.zeros(2, 8, 6, 8), last)), expected, rtol=1e-4, atol=1e-5)


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError):
        AttentionPoolingHead(num_classes=5, in_channels=64, pooling='mean')
