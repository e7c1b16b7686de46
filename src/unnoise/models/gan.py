"""The generative adversarial network: what is left of it after training, a generator."""

from __future__ import annotations

from torch import Tensor

from unnoise.models.one_step import OneStep
from unnoise.networks.gan import Generator
from unnoise.registry import Count, Positive, Sizes


class GAN(OneStep):
    """x = generator(z), z ~ N(0, I) (Goodfellow et al. 2014). The discriminator belongs to the objective.

    It has no encoder and no likelihood, so it neither reconstructs nor scores.

    Args:
        shape: (C, H, W) of the images.
        latent: numbers that an image is made of.
        channels, multipliers, blocks, patch: of the generator (`networks.gan`).
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: Positive = 64,
        channels: Positive = 32,
        multipliers: Sizes = (1, 2),
        blocks: Count = 1,
        patch: Positive = 2,
    ) -> None:
        super().__init__(shape)
        self.latent = latent
        self.channels, self.multipliers, self.blocks, self.patch = channels, multipliers, blocks, patch
        sizes = {"channels": channels, "multipliers": multipliers, "blocks": blocks, "patch": patch}
        self.generator = Generator(latent, shape[0], shape[1:], **sizes)

    def forward(self, z: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of latents (B, latent)."""
        return self.generator(z).float()

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.latent,)

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        """The images of latents, in [-1, 1] by themselves: by the name that models with an encoder have for it."""
        return self(z)
