"""What stands between images and the space a diffusion model works in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from unnoise.aliases import Spec
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

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        return z.clamp(-1, 1) if clamp else z


class Latents(nn.Module):
    """The latents of an autoencoder, shifted and scaled to mean 0 and standard deviation 1 (Rombach et al. 2022).

    The autoencoder's weights are part of this model's own, frozen, so that a trained model needs no other folder.

    Args:
        image_shape: (C, H, W) of the images.
        autoencoder: the [model] section of a run whose latents are a small image, or of a published autoencoder
            (`models.pretrained`).
        run: the folder that the weights came from.

    Raises:
        UserError: for an autoencoder whose latents are a list of numbers.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, image_shape: tuple[int, int, int], autoencoder: Spec, run: str = "") -> None:
        super().__init__()
        self.image_shape, self.autoencoder, self.run = image_shape, autoencoder, run
        options = {name: value for name, value in autoencoder.items() if name != "kind"}
        kind = lookup(AUTOENCODERS, autoencoder.get("kind", "vae"), "autoencoder of codec 'latents'")
        self.network = kind.build(options, image_shape, 0).requires_grad_(False).eval()
        if len(self.network.latent_shape) != 3:
            raise UserError(
                "codec 'latents' needs an autoencoder whose latents are an image: train it with "
                "--set model.spatial=true, or the recipe vae-latent"
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

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        return self.network.decode(z / self.scale + self.shift, clamp)

    def normalised(self, latents: Tensor) -> Tensor:
        """(latents - shift) scale, of the autoencoder's own latents (B, c, h, w)."""
        return (latents - self.shift) * self.scale

    def measure(self, latents: Tensor) -> None:
        """Sets shift and scale from the autoencoder's latents (N, c, h, w) of a data set."""
        self.shift.copy_(latents.mean((0, 2, 3))[:, None, None])
        self.scale.copy_(1 / (latents - self.shift.to(latents)).std().clamp(min=1e-6))

    def train(self, mode: bool = True) -> Self:
        """Stays as it was trained: nothing in it learns here."""
        return super().train(False)


CODECS: dict[str, type] = {"pixels": Pixels, "latents": Latents}
