"""The codecs of models, as editing needs them: with derivatives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unnoise.editing import Codec
from unnoise.models.autoencoder import Autoencoder
from unnoise.models.codec import Codec as ModelCodec
from unnoise.models.codec import Latents
from unnoise.models.likelihoods import Gaussian
from unnoise.models.vae import VAE


@dataclass(frozen=True)
class Differentiable:
    """Latents whose decoder has a derivative everywhere: the clamp to [-1, 1] is left out, since behind it a pixel that
    is wrong by a whole black to white pulls at nothing."""

    latents: Latents

    def encode(self, image: Tensor) -> Tensor:
        return self.latents.encode(image)

    def decode(self, z: Tensor) -> Tensor:
        return _unclamped(self.latents.network, z / self.latents.scale + self.latents.shift)


def codec_of(codec: ModelCodec) -> Codec | None:
    """What stands between codes and pixels; None where pixels themselves are diffused."""
    return Differentiable(codec) if isinstance(codec, Latents) else None


def _unclamped(network: Autoencoder | VAE, z: Tensor) -> Tensor:
    if isinstance(network, Autoencoder):
        return network.decoder(z).float()
    output = network(z)
    return output if isinstance(network.pixels, Gaussian) else network.pixels.mean(output)
