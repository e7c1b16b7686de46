"""The U-Net of denoising-diffusion-pytorch: linear attention at every level, RMS norms, no group norms.

It shares no block with the other U-Nets, so it is a network of its own; its modules have the names of the library's, so
weights fit as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.dot_product import dot_product_attention
from unnoise.networks.embedding import ScalarEmbedding, added
from unnoise.networks.layers import concat_spatial, padded
from unnoise.networks.unet2d import Positional
from unnoise.registry import Count, Fraction, Positive, Sizes


class LinearAttentionUNet(nn.Module):
    """(x (B, in_channels, H, W), noise_level (B,), conditioning) -> (B, out_channels, H, W).

    The noise level t of 0 to 1000 becomes the library's timestep t num_train_timesteps / 1000 - 1. Sizes that the
    levels do not divide are padded and cropped inside.

    Args:
        in_channels: of x.
        out_channels: of the answer.
        dim: width of the time's features, and of a level of multiplier 1.
        first_dim: channels before the first level; `dim` where it is 0.
        multipliers: one level each, of dim * multiplier channels, half the resolution of the one before.
        full_attention: for each level, whether its attention is softmax(q k^T) v and not linear; the last level's
            alone where nothing is given.
        heads: of the attention, for all levels or for each.
        head_dim: channels of a head, for all levels or for each.
        memory: learned keys and values that every attention has beside those of the image.
        dropout: in the first half of every residual block.
        num_train_timesteps: of the schedule.
        vector_dim: width of conditioning.vector, which joins the time.
        spatial_channels: of conditioning.spatial.
        token_dim: must be 0.
        scalars: how many numbers conditioning.scalars has.

    Raises:
        UserError: for lists that are not as long as `multipliers`, and for token_dim.

    Reference:
        Shen et al. 2021, "Efficient Attention: Attention with Linear Complexities"; Zhang & Sennrich 2019 (RMSNorm).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dim: Positive = 64,
        first_dim: Count = 0,
        multipliers: Sizes = (1, 2, 4),
        full_attention: tuple[bool, ...] = (),
        heads: Sizes = (4,),
        head_dim: Sizes = (32,),
        memory: Count = 4,
        dropout: Fraction = 0.0,
        num_train_timesteps: Positive = 1000,
        vector_dim: int = 0,
        spatial_channels: int = 0,
        token_dim: int = 0,
        scalars: int = 0,
    ) -> None:
        super().__init__()
        if token_dim:
            raise UserError(
                "network 'linear-attention-unet' has no cross-attention; a text needs network 'unet' or 'dit'"
            )
        self.in_channels, self.out_channels, self.dim, self.first_dim = in_channels, out_channels, dim, first_dim
        self.multipliers, self.full_attention = tuple(multipliers), tuple(full_attention)
        self.heads, self.head_dim, self.memory, self.dropout = tuple(heads), tuple(head_dim), memory, dropout
        self.num_train_timesteps = num_train_timesteps
        self.vector_dim, self.spatial_channels, self.token_dim = vector_dim, spatial_channels, token_dim
        self.scalars = scalars
        self._build()

    def _build(self) -> None:
        widths = [self.first_dim or self.dim, *(self.dim * multiplier for multiplier in self.multipliers)]
        attentions, levels = self._attentions(), [*pairwise(widths)]
        self.init_conv = nn.Conv2d(self.in_channels + self.spatial_channels, widths[0], 7, padding=3)
        self.time_mlp = nn.Sequential(
            Positional(self.dim, 1.0, flip=False),
            nn.Linear(self.dim, 4 * self.dim),
            nn.GELU(),
            nn.Linear(4 * self.dim, 4 * self.dim),
        )
        self.embed_vector = nn.Linear(self.vector_dim, 4 * self.dim) if self.vector_dim else None
        self.embed_scalars = ScalarEmbedding(self.scalars, 4 * self.dim) if self.scalars else None
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for index, ((given, made), attention) in enumerate(zip(levels, attentions, strict=True)):
            then = _same(given, made) if index == len(levels) - 1 else _halved(given, made)
            blocks = (self._block(given, given), self._block(given, given))
            self.downs.append(nn.ModuleList([*blocks, self._attention(given, *attention), then]))
        self.mid_block1, self.mid_block2 = (self._block(widths[-1], widths[-1]) for _ in range(2))
        self.mid_attn = self._attention(widths[-1], True, *attentions[-1][1:])
        for index, ((given, made), attention) in reversed([*enumerate(zip(levels, attentions, strict=True))]):
            then = _same(made, given) if index == 0 else _doubled(made, given)
            blocks = (self._block(made + given, made), self._block(made + given, made))
            self.ups.append(nn.ModuleList([*blocks, self._attention(made, *attention), then]))
        self.final_res_block = self._block(2 * widths[0], widths[0])
        self.final_conv = nn.Conv2d(widths[0], self.out_channels, 1)

    @property
    def multiple(self) -> int:
        """What the sides of images are padded to a multiple of."""
        return 2 ** (len(self.multipliers) - 1)

    def _attentions(self) -> list[tuple[bool, int, int]]:
        """For each level: whether its attention is full, its heads, their channels."""
        count = len(self.multipliers)
        full = self.full_attention or (*[False] * (count - 1), True)
        heads, head_dim = (values * count if len(values) == 1 else values for values in (self.heads, self.head_dim))
        for name, values in (("full_attention", full), ("heads", heads), ("head_dim", head_dim)):
            if len(values) != count:
                raise UserError(
                    f"network 'linear-attention-unet' has {count} levels; {name} lists {len(values)} of them"
                )
        return [*zip(full, heads, head_dim, strict=True)]

    def _block(self, given: int, made: int) -> ResnetBlock:
        return ResnetBlock(given, made, 4 * self.dim, self.dropout)

    def _attention(self, channels: int, full: bool, heads: int, head_dim: int) -> nn.Module:
        return (Attention if full else LinearAttention)(channels, heads, head_dim, self.memory)

    def forward(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        conditioning = conditioning or Conditioning()
        time = self._embed(noise_level, conditioning)
        height, width = x.shape[-2:]
        x = concat_spatial(x, conditioning.spatial, self.spatial_channels)
        first = h = self.init_conv(padded(x, self.multiple))
        kept = []
        for block_1, block_2, attention, then in _parts(self.downs):
            kept.append(block_1(h, time))
            kept.append(attention(block_2(kept[-1], time)))
            h = then(kept[-1])
        h = self.mid_block2(self.mid_attn(self.mid_block1(h, time)), time)
        for block_1, block_2, attention, then in _parts(self.ups):
            h = block_1(torch.cat([h, kept.pop()], dim=1), time)
            h = block_2(torch.cat([h, kept.pop()], dim=1), time)
            h = then(attention(h))
        h = self.final_res_block(torch.cat([h, first], dim=1), time)
        return self.final_conv(h)[..., :height, :width]

    def _embed(self, noise_level: Tensor, conditioning: Conditioning) -> Tensor:
        embedding = self.time_mlp(noise_level.float() * self.num_train_timesteps / 1000 - 1)
        parts = (self.embed_vector, conditioning.vector), (self.embed_scalars, conditioning.scalars)
        return added(embedding, *parts)


class RMSNorm(nn.Module):
    """g x / sqrt(mean x^2 over the channels), at every position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * (self.g * x.shape[1] ** 0.5)


class Half(nn.Module):
    """dropout(SiLU(RMSNorm(conv(x)) (1 + scale) + shift)): half of a residual block."""

    def __init__(self, given: int, made: int, dropout: float) -> None:
        super().__init__()
        self.proj, self.norm = nn.Conv2d(given, made, 3, padding=1), RMSNorm(made)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, modulation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        h = self.norm(self.proj(x))
        if modulation is not None:
            scale, shift = modulation
            h = torch.addcmul(shift, h, 1 + scale)
        return self.dropout(F.silu(h))


class ResnetBlock(nn.Module):
    """Two halves, of which the time scales and shifts the first, beside a skip connection."""

    def __init__(self, given: int, made: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * made))
        self.block1, self.block2 = Half(given, made, dropout), Half(made, made, 0.0)
        self.res_conv = nn.Identity() if given == made else nn.Conv2d(given, made, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.mlp(embedding)[:, :, None, None].chunk(2, dim=1)
        return self.block2(self.block1(x, (scale, shift))) + self.res_conv(x)


class Attention(nn.Module):
    """x + out(softmax(q k^T / sqrt(d)) v), keys and values those of the image and `memory` learned ones."""

    def __init__(self, channels: int, heads: int, head_dim: int, memory: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_dim
        self.norm = RMSNorm(channels)
        self.mem_kv = nn.Parameter(torch.randn(2, heads, memory, head_dim))
        self.to_qkv = nn.Conv2d(channels, 3 * inner, 1, bias=False)
        self.to_out = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.transpose(2, 3) for part in _heads(self.to_qkv(self.norm(x)), self.heads))
        more_k, more_v = (part.expand(x.shape[0], -1, -1, -1) for part in self.mem_kv)
        h = dot_product_attention(q, torch.cat([more_k, k], dim=2), torch.cat([more_v, v], dim=2))
        return x + self.to_out(h.transpose(2, 3).reshape(x.shape[0], -1, *x.shape[2:]))


class LinearAttention(nn.Module):
    """x + norm(out((softmax(k) v^T) softmax(q) / sqrt(d))): k is normalised over positions, q over the channels of a
    head, so that the cost grows with the number of positions and not with its square (Shen et al. 2021)."""

    def __init__(self, channels: int, heads: int, head_dim: int, memory: int) -> None:
        super().__init__()
        self.heads, self.head_dim, inner = heads, head_dim, heads * head_dim
        self.norm = RMSNorm(channels)
        self.mem_kv = nn.Parameter(torch.randn(2, heads, head_dim, memory))
        self.to_qkv = nn.Conv2d(channels, 3 * inner, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(inner, channels, 1), RMSNorm(channels))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = _heads(self.to_qkv(self.norm(x)), self.heads)
        more_k, more_v = (part.expand(x.shape[0], -1, -1, -1) for part in self.mem_kv)
        k, v = torch.cat([more_k, k], dim=3).softmax(dim=3), torch.cat([more_v, v], dim=3)
        q = q.softmax(dim=2) * self.head_dim**-0.5
        h = (v @ k.transpose(2, 3)) @ q
        return x + self.to_out(h.reshape(x.shape[0], -1, *x.shape[2:]))


def _parts(levels: nn.ModuleList) -> Iterator[list[nn.Module]]:
    """Of each level: two residual blocks, the attention, and what leads to the next level."""
    for level in levels:
        assert isinstance(level, nn.ModuleList)
        yield [*level]


def _heads(qkv: Tensor, heads: int) -> tuple[Tensor, ...]:
    """(B, 3 heads d, H, W) -> q, k and v (B, heads, d, H W)."""
    return tuple(part.flatten(2).unflatten(1, (heads, -1)) for part in qkv.chunk(3, dim=1))


def _same(given: int, made: int) -> nn.Module:
    return nn.Conv2d(given, made, 3, padding=1)


def _halved(given: int, made: int) -> nn.Module:
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * given, made, 1))


def _doubled(given: int, made: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest"), nn.Conv2d(given, made, 3, padding=1))
