"""What probability a model gives to images: the variational bound, and the value by the probability-flow ODE.

Units. A bound with the discretised decoder is on the probability of each pixel's level: nats / log 2 are bits/dim.
The gaussian decoder and the ODE give densities on [-1, 1], of continuous data; for levels, which lie 1 / 127.5 apart,
measure `dequantise`d images and turn the result into bits/dim with `density_bits`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unnoise.metrics.bound import Bound, variational_bound
from unnoise.metrics.flow_likelihood import OdeLikelihood, ode_log_likelihood
from unnoise.seeding import generator

__all__ = ["Bound", "OdeLikelihood", "density_bits", "dequantise", "ode_log_likelihood", "variational_bound"]


def density_bits(nats_per_dim: float) -> float:
    """Bits/dim of levels from the nats/dim of a density on [-1, 1]: nats / log 2 + log2(127.5).

    On `dequantise`d images this bounds -log2 of the levels' probability from above (Theis et al. 2016, equation 4).
    """
    return nats_per_dim / math.log(2) + math.log2(127.5)


def dequantise(images: Tensor, seed: int = 0) -> Tensor:
    """Levels k / 127.5 - 1 (N, *) plus uniform noise in [-1/255, 1/255): every level becomes its bucket."""
    u = torch.rand(images.shape, generator=generator(seed), dtype=torch.float64)
    return images + ((2 * u - 1) / 255).to(images.dtype).to(images.device)
