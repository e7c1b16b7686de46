"""The autoencoder: images to latents and back, without a prior on the latents."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from unnoise.models.image_model import ImageModel
from unnoise.networks.autoencoder import Decoder, Encoder, latent_shape
from unnoise.registry import Count, Positive, Sizes

NO_PRIOR = (
    "an autoencoder has no prior to draw latents from, so it cannot sample; use encode and decode, or train a vae, "
    "a gan or a diffusion model on the same images"
)


class Autoencoder(ImageModel):
    """x -> decoder(encoder(x)) (Hinton & Salakhutdinov 2006; trained on corrupted images: Vincent et al. 2008).

    latent: how many numbers, or, when spatial, how many channels of a small image; channels, multipliers,
    blocks, patch: of the encoder and the decoder (`networks.autoencoder`). It claims no sampling: nothing says which
    latents occur.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        latent: Positive = 32,
        spatial: bool = False,
        channels: Positive = 32,
        multipliers: Sizes = (1, 2),
        blocks: Count = 1,
        patch: Positive = 2,
    ) -> None:
        super().__init__(shape)
        self.latent, self.spatial = latent, spatial
        self.channels, self.multipliers, self.blocks, self.patch = channels, multipliers, blocks, patch
        count, size = shape[0], shape[1:]
        sizes = {"channels": channels, "multipliers": multipliers, "blocks": blocks, "patch": patch, "spatial": spatial}
        self.encoder = Encoder(count, latent, size, **sizes)
        self.decoder = Decoder(latent, count, size, **sizes)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """The shape of one image's latents."""
        return latent_shape(self.latent, self.shape[1:], self.patch, self.multipliers, self.spatial)

    def encode(self, image: Tensor) -> Tensor:
        """Latents (B, *latent_shape) of images (B, C, H, W) in [-1, 1]."""
        return self.encoder(image).float()

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] of latents (B, *latent_shape); without the clamp, as training sees them."""
        image = self.decoder(z).float()
        return image.clamp(-1, 1) if clamp else image

    def forward(self, image: Tensor) -> Tensor:
        """The reconstruction before it is clamped to [-1, 1], which training sees."""
        return self.decode(self.encode(image), clamp=False)

    def __getattr__(self, name: str) -> Any:
        if name == "sample":
            raise AttributeError(NO_PRIOR)
        return super().__getattr__(name)
