"""The channel LayerNorm against torch's own."""

from hiera_mm.models import ChannelLayerNorm

import torch
import torch.nn as nn


def test_each_position_is_normalised_over_its_channels():
    ours, theirs = ChannelLayerNorm(6), nn.LayerNorm(6, eps=1e-6)
    weights = dict(weight=torch.randn(6), bias=torch.randn(6))
    ours.load_state_dict(weights), theirs.load_state_dict(weights)
    feature_map = torch.randn(2, 6, 5, 7)
    expected = theirs(feature_map.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(2, 6, 5, 7)
    torch.testing.assert_close(ours(feature_map), expected)
