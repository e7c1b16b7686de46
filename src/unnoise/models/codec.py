"""What stands between images and the space a diffusion model works in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Codec(Protocol):
    """encode: images (B, C, H, W) in [-1, 1] -> what is diffused; decode: its inverse, as near as the codec gets."""

    def shape(self, image: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape of what is diffused, for images of the given shape."""
        ...

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Pixels:
    """The identity: the diffusion works on the pixels themselves."""

    def shape(self, image: tuple[int, int, int]) -> tuple[int, int, int]:
        return image

    def encode(self, image: Tensor) -> Tensor:
        return image

    def decode(self, z: Tensor) -> Tensor:
        return z.clamp(-1, 1)


CODECS: dict[str, type] = {"pixels": Pixels}
