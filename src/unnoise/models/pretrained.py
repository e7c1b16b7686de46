"""Published autoencoders as codecs: diffusers' AutoencoderKL and VQModel, and TAESD. They are used, not trained."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from unnoise.errors import UserError
from unnoise.models.image_model import ImageModel
from unnoise.published.autoencoder_kl import KLDecoder, KLEncoder
from unnoise.published.taesd import STAGES, tiny_decoder, tiny_encoder


class PretrainedAutoencoder(ImageModel):
    """Images (B, C, H, W) to latents (B, latent, H/factor, W/factor) and back.

    channels: of the images that it was trained on. Raises UserError for other images, and for sides that `factor` does
    not divide.
    """

    def __init__(self, shape: tuple[int, int, int], channels: int, latent: int, factor: int) -> None:
        super().__init__(shape)
        if shape[0] != channels:
            raise UserError(
                f"this autoencoder takes images of {channels} channels, and these have {shape[0]}: "
                f"--set data.channels={channels}"
            )
        if shape[1] % factor or shape[2] % factor:
            raise UserError(
                f"this autoencoder takes sides that are multiples of {factor}, and these are {shape[2]}x{shape[1]}: "
                f"--set data.size={max(factor, shape[1] // factor * factor)}"
            )
        self.channels, self.latent, self._factor = channels, latent, factor

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.latent, self.shape[1] // self._factor, self.shape[2] // self._factor

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor: ...

    @abstractmethod
    def decoded(self, z: Tensor) -> Tensor:
        """The network's images, in about [-1, 1]."""

    def decode(self, z: Tensor, clamp: bool = True) -> Tensor:
        image = self.decoded(z)
        return image.clamp(-1, 1) if clamp else image


class AutoencoderKL(PretrainedAutoencoder):
    """The first stage of latent diffusion (Rombach et al. 2022); latents are the mean of q(z | x).

    widths: channels of each level, from the largest resolution down; blocks: residual blocks of each; groups: of the
    norms; attention: in the middle; quantised: whether 1x1 convolutions stand on both sides of the latents.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        channels: int = 3,
        latent: int = 4,
        widths: tuple[int, ...] = (128, 256, 512, 512),
        blocks: int = 2,
        groups: int = 32,
        attention: bool = True,
        quantised: bool = True,
    ) -> None:
        super().__init__(shape, channels, latent, 2 ** (len(widths) - 1))
        _check_groups(widths, groups)
        self.widths, self.blocks, self.groups = widths, blocks, groups
        self.attention, self.quantised = attention, quantised
        self.encoder = KLEncoder(channels, 2 * latent, widths, blocks, groups, attention)
        self.decoder = KLDecoder(channels, latent, widths, blocks, groups, attention)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1) if quantised else nn.Identity()
        self.post_quant_conv = nn.Conv2d(latent, latent, 1) if quantised else nn.Identity()

    def encode(self, image: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(image)).float()[:, : self.latent]

    def decoded(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(z)).float()


class VQ(PretrainedAutoencoder):
    """The first stage of latent diffusion with a codebook (Esser et al. 2021; Rombach et al. 2022): latents are what is
    quantised, and decoding takes the nearest entry at each position.

    latent: channels of an entry; inner: of the encoder's answer; entries: of the codebook. The others are as in
    `AutoencoderKL`.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        channels: int = 3,
        latent: int = 3,
        inner: int = 3,
        entries: int = 256,
        widths: tuple[int, ...] = (64,),
        blocks: int = 1,
        groups: int = 32,
        attention: bool = True,
    ) -> None:
        super().__init__(shape, channels, latent, 2 ** (len(widths) - 1))
        _check_groups(widths, groups)
        self.inner, self.entries, self.widths = inner, entries, widths
        self.blocks, self.groups, self.attention = blocks, groups, attention
        self.encoder = KLEncoder(channels, inner, widths, blocks, groups, attention)
        self.decoder = KLDecoder(channels, inner, widths, blocks, groups, attention)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(inner, latent, 1), nn.Conv2d(latent, inner, 1)
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(entries, latent)})

    def encode(self, image: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(image)).float()

    def quantised(self, z: Tensor) -> Tensor:
        """The nearest entry of the codebook at each position of z (B, latent, h, w)."""
        entries = next(self.quantize.parameters())
        at = z.permute(0, 2, 3, 1)
        distance = entries.square().sum(1) - 2 * at @ entries.mT  # but for z^2, which is the same for all
        return entries[distance.argmin(-1)].permute(0, 3, 1, 2)

    def decoded(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(self.quantised(z))).float()


def _check_groups(widths: tuple[int, ...], groups: int) -> None:
    uneven = [width for width in widths if width % groups]
    if uneven:
        raise UserError(f"{groups} groups do not divide the {uneven[0]} channels of a level of this autoencoder")


class TAESD(PretrainedAutoencoder):
    """The tiny autoencoder of a published latent space (Bohan 2023). wide: with bottlenecks next to the latents."""

    def __init__(self, shape: tuple[int, int, int], *, channels: int = 3, latent: int = 4, wide: bool = False) -> None:
        super().__init__(shape, channels, latent, 2**STAGES)
        self.wide = wide
        self.encoder = tiny_encoder(channels, latent, wide)
        self.decoder = tiny_decoder(channels, latent, wide)

    def encode(self, image: Tensor) -> Tensor:
        return self.encoder((image + 1) / 2).float()

    def decoded(self, z: Tensor) -> Tensor:
        return 2 * self.decoder(z).float() - 1


PRETRAINED: dict[str, type[Any]] = {"autoencoderkl": AutoencoderKL, "vq": VQ, "taesd": TAESD}
