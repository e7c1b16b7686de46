from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from unnoise.networks import DiT, UNet
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.lora import add_lora, layers, merge_lora

LEVEL = torch.tensor([3.0, 700.0])
CONDITIONING = Conditioning(vector=torch.ones(2, 3), tokens=torch.ones(2, 4, 5))


def unet() -> nn.Module:
    return UNet(2, 2, (8, 8), channels=8, multipliers=(1, 2), blocks=1, attention=(8,), vector_dim=3, token_dim=5)


def dit() -> nn.Module:
    return DiT(2, 2, dim=16, depth=2, heads=2, vector_dim=3, token_dim=5)


def odd() -> nn.Module:
    """Strides, dilations, borders and a grouped convolution, which is left alone."""
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 5), stride=(2, 1), padding=(1, 2), padding_mode="circular"),
        nn.Conv2d(4, 4, 3, groups=2, padding=1),
        nn.Conv2d(4, 2, 3, dilation=2, padding="same", bias=False),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {"unet": unet, "dit": dit, "odd": odd}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    made = NETWORKS[request.param]().double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def answer(network: nn.Module) -> Tensor:
    x = torch.linspace(-1, 1, 256, dtype=torch.float64).reshape(2, 2, 8, 8)
    if isinstance(network, nn.Sequential):
        return network(x)
    conditioning = Conditioning(vector=torch.ones(2, 3).double(), tokens=torch.ones(2, 4, 5).double())
    return network(x, LEVEL.double(), conditioning) if isinstance(network, DiT) else network(x, LEVEL, conditioning)


def learned(network: nn.Module) -> nn.Module:
    """The adapters somewhere else than at zero."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def test_adapters_begin_as_the_identity(network: nn.Module) -> None:
    before = answer(network)
    add_lora(network, rank=2)
    assert torch.equal(answer(network), before)


def test_merging_is_the_adapted_network(network: nn.Module) -> None:
    before, names = answer(network), list(network.state_dict())
    add_lora(network, rank=2, alpha=3.0)
    adapted = answer(learned(network))
    assert (adapted - before).abs().max() > 1e-3
    merge_lora(network)
    torch.testing.assert_close(answer(network), adapted)
    assert list(network.state_dict()) == names


def test_only_adapters_learn_and_the_names_of_the_rest_stay(network: nn.Module) -> None:
    names = set(network.state_dict())
    adapted = add_lora(network, rank=2)
    assert names < set(network.state_dict())
    answer(learned(network)).square().sum().backward()
    trained = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert trained == {f"{name}.lora.{part}.weight" for name in adapted for part in ("down", "up")}


def test_a_second_round_of_adapters_replaces_the_first(network: nn.Module) -> None:
    before = answer(network)
    add_lora(network, rank=2)
    learned(network)
    add_lora(network, rank=4)
    assert torch.equal(answer(network), before)


def test_a_copy_adapts_on_its_own(network: nn.Module) -> None:
    add_lora(network, rank=2)
    copy = learned(deepcopy(network))
    assert not torch.allclose(answer(copy), answer(network))
    torch.testing.assert_close(answer(merge_lora(deepcopy(copy))), answer(copy))


def test_adapters_learn() -> None:
    torch.manual_seed(0)
    network, x = unet(), torch.randn(2, 2, 8, 8)
    add_lora(network, rank=2)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 0.02)
    losses = []
    for _ in range(40):
        loss = (network(x, LEVEL, CONDITIONING) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_linear_adapter_is_a_product_of_two() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 4)
    add_lora(layer, rank=2, alpha=5.0)
    learned(layer)
    down, up = (layer.get_parameter(f"lora.{part}.weight") for part in ("down", "up"))
    x = torch.randn(7, 3)
    expected = nn.functional.linear(x, layer.weight + 5 / 2 * up @ down, layer.bias)
    torch.testing.assert_close(layer(x), expected)


def test_where_chooses_layers() -> None:
    network = unet()
    chosen = add_lora(network, where=r"attention|cross")
    assert chosen
    assert all("attention" in name or "cross" in name for name in chosen)
    assert len(chosen) < len(list(layers(network)))


def test_adapters_are_small() -> None:
    network = UNet(3, 3, (32, 32), channels=64, multipliers=(1, 2, 2))
    total = sum(value.numel() for value in network.state_dict().values())
    add_lora(network, rank=4, where="attention|second")
    adapters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in adapters) < 0.05 * total


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rank": 0}, "rank of at least 1; got 0"), ({"where": "atention"}, "no linear or convolution layer matches")],
)
def test_bad_options_are_told(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        add_lora(unet(), **options)  # type: ignore[arg-type]
