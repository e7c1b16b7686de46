"""Features of the noise level."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.networks.layers import zeroed
from unnoise.registry import lookup


class SinusoidalEmbedding(nn.Module):
    """(cos, sin)(level / max_period^(i / (dim / 2))), i < dim / 2.

    level (B,) -> (B, dim); an odd dim ends in a zero. Made for levels of 0 to 1000; the DDPM++ networks of Karras et
    al. 2022 are given log(sigma) / 4 in it all the same.

    Reference:
        `timestep_embedding` in the code of Nichol & Dhariwal 2021: cosines first, exponents i / (dim / 2). The code of
        Ho et al. 2020 has sines first and exponents i / (dim / 2 - 1); Vaswani et al. 2017 interleave the two.
    """

    frequencies: Tensor

    def __init__(self, dim: int, max_period: float = 10_000.0) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("frequencies", frequencies(dim, max_period), persistent=False)

    def forward(self, level: Tensor) -> Tensor:
        return circle(level.float()[:, None] * self.frequencies, self.dim)


class FourierEmbedding(nn.Module):
    """(cos, sin)(2 pi level w), w ~ N(0, (4 scale / span)^2), fixed and saved with the weights (Song et al. 2021,
    appendix C).

    level (B,) -> (B, dim); an odd dim ends in a zero.

    Args:
        dim: numbers per level.
        scale: the paper's, for levels of about -2 to 2 such as log(sigma) / 4.
        span: how wide the range of levels is. Levels of 0 to 1000 turn as far as those of -2 to 2.
    """

    frequencies: Tensor

    def __init__(self, dim: int, scale: float = 16.0, span: float = 4.0) -> None:
        super().__init__()
        self.dim = dim
        draws = torch.Generator().manual_seed(0)
        self.register_buffer("frequencies", 4 / span * scale * 2 * math.pi * torch.randn(dim // 2, generator=draws))

    def forward(self, level: Tensor) -> Tensor:
        return circle(level.float()[:, None] * self.frequencies, self.dim)


class ScalarEmbedding(nn.Module):
    """What a network is told in numbers beside the noise level, added to the embedding of that: scalars (B, K) in
    [0, 1] -> (B, dim), zero in the beginning.

    (cos, sin)(2^k pi s), k = -1, ..., 3, of every number, through a linear layer, SiLU and one that begins at zero. Few
    and slow waves: an average velocity is learned through its derivative in time, which quick waves make large (Geng et
    al. 2025, section 4.3; Lu & Song 2024, section 4.1).
    """

    waves: Tensor

    def __init__(self, scalars: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("waves", math.pi * 2.0 ** torch.arange(-1, 4), persistent=False)
        self.first = nn.Linear(2 * len(self.waves) * scalars, dim)
        self.last = zeroed(nn.Linear(dim, dim))

    def forward(self, scalars: Tensor) -> Tensor:
        angles = (scalars[..., None] * self.waves).flatten(1)
        return self.last(F.silu(self.first(torch.cat([angles.cos(), angles.sin()], dim=1))))


def added(embedding: Tensor, *parts: tuple[nn.Module | None, Tensor | None]) -> Tensor:
    """An embedding (B, dim) and what layers make of what they are told; where either is missing, nothing is added."""
    for layer, told in parts:
        if layer is not None and told is not None:
            embedding = embedding + layer(told)
    return embedding


def frequencies(dim: int, max_period: float = 10_000.0) -> Tensor:
    """max_period^(-i / (dim / 2)), i < dim / 2: (dim // 2,)."""
    exponents = torch.arange(dim // 2, dtype=torch.float64) / (dim // 2)
    return (max_period**-exponents).float()


def circle(angles: Tensor, dim: int) -> Tensor:
    """cos and sin of (N, dim // 2) angles: (N, dim); an odd dim ends in a zero."""
    features = torch.cat([angles.cos(), angles.sin()], dim=1)
    return F.pad(features, (0, dim - features.shape[1]))


TIME_FEATURES: dict[str, type[nn.Module]] = {"sinusoidal": SinusoidalEmbedding, "fourier": FourierEmbedding}


def time_embedding(name: str, dim: int, span: float) -> nn.Module:
    """The features called `name`, for levels in a range as wide as `span`."""
    kind = lookup(TIME_FEATURES, name, "time_features")
    return FourierEmbedding(dim, span=span) if kind is FourierEmbedding else kind(dim)
