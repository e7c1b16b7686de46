from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import torch
from torch import nn

from unnoise.networks import DiT, UNet
from unnoise.networks.attention import Attention, CrossAttention, Transformer
from unnoise.networks.conditioner import Conditioning

LEVEL = torch.tensor([3.0, 700.0])


def networks(token_dim: int) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        "unet": UNet(2, 2, (8, 8), channels=8, multipliers=(1, 2), blocks=1, attention=(8,), token_dim=token_dim),
        "dit": DiT(2, 2, dim=16, depth=2, heads=2, token_dim=token_dim),
    }
    return made


def awake(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def test_attention_is_softmax_of_products() -> None:
    torch.manual_seed(0)
    layer = Attention(8, 2, context_dim=3).double()
    x, context = (torch.randn(2, n, d, dtype=torch.float64) for n, d in ((5, 8), (4, 3)))
    q, (k, v) = layer.query(x), layer.key_value(context).chunk(2, -1)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        heads.append((q[..., part] @ k[..., part].transpose(1, 2) / 2).softmax(-1) @ v[..., part])
    torch.testing.assert_close(layer(x, context), layer.out(torch.cat(heads, -1)))


def test_a_mask_leaves_positions_out() -> None:
    torch.manual_seed(0)
    layer = Attention(8, 2, context_dim=3)
    x, context = torch.randn(2, 5, 8), torch.randn(2, 6, 3)
    mask = torch.arange(6) < 4
    torch.testing.assert_close(layer(x, context, mask.expand(2, -1)), layer(x, context[:, :4]))


def test_tokens_are_a_set() -> None:
    torch.manual_seed(0)
    layer = awake(CrossAttention(8, 2, 3))
    x, tokens = torch.randn(2, 8, 3, 4), torch.randn(2, 5, 3)
    torch.testing.assert_close(layer(x, tokens), layer(x, tokens.flip(1)))


def test_cross_attention_begins_as_the_identity() -> None:
    x = torch.randn(2, 8, 3, 4)
    assert torch.equal(CrossAttention(8, 2, 3)(x, torch.randn(2, 5, 3)), x)


def test_a_transformer_looks_at_tokens_only() -> None:
    torch.manual_seed(0)
    encoder = Transformer(8, 2, 2).eval()
    x, mask = torch.randn(1, 6, 8), torch.arange(6)[None] < 3
    torch.testing.assert_close(encoder(x, mask)[:, :3], encoder(x[:, :3]))
    assert not torch.allclose(encoder(x)[:, :3], encoder(x[:, :3]))


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_networks_hear_tokens_and_not_padding(kind: str) -> None:
    network = awake(networks(5)[kind])
    x, tokens, mask = torch.randn(2, 2, 8, 8), torch.randn(2, 6, 5), torch.arange(6).expand(2, -1) < 4
    base = network(x, LEVEL, Conditioning(tokens=tokens, token_mask=mask))
    other = torch.where(mask[..., None], tokens, -9.0)
    assert torch.equal(network(x, LEVEL, Conditioning(tokens=other, token_mask=mask)), base)
    cut = network(x, LEVEL, Conditioning(tokens=tokens[:, :4]))
    torch.testing.assert_close(cut, base, rtol=1e-4, atol=1e-5)
    assert (network(x, LEVEL, Conditioning(tokens=tokens)) - base).abs().max() > 1e-3
    assert (network(x, LEVEL) - base).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (3, 16)])
@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_any_size_takes_tokens(kind: str, size: tuple[int, int]) -> None:
    x = torch.randn(2, 2, *size)
    assert awake(networks(5)[kind])(x, LEVEL, Conditioning(tokens=torch.randn(2, 3, 5))).shape == x.shape


def test_gradients_reach_the_unets_cross_attention() -> None:
    network = awake(networks(5)["unet"])
    network(torch.randn(2, 2, 8, 8), LEVEL, Conditioning(tokens=torch.randn(2, 3, 5))).square().sum().backward()
    crosses = {name: p for name, p in network.named_parameters() if ".cross." in name}
    assert len({name.split(".cross.")[0] for name in crosses}) == 4  # one down, one in the middle, two up
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in crosses.values())


@pytest.mark.parametrize(
    ("options", "digest"), [({"vector_dim": 8, "time_injection": "adagn"}, "5998506c6774c37e")], ids=["adagn"]
)
def test_checkpoints_of_networks_without_tokens_still_fit(options: dict[str, Any], digest: str) -> None:
    """Golden: names and shapes of the parameters, as they were before there was cross-attention."""
    state = UNet(3, 3, (32, 32), **options).state_dict()
    names = json.dumps([(name, list(value.shape)) for name, value in state.items()])
    assert hashlib.sha256(names.encode()).hexdigest()[:16] == digest
