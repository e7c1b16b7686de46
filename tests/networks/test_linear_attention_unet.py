from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.networks import LinearAttentionUNet
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.linear_attention_unet import Attention, LinearAttention, RMSNorm

SMALL = {"dim": 8, "multipliers": (1, 2), "heads": (2,), "head_dim": (4,)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": (2, 2, 2)}, "has 2 levels; heads lists 3 of them"),
        ({"head_dim": (4, 4, 4)}, "head_dim lists 3"),
        ({"full_attention": (True,)}, "full_attention lists 1"),
        ({"token_dim": 4}, "has no cross-attention"),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        LinearAttentionUNet(3, 3, **{**SMALL, **options})


def test_any_size_is_taken_and_conditions_reach_the_answer() -> None:
    torch.manual_seed(0)
    network = LinearAttentionUNet(3, 6, **SMALL, vector_dim=5, spatial_channels=2).eval()
    x, level = torch.randn(2, 3, 13, 9), torch.tensor([1.0, 1000.0])
    plain = network(x, level)
    assert plain.shape == (2, 6, 13, 9)
    assert not torch.equal(plain, network(x, level, Conditioning(vector=torch.randn(2, 5))))
    assert not torch.equal(plain, network(x, level, Conditioning(spatial=torch.randn(2, 2, 13, 9))))
    assert not torch.equal(plain, network(x, level.flip(0)))


def test_the_norm_gives_every_position_unit_mean_square() -> None:
    normed = RMSNorm(6)(7 * torch.randn(2, 6, 3, 3))
    torch.testing.assert_close(normed.square().mean(1), torch.ones(2, 3, 3))


def test_linear_attention_is_attention_with_the_weights_softmax_q_softmax_k() -> None:
    """Written with the matrix of all pairs of positions, that the linear form never makes."""
    torch.manual_seed(0)
    layer = LinearAttention(6, heads=2, head_dim=4, memory=3)
    x = torch.randn(2, 6, 3, 5)
    q, k, v = (part.reshape(2, 2, 4, 15) for part in layer.to_qkv(layer.norm(x)).chunk(3, dim=1))
    more_k, more_v = (part.expand(2, -1, -1, -1) for part in layer.mem_kv)
    pairs = torch.einsum("bhdi,bhdj->bhij", q.softmax(2) / 2, torch.cat([more_k, k], dim=3).softmax(3))
    h = torch.einsum("bhij,bhdj->bhdi", pairs, torch.cat([more_v, v], dim=3)).reshape(2, 8, 3, 5)
    torch.testing.assert_close(layer(x), x + layer.to_out(h))


def test_full_attention_attends_to_the_learned_keys_too() -> None:
    torch.manual_seed(0)
    layer = Attention(6, heads=2, head_dim=4, memory=3)
    x = torch.randn(2, 6, 3, 5)
    q, k, v = (part.reshape(2, 2, 4, 15).transpose(2, 3) for part in layer.to_qkv(layer.norm(x)).chunk(3, dim=1))
    keys, values = (
        torch.cat([more.expand(2, -1, -1, -1), part], dim=2) for more, part in zip(layer.mem_kv, (k, v), strict=True)
    )
    h = F.softmax(q @ keys.transpose(2, 3) / 2, dim=3) @ values
    torch.testing.assert_close(layer(x), x + layer.to_out(h.transpose(2, 3).reshape(2, 8, 3, 5)))
