"""Generator and discriminator of a GAN."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from unnoise.networks.autoencoder import Decoder, Grid
from unnoise.networks.batch_part import all_rows

SLOPE = 0.2
"""Of the leaky rectifiers below zero (Radford et al. 2016)."""


class Generator(nn.Module):
    """z (B, latent) -> images (B, out_channels, H, W) in [-1, 1]: a `Decoder`, then tanh.

    It has no batch statistics, so an image is a function of its z alone.
    """

    def __init__(
        self,
        latent: int,
        out_channels: int,
        image_size: tuple[int, int],
        *,
        channels: int = 32,
        multipliers: tuple[int, ...] = (1, 2),
        blocks: int = 1,
        patch: int = 2,
    ) -> None:
        super().__init__()
        sizes = {"channels": channels, "multipliers": multipliers, "blocks": blocks, "patch": patch}
        self.decoder = Decoder(latent, out_channels, image_size, **sizes)

    def forward(self, z: Tensor) -> Tensor:
        return self.decoder(z).tanh()


class Discriminator(nn.Module):
    """Images (B, in_channels, H, W) -> logits (B,): how much they look like data. No normalisation of activations.

    patches: a logit (B, h w) for each position of the coarsest level instead, which judges what is near it (Isola et
    al. 2017).
    channels, multipliers: a level each, two 3x3 convolutions, of half the resolution of the one before; patch: the
    finest level sees squares of patch x patch pixels. batch_std: the last level also sees how much the images of the
    batch differ, which shows a collapsed generator up (Karras et al. 2018, section 3). spectral: every weight is
    divided by its largest singular value (Miyato et al. 2018).
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        *,
        channels: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 4),
        patch: int = 2,
        batch_std: bool = True,
        spectral: bool = False,
        patches: bool = False,
    ) -> None:
        super().__init__()
        self.grid, self.batch_std, self.patches = Grid(image_size, patch, len(multipliers)), batch_std, patches
        widths = [channels * multiplier for multiplier in multipliers]
        layers = [nn.Conv2d(in_channels * patch**2, widths[0], 3, padding=1)]
        for level, width in enumerate(widths):
            if level > 0:
                layers.append(nn.Conv2d(widths[level - 1], width, 3, stride=2, padding=1))
            layers.append(nn.Conv2d(width, width, 3, padding=1))
        height, columns = self.grid.coarsest
        self.layers = nn.ModuleList(layers)
        given = widths[-1] + batch_std
        self.last = nn.Conv2d(given, 1, 1) if patches else nn.Conv2d(given, 1, (height, columns))
        for layer in (*self.layers, self.last):
            nn.init.kaiming_normal_(layer.weight, SLOPE)  # type: ignore[arg-type]
            if spectral:
                parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        return self.judge(self.features(image)[-1])

    def features(self, image: Tensor) -> list[Tensor]:
        """The activations (B, channels, height, width) of every layer but the last."""
        found = [self.grid.split(image)]
        for layer in self.layers:
            found.append(F.leaky_relu(layer(found[-1]), SLOPE))
        return found[1:]

    def judge(self, h: Tensor) -> Tensor:
        """The logits that the deepest features lead to."""
        if self.batch_std:
            std = (all_rows(h.float()).var(0, unbiased=False) + 1e-8).sqrt().mean()
            h = torch.cat([h, std.to(h.dtype).expand(len(h), 1, *h.shape[2:])], dim=1)
        logits = self.last(h).flatten(1).float()
        return logits if self.patches else logits.squeeze(1)

    @torch.no_grad()
    def update_norms(self) -> None:
        """One power iteration of every spectral norm, to be done after a step: the forward pass changes nothing."""
        for layer in (*self.layers, self.last):
            if parametrize.is_parametrized(layer):
                (norm,) = layer.parametrizations.weight  # type: ignore[union-attr, misc]
                norm.iterate(layer.parametrizations.weight.original)  # type: ignore[union-attr]


class SpectralNorm(nn.Module):
    """W / sigma, sigma = u^T W v its largest singular value, u and v from power iterations (Miyato et al. 2018,
    algorithm 1). W is read as (out, everything else)."""

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, iterations: int = 15) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(len(matrix)), dim=0))
        self.register_buffer("v", torch.zeros(matrix.shape[1]))
        for _ in range(iterations):
            self.iterate(weight.detach())

    def iterate(self, weight: Tensor) -> None:
        """u and v after one more iteration."""
        matrix = weight.flatten(1)
        self.v.copy_(F.normalize(matrix.T @ self.u, dim=0))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        sigma = (weight.flatten(1) * torch.outer(self.u, self.v)).sum()  # elementwise, so in full precision
        return weight / sigma
