"""What stands between images and the space a diffusion model works in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from unnoise.errors import UserError
from unnoise.models.autoencoder import Autoencoder
from unnoise.models.pretrained import PRETRAINED, PretrainedAutoencoder
from unnoise.models.vae import VAE
from unnoise.registry import lookup

AUTOENCODERS: dict[str, type[Autoencoder | VAE | PretrainedAutoencoder]] = {
    "autoencoder": Autoencoder,
    "vae": VAE,
    **PRETRAINED,
}


@dataclass(frozen=True)
class Pixels:
    """The identity: the diffusion works on the pixels themselves, of images of shape (C, H, W)."""

    image_shape: tuple[int, int, int]

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return self.image_shape

    def encode(self, image: Tensor) -> Tensor:
        return image

    def decode(self, z: Tensor) -> Tensor:
        return z.clamp(-1, 1)


class Latents(nn.Module):
    """The codes of an autoencoder, shifted and scaled to mean 0 and standard deviation 1 (Rombach et al. 2022).

    autoencoder: the [model] section of a run whose code is a small image, or a published one of `models.foreign`; its
    weights are part of this model's own, frozen, so that a trained model needs no other folder. run: the folder that
    they came from.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, image_shape: tuple[int, int, int], autoencoder: Mapping[str, Any], run: str = "") -> None:
        super().__init__()
        self.image_shape, self.autoencoder, self.run = image_shape, autoencoder, run
        options = {name: value for name, value in autoencoder.items() if name != "kind"}
        kind = lookup(AUTOENCODERS, autoencoder.get("kind", "vae"), "autoencoder of codec 'latents'")
        self.network = kind.build(options, image_shape, 0).requires_grad_(False).eval()
        if len(self.network.latent_shape) != 3:
            raise UserError(
                "codec 'latents' needs an autoencoder whose code is an image: train it with --set model.spatial=true, "
                "or the recipe vae-latent"
            )
        self.register_buffer("shift", torch.zeros(self.latent_shape[0], 1, 1))
        self.register_buffer("scale", torch.ones(()))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.network.latent_shape
        return channels, height, width

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        return self.normalised(self.network.encode(image))

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        return self.network.decode(z / self.scale + self.shift).clamp(-1, 1)

    def unclamped(self, z: Tensor) -> Tensor:
        """`decode` with derivatives and without the clamp, behind which a pixel that is wrong by a whole black to white
        pulls at nothing."""
        return self.network.unclamped(z / self.scale + self.shift)

    def normalised(self, codes: Tensor) -> Tensor:
        """(codes - shift) scale, of the autoencoder's own codes (B, c, h, w)."""
        return (codes - self.shift) * self.scale

    def measure(self, codes: Tensor) -> None:
        """Sets shift and scale from the autoencoder's codes (N, c, h, w) of a data set."""
        self.shift.copy_(codes.mean((0, 2, 3))[:, None, None])
        self.scale.copy_(1 / (codes - self.shift.to(codes)).std().clamp(min=1e-6))

    def train(self, mode: bool = True) -> Self:
        """Stays as it was trained: nothing in it learns here."""
        return super().train(False)


CODECS: dict[str, type] = {"pixels": Pixels, "latents": Latents}
