"""Attention between sequences: of image positions among themselves, to the tokens of a text, within a text."""

from __future__ import annotations

from torch import Tensor, nn

from unnoise.errors import UserError
from unnoise.networks.dot_product import dot_product_attention
from unnoise.networks.layers import group_norm, zeroed


class Attention(nn.Module):
    """softmax(q k^T / sqrt(d)) v per head, then a linear layer: x (B, N, dim) -> (B, N, dim) (Vaswani et al. 2017).

    Keys and values come from context (B, L, context_dim), or from x where context_dim is 0. mask (B, L): False at
    positions that nobody may look at; each row has a True. Raises UserError when the heads do not divide dim.
    """

    def __init__(self, dim: int, heads: int, context_dim: int = 0) -> None:
        super().__init__()
        if dim % heads:
            raise UserError(f"{dim} channels cannot be shared by {heads} heads")
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(context_dim or dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        key, value = self.key_value(x if context is None else context).chunk(2, dim=-1)
        q, k, v = (self._split(part) for part in (self.query(x), key, value))
        h = dot_product_attention(q, k, v, None if mask is None else mask[:, None, None])
        return self.out(h.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, heads, N, dim / heads)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class CrossAttention(nn.Module):
    """Every position of a feature map attends to the tokens of its row; added to the map, and zero in the beginning.

    x (B, channels, H, W), tokens (B, L, token_dim), mask (B, L) -> (B, channels, H, W) (Rombach et al. 2022, 3.3).
    """

    def __init__(self, channels: int, heads: int, token_dim: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.attention = Attention(channels, heads, token_dim)
        zeroed(self.attention.out)

    def forward(self, x: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        positions = self.norm(x).flatten(2).transpose(1, 2)
        return x + self.attention(positions, tokens, mask).transpose(1, 2).reshape(x.shape)


class FeedForward(nn.Sequential):
    """Linear, GELU, Linear: (*, dim) -> (*, dim), `ratio` times as wide inside."""

    def __init__(self, dim: int, ratio: float = 4.0) -> None:
        inner = round(ratio * dim)
        super().__init__(nn.Linear(dim, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, dim))


class Transformer(nn.Module):
    """`depth` blocks of attention and feed-forward with the norm first, and a last norm: (B, L, dim) -> (B, L, dim)."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.ModuleList(Attention(dim, heads) for _ in range(depth))
        self.feed_forward = nn.ModuleList(FeedForward(dim) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2 * depth + 1))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        norms = iter(self.norms)
        for attention, feed_forward in zip(self.attention, self.feed_forward, strict=True):
            x = x + attention(next(norms)(x), mask=mask)
            x = x + feed_forward(next(norms)(x))
        return next(norms)(x)
