"""The U-Net of DDPM and its successors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.networks.attention import CrossAttention
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.embedding import ScalarEmbedding, added, time_embedding
from unnoise.networks.layers import (
    TIME_INJECTIONS,
    Downsample,
    ResidualBlock,
    SelfAttention,
    Upsample,
    concat_spatial,
    group_norm,
    padded,
    zeroed,
)
from unnoise.registry import Bounds, Count, Fraction, Positive, Sizes, lookup

Exponent = Annotated[int, Bounds(0, 12)]


class Stage(nn.Module):
    """A residual block, and attention where the level has it: between positions, then to the tokens."""

    def __init__(
        self, block: ResidualBlock, attention: SelfAttention | None, cross: CrossAttention | None = None
    ) -> None:
        super().__init__()
        self.block, self.attention, self.cross = block, attention, cross

    def forward(self, x: Tensor, embedding: Tensor, told: Conditioning) -> Tensor:
        x = self.block(x, embedding)
        if self.attention is not None:
            x = self.attention(x)
        return x if self.cross is None or told.tokens is None else self.cross(x, told.tokens, told.token_mask)


class UNet(nn.Module):
    """(x (B, in_channels, H, W), noise_level (B,), conditioning) -> (B, out_channels, H, W) (Ho et al. 2020).

    multipliers: one level each, of channels * multiplier channels, half the resolution of the one before; blocks:
    residual blocks per level on the way down, one more on the way up. attention: resolutions; each picks the finest
    level whose shorter side is at most that. time_features: 'sinusoidal' or 'fourier'; time_injection: 'add' or
    'adagn'. Sizes that the levels do not divide are padded and cropped inside; any H and W may be given.
    patch: squares of so many pixels a side are one position of the finest level, their pixels its channels: the same
    network is then quicker by patch^2. fourier: exponents n of sin(2^n pi x) and cos(2^n pi x), which the network sees
    beside x: 7 and 8 show it the last bits of 8-bit pixels (Kingma et al. 2021, appendix C).
    vector_dim, token_dim: the widths of conditioning.vector and tokens; spatial_channels: of conditioning.spatial;
    scalars: how many numbers conditioning.scalars has.
    Where there is attention there is cross-attention to the tokens, in heads of the same number.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: tuple[int, int],
        *,
        channels: Positive = 64,
        multipliers: Sizes = (1, 2, 2),
        blocks: Count = 2,
        attention: tuple[int, ...] = (16,),
        heads: Positive = 1,
        dropout: Fraction = 0.0,
        time_features: str = "sinusoidal",
        time_injection: str = "add",
        patch: Positive = 1,
        fourier: tuple[Exponent, ...] = (),
        level_span: float = 4.0,
        vector_dim: int = 0,
        spatial_channels: int = 0,
        token_dim: int = 0,
        scalars: int = 0,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.image_size = in_channels, out_channels, image_size
        self.channels, self.multipliers, self.blocks, self.attention = channels, multipliers, blocks, attention
        self.heads, self.dropout = heads, dropout
        self.time_features, self.time_injection = time_features, time_injection
        self.patch, self.fourier, self.level_span = patch, fourier, level_span
        self.vector_dim, self.token_dim, self.spatial_channels = vector_dim, token_dim, spatial_channels
        self.scalars = scalars
        lookup(TIME_INJECTIONS, time_injection, "time_injection")

        width = 4 * channels
        self.embed_time = nn.Sequential(
            time_embedding(time_features, channels, level_span),
            nn.Linear(channels, width),
            nn.SiLU(),
            nn.Linear(width, width),
        )
        self.embed_vector = nn.Linear(vector_dim, width) if vector_dim else None
        self.embed_scalars = ScalarEmbedding(scalars, width) if scalars else None
        seen = in_channels * (1 + 2 * len(fourier)) + spatial_channels
        self.first = nn.Conv2d(seen * patch**2, channels, 3, padding=1)
        self._build_levels(width)
        self.norm = group_norm(channels * multipliers[0])
        self.last = zeroed(nn.Conv2d(channels * multipliers[0], out_channels * patch**2, 3, padding=1))

    def _build_levels(self, width: int) -> None:
        high, wide = (-(-side // self.patch) for side in self.image_size)
        attended = attended_levels((high, wide), len(self.multipliers), self.attention)

        def stage(given: int, made: int, attend: bool) -> Stage:
            block = ResidualBlock(given, made, width, self.time_injection, self.dropout)
            if not attend:
                return Stage(block, None)
            cross = CrossAttention(made, self.heads, self.token_dim) if self.token_dim else None
            return Stage(block, SelfAttention(made, self.heads), cross)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        now, skips = self.channels, [self.channels]
        for level, multiplier in enumerate(self.multipliers):
            if level > 0:
                self.down.append(Downsample(now))
                skips.append(now)
            for _ in range(self.blocks):
                self.down.append(stage(now, self.channels * multiplier, level in attended))
                now = self.channels * multiplier
                skips.append(now)
        self.middle = nn.ModuleList([stage(now, now, True), stage(now, now, False)])
        for level, multiplier in reversed(list(enumerate(self.multipliers))):
            for _ in range(self.blocks + 1):
                self.up.append(stage(now + skips.pop(), self.channels * multiplier, level in attended))
                now = self.channels * multiplier
            if level > 0:
                self.up.append(Upsample(now))

    @property
    def multiple(self) -> int:
        """What the sides of images are padded to a multiple of."""
        return self.patch * 2 ** (len(self.multipliers) - 1)

    def forward(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        conditioning = conditioning or Conditioning()
        embedding = self._embed(noise_level, conditioning)
        height, width = x.shape[-2:]
        skips = self._down(x, embedding, conditioning)
        h = skips[-1]
        for part in self.middle:
            h = part(h, embedding, conditioning)
        for part in self.up:
            is_stage = isinstance(part, Stage)
            h = part(torch.cat([h, skips.pop()], dim=1), embedding, conditioning) if is_stage else part(h)
        return F.pixel_shuffle(self.last(F.silu(self.norm(h))), self.patch)[..., :height, :width]

    def activations(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> list[Tensor]:
        """What the network makes of x on the way down and in the middle: (B, c, h, w) of every part, finest first."""
        conditioning = conditioning or Conditioning()
        embedding = self._embed(noise_level, conditioning)
        found = self._down(x, embedding, conditioning)
        for part in self.middle:
            found.append(part(found[-1], embedding, conditioning))
        return found

    def _down(self, x: Tensor, embedding: Tensor, conditioning: Conditioning) -> list[Tensor]:
        x = concat_spatial(with_fourier_features(x, self.fourier), conditioning.spatial, self.spatial_channels)
        x = padded(x, self.multiple)
        found = [self.first(F.pixel_unshuffle(x, self.patch))]
        for part in self.down:
            found.append(part(found[-1], embedding, conditioning) if isinstance(part, Stage) else part(found[-1]))
        return found

    def _embed(self, noise_level: Tensor, conditioning: Conditioning) -> Tensor:
        if conditioning.tokens is not None and not self.token_dim:
            raise UserError("this UNet has no cross-attention: it takes vector and spatial conditioning, not tokens")
        parts = (self.embed_vector, conditioning.vector), (self.embed_scalars, conditioning.scalars)
        return F.silu(added(self.embed_time(noise_level), *parts))


def with_fourier_features(x: Tensor, exponents: Sequence[int]) -> Tensor:
    """x (B, C, H, W), sin(2^n pi x) and cos(2^n pi x) for every exponent: (B, C (1 + 2 exponents), H, W)."""
    if not exponents:
        return x
    angles = [2**n * math.pi * x for n in exponents]
    return torch.cat([x, *(turn(angle) for angle in angles for turn in (torch.sin, torch.cos))], dim=1)


def attended_levels(image_size: tuple[int, int], levels: int, resolutions: tuple[int, ...]) -> set[int]:
    """For each resolution the finest level whose shorter side is at most that, if there is one."""
    sides = [-(-min(image_size) // 2**level) for level in range(levels)]
    fitting = ([level for level, side in enumerate(sides) if side <= resolution] for resolution in resolutions)
    return {found[0] for found in fitting if found}
