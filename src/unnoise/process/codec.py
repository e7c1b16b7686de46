"""What stands between images and the space that a diffusion works in."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Codec(Protocol):
    """Images (B, C, H, W) in [-1, 1] to what is diffused, and back as nearly as the codec gets."""

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of what is diffused, without the batch."""
        ...

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        """Images of z. clamp: to [-1, 1]; without it, differentiable everywhere: behind the clamp a pixel that is wrong
        by a whole black to white has no derivative."""
        ...
