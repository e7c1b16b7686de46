from __future__ import annotations

import pytest
import torch

from unnoise.networks.conv import ConvClassifier, halvings


@pytest.mark.parametrize(
    ("channels", "size"),
    [(1, (4, 4)), (1, (8, 8)), (3, (32, 32)), (1, (28, 28)), (4, (17, 64)), (3, (64, 64))],
    ids=str,
)
def test_any_channels_and_sizes(channels: int, size: tuple[int, int]) -> None:
    network = ConvClassifier(channels, size, classes=5, base=4, dim=12)
    x = torch.randn(3, channels, *size)
    assert network.features(x).shape == (3, 12)
    assert network(x).shape == (3, 5)
    torch.testing.assert_close(network.head(network.eval().features(x)), network(x))


@pytest.mark.parametrize(("side", "count"), [(4, 0), (7, 0), (8, 1), (15, 1), (16, 2), (28, 2), (32, 3), (64, 4)])
def test_the_last_stage_has_four_to_seven_pixels(side: int, count: int) -> None:
    assert halvings(side) == count
    assert 4 <= side // 2**count <= 7


def test_the_features_know_where_things_are() -> None:
    """Means over the whole image would not tell a picture from its mirror image through symmetric filters."""
    torch.manual_seed(0)
    network = ConvClassifier(1, (16, 16), classes=2).eval()
    for stage in (*network.stages, network.last):
        weight = stage[0].weight  # type: ignore[index]
        weight.data = (weight.data + weight.data.flip(3)) / 2
    x = torch.zeros(1, 1, 16, 16)
    x[..., :5] = 1
    assert float((network.features(x) - network.features(x.flip(3))).detach().abs().max()) > 1e-3


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match=r"4x4 pixels or more and 2 classes or more, got \(3, 8\) and 10"):
        ConvClassifier(1, (3, 8), 10)
    with pytest.raises(ValueError, match="2 classes"):
        ConvClassifier(1, (8, 8), 1)
