"""The U-Net of DDPM and its successors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.networks.conditioning import Conditioning
from unnoise.networks.embedding import TIME_FEATURES
from unnoise.networks.layers import (
    TIME_INJECTIONS,
    Downsample,
    ResidualBlock,
    SelfAttention,
    Upsample,
    group_norm,
    zeroed,
)
from unnoise.registry import lookup


class Stage(nn.Module):
    """A residual block, and attention where the level has it."""

    def __init__(self, block: ResidualBlock, attention: SelfAttention | None) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.block(x, embedding)
        return x if self.attention is None else self.attention(x)


class UNet(nn.Module):
    """(x (B, in_channels, H, W), noise_level (B,), conditioning) -> (B, out_channels, H, W) (Ho et al. 2020).

    multipliers: one level each, of channels * multiplier channels, half the resolution of the one before; blocks:
    residual blocks per level on the way down, one more on the way up. attention: resolutions; each picks the finest
    level whose shorter side is at most that. time_features: 'sinusoidal' or 'fourier'; time_injection: 'add' or
    'adagn'. Sizes that the levels do not divide are padded and cropped inside; any H and W may be given.
    vector_dim: the width of conditioning.vector; spatial_channels: the channels of conditioning.spatial.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: tuple[int, int],
        *,
        channels: int = 64,
        multipliers: tuple[int, ...] = (1, 2, 2),
        blocks: int = 2,
        attention: tuple[int, ...] = (16,),
        heads: int = 1,
        dropout: float = 0.0,
        time_features: str = "sinusoidal",
        time_injection: str = "add",
        vector_dim: int = 0,
        spatial_channels: int = 0,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.image_size = in_channels, out_channels, image_size
        self.channels, self.multipliers, self.blocks, self.attention = channels, multipliers, blocks, attention
        self.heads, self.dropout = heads, dropout
        self.time_features, self.time_injection = time_features, time_injection
        self.vector_dim, self.spatial_channels = vector_dim, spatial_channels
        lookup(TIME_INJECTIONS, time_injection, "time_injection")

        width = 4 * channels
        self.embed_time = nn.Sequential(
            lookup(TIME_FEATURES, time_features, "time_features")(channels),
            nn.Linear(channels, width),
            nn.SiLU(),
            nn.Linear(width, width),
        )
        self.embed_vector = nn.Linear(vector_dim, width) if vector_dim else None
        self.first = nn.Conv2d(in_channels + spatial_channels, channels, 3, padding=1)
        self._build_levels(width)
        self.norm = group_norm(channels * multipliers[0])
        self.last = zeroed(nn.Conv2d(channels * multipliers[0], out_channels, 3, padding=1))

    def _build_levels(self, width: int) -> None:
        attended = attended_levels(self.image_size, len(self.multipliers), self.attention)

        def stage(given: int, made: int, attend: bool) -> Stage:
            block = ResidualBlock(given, made, width, self.time_injection, self.dropout)
            return Stage(block, SelfAttention(made, self.heads) if attend else None)

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

    def forward(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        conditioning = conditioning or Conditioning()
        embedding = self._embed(noise_level, conditioning)
        if conditioning.spatial is not None:
            x = torch.cat([x, conditioning.spatial], dim=1)
        height, width = x.shape[-2:]
        h = self.first(_padded(x, 2 ** (len(self.multipliers) - 1)))
        skips = [h]
        for part in self.down:
            h = part(h, embedding) if isinstance(part, Stage) else part(h)
            skips.append(h)
        for part in self.middle:
            h = part(h, embedding)
        for part in self.up:
            h = part(torch.cat([h, skips.pop()], dim=1), embedding) if isinstance(part, Stage) else part(h)
        return self.last(F.silu(self.norm(h)))[..., :height, :width]

    def _embed(self, noise_level: Tensor, conditioning: Conditioning) -> Tensor:
        if conditioning.tokens is not None:
            raise ValueError("this UNet has no cross-attention: it takes vector and spatial conditioning, not tokens")
        embedding = self.embed_time(noise_level)
        if self.embed_vector is not None and conditioning.vector is not None:
            embedding = embedding + self.embed_vector(conditioning.vector)
        return F.silu(embedding)


def attended_levels(image_size: tuple[int, int], levels: int, resolutions: tuple[int, ...]) -> set[int]:
    """For each resolution the finest level whose shorter side is at most that, if there is one."""
    sides = [-(-min(image_size) // 2**level) for level in range(levels)]
    fitting = ([level for level, side in enumerate(sides) if side <= resolution] for resolution in resolutions)
    return {found[0] for found in fitting if found}


def _padded(x: Tensor, multiple: int) -> Tensor:
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
