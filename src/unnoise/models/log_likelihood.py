"""What a model that scores images says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

LEVEL_BITS = {"levels": 0.0, "density": math.log2(127.5), "binary": 0.0}
"""Levels lie 1 / 127.5 apart, so a density p on [-1, 1] gives each about p / 127.5."""


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x) of each image, or a lower bound of it.

    nats: (N,) per image. exact: whether it is the value or a bound from below. of: what has the probability: 'levels'
    (the 256 of each pixel), 'density' (of dequantised pixels on [-1, 1]) or 'binary' (black or white pixels).
    """

    nats: Tensor
    exact: bool
    of: str

    def bits_per_dim(self, dims: int) -> Tensor:
        """-log2 p(x) / dims (N,), for images of `dims` numbers; of a density, with the bits from [-1, 1] to 256 levels.

        'levels' and 'density' compare with each other and with a diffusion model's bound; 'binary' is bits per black
        or white pixel, which compares with neither.
        """
        return -self.nats / (dims * math.log(2)) + LEVEL_BITS[self.of]
