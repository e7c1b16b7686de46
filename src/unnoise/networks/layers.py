"""The parts of a U-Net: normalisation, residual block, attention, resampling."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.networks.batch_part import Dropout
from unnoise.networks.dot_product import dot_product_attention

Module = TypeVar("Module", bound=nn.Module)


def zeroed(module: Module) -> Module:
    """The module with all its parameters set to zero: a block that ends in it begins as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in as many groups as divide the channels, at most 32, of at least two channels each.

    A group of one channel would subtract whatever was added to that channel everywhere, such as the time.
    """
    groups = max(count for count in range(1, 33) if channels % count == 0 and (channels >= 2 * count or count == 1))
    return nn.GroupNorm(groups, channels)


class AddTime(nn.Module):
    """norm(h + W emb): plain addition (Ho et al. 2020)."""

    def __init__(self, embedding_dim: int, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.project = nn.Linear(embedding_dim, channels)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        return self.norm(h + self.project(embedding)[:, :, None, None])


class AdaptiveGroupNorm(nn.Module):
    """norm(h) (1 + scale) + shift, (scale, shift) = W emb (Dhariwal & Nichol 2021, section 3)."""

    def __init__(self, embedding_dim: int, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.project = nn.Linear(embedding_dim, 2 * channels)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.project(embedding)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(h), 1 + scale)


TIME_INJECTIONS: dict[str, type[nn.Module]] = {"add": AddTime, "adagn": AdaptiveGroupNorm}


class ResidualBlock(nn.Module):
    """norm, SiLU, 3x3 convolution; time; SiLU, dropout, zero-initialised 3x3 convolution; plus the input."""

    def __init__(
        self, in_channels: int, out_channels: int, embedding_dim: int, time_injection: str, dropout: float
    ) -> None:
        super().__init__()
        self.norm = group_norm(in_channels)
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = TIME_INJECTIONS[time_injection](embedding_dim, out_channels)
        self.dropout = Dropout(dropout)
        self.second = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.first(F.silu(self.norm(x)))
        h = F.silu(self.time(h, embedding))
        return self.skip(x) + self.second(self.dropout(h))


class SelfAttention(nn.Module):
    """Scaled dot-product attention between all positions, added to the input; the last layer begins at zero."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise UserError(f"{channels} channels cannot be shared by {heads} heads")
        self.heads = heads
        self.norm = group_norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        # Each head's features end up next to each other in memory, as the fused attention kernels want them.
        qkv = self.qkv(tokens).reshape(batch, height * width, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        h = dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, height * width, channels)
        return x + self.out(h).transpose(1, 2).reshape(x.shape)


class Downsample(nn.Module):
    """A 3x3 convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x)


class Upsample(nn.Module):
    """Each pixel four times, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def aligned(spatial: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) at another resolution (height, width): bicubic, without aliasing where it gets smaller."""
    if spatial.shape[-2:] == size:
        return spatial
    return F.interpolate(spatial, size, mode="bicubic", antialias=True, align_corners=False)


def concat_spatial(x: Tensor, spatial: Tensor | None, channels: int) -> Tensor:
    """The input x (B, C, H, W) with the spatial conditioning behind its channels: (B, C + channels, H, W).

    A missing conditioning is zeros. Raises UserError when it has another number of channels.
    """
    given = 0 if spatial is None else spatial.shape[1]
    if given not in (0, channels):
        raise UserError(f"spatial conditioning has {given} channels; this network was built for {channels}")
    if channels == 0:
        return x
    height, width = x.shape[-2:]
    below = x.new_zeros(x.shape[0], channels, height, width) if spatial is None else aligned(spatial, (height, width))
    return torch.cat([x, below.to(x.dtype)], dim=1)


def padded(x: Tensor, multiple: int) -> Tensor:
    """x (B, C, H, W) with its right and lower edge repeated until H and W are multiples of `multiple`."""
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x
