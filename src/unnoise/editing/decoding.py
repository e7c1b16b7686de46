"""The codecs of models, as editing needs them: with derivatives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unnoise.inverse import Codec
from unnoise.models.codec import Latents
from unnoise.process.codec import Codec as ModelCodec


@dataclass(frozen=True)
class Differentiable:
    """Latents whose decoder has a derivative everywhere."""

    latents: Latents

    def encode(self, image: Tensor) -> Tensor:
        return self.latents.encode(image)

    def decode(self, z: Tensor) -> Tensor:
        return self.latents.unclamped(z)


def codec_of(codec: ModelCodec) -> Codec | None:
    """What stands between codes and pixels; None where pixels themselves are diffused."""
    return Differentiable(codec) if isinstance(codec, Latents) else None
