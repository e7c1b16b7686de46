"""On which side a network pads, pixel by pixel: results with published weights depend on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unnoise.features.efficientnet_lite import SameConv2d
from unnoise.networks.autoencoder import Grid
from unnoise.published.autoencoder_kl import Resampled


def by_hand(x: np.ndarray, weight: np.ndarray, stride: int, before: int, after: int) -> np.ndarray:
    """A 2-D convolution of one channel, padded with zeros."""
    padded = np.pad(x, (before, after))
    kernel = len(weight)
    places = range(0, len(padded) - kernel + 1, stride)
    return np.array([[(padded[i : i + kernel, j : j + kernel] * weight).sum() for j in places] for i in places])


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "before", "after"),
    [(8, 3, 2, 0, 1), (7, 3, 2, 1, 1), (8, 5, 2, 1, 2), (8, 3, 1, 1, 1), (9, 5, 2, 2, 2), (6, 2, 1, 0, 1)],
)
def test_efficientnet_pads_as_tensorflow(side: int, kernel: int, stride: int, before: int, after: int) -> None:
    """'SAME': max((ceil(n / s) - 1) s + k - n, 0) zeros, the odd one after."""
    conv = SameConv2d(1, 1, kernel, stride)
    nn.init.normal_(conv.weight)
    x = draw(side, side)
    expected = by_hand(x.numpy(), conv.weight.detach().numpy()[0, 0], stride, before, after)
    np.testing.assert_allclose(conv(x[None, None]).detach()[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_the_kl_autoencoder_pads_right_and_below_alone() -> None:
    """As CompVis' Downsample: one zero after, none before, a 3x3 convolution of stride 2."""
    layer = Resampled(1, down=True)
    x = draw(6, 6)
    expected = by_hand(x.numpy(), layer.conv.weight.detach().numpy()[0, 0], 2, 0, 1) + layer.conv.bias.item()
    np.testing.assert_allclose(layer(x[None, None]).detach()[0, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (5, 3), (1, 1)])
def test_a_grid_repeats_the_right_and_lower_border(size: tuple[int, int]) -> None:
    grid = Grid(size, patch=2, levels=2)
    image = draw(2, 3, *size)
    whole = nn.functional.pixel_shuffle(grid.split(image), 2)
    rows = np.minimum(np.arange(whole.shape[2]), size[0] - 1)
    columns = np.minimum(np.arange(whole.shape[3]), size[1] - 1)
    assert whole.shape[2:] == tuple(-(-side // 4) * 4 for side in size)
    assert torch.equal(whole, image[:, :, rows][..., columns])
    assert torch.equal(grid.join(grid.split(image)), image)
