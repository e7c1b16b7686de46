"""Features of the noise level."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SinusoidalEmbedding(nn.Module):
    """(cos, sin)(level / max_period^(i / (dim / 2))), i < dim / 2 (Vaswani et al. 2017; Ho et al. 2020).

    level (B,) -> (B, dim); an odd dim ends in a zero. Made for levels of 0 to 1000.
    """

    frequencies: Tensor

    def __init__(self, dim: int, max_period: float = 10_000.0) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("frequencies", frequencies(dim, max_period), persistent=False)

    def forward(self, level: Tensor) -> Tensor:
        return circle(level.float()[:, None] * self.frequencies, self.dim)


class FourierEmbedding(nn.Module):
    """(cos, sin)(2 pi level w), w ~ N(0, scale^2), fixed and saved with the weights (Song et al. 2021, appendix C).

    level (B,) -> (B, dim); an odd dim ends in a zero. Made for levels of about -2 to 2, such as log(sigma) / 4.
    """

    frequencies: Tensor

    def __init__(self, dim: int, scale: float = 16.0) -> None:
        super().__init__()
        self.dim = dim
        draws = torch.Generator().manual_seed(0)
        self.register_buffer("frequencies", scale * 2 * math.pi * torch.randn(dim // 2, generator=draws))

    def forward(self, level: Tensor) -> Tensor:
        return circle(level.float()[:, None] * self.frequencies, self.dim)


def frequencies(dim: int, max_period: float = 10_000.0) -> Tensor:
    """max_period^(-i / (dim / 2)), i < dim / 2: (dim // 2,)."""
    exponents = torch.arange(dim // 2, dtype=torch.float64) / (dim // 2)
    return (max_period**-exponents).float()


def circle(angles: Tensor, dim: int) -> Tensor:
    """cos and sin of (N, dim // 2) angles: (N, dim); an odd dim ends in a zero."""
    features = torch.cat([angles.cos(), angles.sin()], dim=1)
    return F.pad(features, (0, dim - features.shape[1]))


TIME_FEATURES: dict[str, type[nn.Module]] = {"sinusoidal": SinusoidalEmbedding, "fourier": FourierEmbedding}
