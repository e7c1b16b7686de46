from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from unnoise.networks import NETWORKS, DiT
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.dit import positions
from unnoise.networks.embedding import TIME_FEATURES, frequencies
from unnoise.registry import describe


def tiny(channels: int = 2, **options: object) -> DiT:
    torch.manual_seed(0)
    return DiT(channels, channels, **{"dim": 16, "depth": 2, "heads": 2, "patch": 2, **options})  # type: ignore[arg-type]


def awake(network: nn.Module) -> nn.Module:
    """The network with its zero-initialised layers moved off zero."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draws))
    return network.eval()


LEVEL = torch.tensor([3.0, 700.0])


def test_the_small_dit_has_peebles_and_xies_size() -> None:
    """DiT-S/2 on 4 latent channels has 33 M parameters (table 1) with its 1000 classes' table and 2x output."""
    network = DiT(4, 8, dim=384, depth=12, heads=6, patch=2)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round((count + 1001 * 384) / 1e6) == 33


@pytest.mark.parametrize("features", TIME_FEATURES)
@pytest.mark.parametrize("patch", [1, 2, 3])
@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (3, (7, 12)), (2, (1, 1)), (4, (5, 17))])
def test_any_channels_size_and_patch(features: str, patch: int, channels: int, size: tuple[int, int]) -> None:
    network = awake(tiny(channels, patch=patch, time_features=features))
    x = torch.randn(2, channels, *size)
    output = network(x, LEVEL)
    assert output.shape == x.shape
    assert output.isfinite().all()


def test_begins_at_zero_and_its_blocks_as_the_identity() -> None:
    network = tiny(token_dim=4)
    told = Conditioning(tokens=torch.randn(2, 3, 4))
    assert not network(torch.randn(2, 2, 8, 8), LEVEL, told).any()
    x = torch.randn(2, 5, 16)
    for block in network.blocks:
        assert torch.equal(block(x, torch.randn(2, 16), told), x)


def test_every_parameter_matters() -> None:
    network = awake(tiny(vector_dim=3, token_dim=4, spatial_channels=2))
    told = Conditioning(torch.randn(2, 3), torch.randn(2, 5, 4), torch.randn(2, 2, 8, 8))
    network(torch.randn(2, 2, 8, 8), LEVEL, told).square().sum().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert still == []


def test_rows_are_independent() -> None:
    network = awake(tiny(dropout=0.5))
    x = torch.randn(2, 2, 6, 6)
    alone = torch.cat([network(x[i : i + 1], LEVEL[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(alone, network(x, LEVEL), rtol=1e-4, atol=1e-5)


def test_padding_leaves_sizes_that_divide_alone() -> None:
    network = awake(tiny())
    x = torch.randn(1, 2, 7, 5)
    continued = nn.functional.pad(x, (0, 1, 0, 1), mode="replicate")
    torch.testing.assert_close(network(x, LEVEL[:1]), network(continued, LEVEL[:1])[..., :7, :5])


def patches(x: Tensor, order: Tensor) -> Tensor:
    """The image with its 2x2 patches in another order."""
    height, width = x.shape[2] // 2, x.shape[3] // 2
    parts = nn.functional.pixel_unshuffle(x, 2).flatten(2)[..., order]
    return nn.functional.pixel_shuffle(parts.unflatten(2, (height, width)), 2)


def test_without_positions_patches_are_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention is permutation equivariant: only the positions know where a patch lies."""
    network = awake(tiny())
    x, order = torch.randn(2, 2, 6, 8), torch.randperm(12, generator=torch.Generator().manual_seed(2))
    with_positions = (network(patches(x, order), LEVEL) - patches(network(x, LEVEL), order)).abs().max()
    assert with_positions > 1e-2
    monkeypatch.setattr("unnoise.networks.dit.positions", lambda rows, columns, waves: torch.zeros(1, 4 * len(waves)))
    torch.testing.assert_close(network(patches(x, order), LEVEL), patches(network(x, LEVEL), order))


def test_positions_are_distinct_and_of_one_length() -> None:
    grid = positions(12, 20, frequencies(8))
    assert torch.pdist(grid).min() > 0.05
    torch.testing.assert_close(grid.square().sum(1), torch.full((240,), 8.0))
    assert torch.equal(grid.unflatten(0, (12, 20))[:5, :7].flatten(0, 1), positions(5, 7, frequencies(8)))


def test_every_channel_of_conditioning_is_heard() -> None:
    network = awake(tiny(vector_dim=3, token_dim=4, spatial_channels=2))
    x = torch.randn(2, 2, 8, 8)
    base = network(x, LEVEL)
    for told in (
        Conditioning(vector=torch.ones(2, 3)),
        Conditioning(tokens=torch.ones(2, 5, 4)),
        Conditioning(spatial=torch.ones(2, 2, 4, 4)),
    ):
        assert (network(x, LEVEL, told) - base).abs().max() > 1e-3
    assert (network(x, LEVEL.flip(0)) - base).abs().max() > 1e-3


def test_constructor_is_the_schema_and_the_state_round_trips() -> None:
    network = awake(tiny(token_dim=4, time_features="fourier"))
    again = NETWORKS["dit"](**{option.name: getattr(network, option.name) for option in describe(DiT)}).eval()
    again.load_state_dict(network.state_dict())
    x = torch.randn(2, 2, 5, 5)
    assert torch.equal(network(x, LEVEL), again(x, LEVEL))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 18}, "a dim that 4 divides; got 2 and 18"),
        ({"patch": 0}, "patch of at least 1"),
        ({"heads": 3}, "16 channels cannot be shared by 3 heads"),
        ({"time_features": "fourrier"}, "did you mean 'fourier'"),
    ],
)
def test_bad_options_name_what_is_near(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_tokens_need_cross_attention() -> None:
    with pytest.raises(ValueError, match="no cross-attention"):
        tiny()(torch.zeros(1, 2, 4, 4), torch.zeros(1), Conditioning(tokens=torch.zeros(1, 2, 3)))
