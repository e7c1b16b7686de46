"""What stands between images and the space that a diffusion works in."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Codec(Protocol):
    """encode: images (B, C, H, W) in [-1, 1] -> what is diffused; decode: its inverse, as near as the codec gets."""

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of what is diffused, without the batch."""
        ...

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...
