"""The Diffusion Transformer."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.networks.attention import Attention, FeedForward
from unnoise.networks.batch_part import Dropout
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.embedding import ScalarEmbedding, added, circle, frequencies, time_embedding
from unnoise.networks.layers import concat_spatial, padded, zeroed
from unnoise.registry import Bounds, Count, Fraction, Positive

TIME_DIM = 256
"""Width of the noise level's features."""


class Modulated(nn.Module):
    """adaLN: norm(x) (1 + scale) + shift with x (B, N, dim), scale and shift (B, dim); the norm has no weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)

    def forward(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return torch.addcmul(shift[:, None], self.norm(x), 1 + scale[:, None])


class Block(nn.Module):
    """Attention between patches, to the tokens where there are any, and a feed-forward layer, each added to its input.

    The embedding gives shift, scale and gate of attention and feed-forward; gates and the way back from the tokens
    begin at zero, so that the block begins as the identity (adaLN-Zero, Peebles & Xie 2023, section 3.2).
    """

    def __init__(self, dim: int, heads: int, ratio: float, token_dim: int, dropout: float) -> None:
        super().__init__()
        self.modulation = zeroed(nn.Linear(dim, 6 * dim))
        self.first, self.second = Modulated(dim), Modulated(dim)
        self.attention = Attention(dim, heads)
        self.cross = Attention(dim, heads, token_dim) if token_dim else None
        self.feed_forward = FeedForward(dim, ratio)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, embedding: Tensor, told: Conditioning) -> Tensor:
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.modulation(embedding).chunk(6, dim=1)
        x = torch.addcmul(x, gate_1[:, None], self.dropout(self.attention(self.first(x, shift_1, scale_1))))
        if self.cross is not None and told.tokens is not None:
            x = x + self.cross(x, told.tokens, told.token_mask)
        return torch.addcmul(x, gate_2[:, None], self.dropout(self.feed_forward(self.second(x, shift_2, scale_2))))


class DiT(nn.Module):
    """(x (B, in_channels, H, W), noise_level (B,), conditioning) -> (B, out_channels, H, W) (Peebles & Xie 2023).

    patch: a position of the sequence is a square of patch x patch pixels; sizes that it does not divide are padded and
    cropped inside, and any H and W may be given. dim: width; depth: blocks; ratio: of the feed-forward's width to dim.
    Positions are fixed two-dimensional sines. vector_dim, token_dim: the widths of conditioning.vector and tokens
    (cross-attention); spatial_channels: of conditioning.spatial, laid under the image; scalars: how many numbers
    conditioning.scalars has.
    Raises UserError when dim is no multiple of 4 or of heads, and for a patch below 1.
    """

    waves: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        patch: Positive = 2,
        dim: Positive = 192,
        depth: Count = 6,
        heads: Positive = 3,
        ratio: Annotated[float, Bounds(above=0)] = 4.0,
        dropout: Fraction = 0.0,
        time_features: str = "sinusoidal",
        level_span: float = 4.0,
        vector_dim: int = 0,
        spatial_channels: int = 0,
        token_dim: int = 0,
        scalars: int = 0,
    ) -> None:
        super().__init__()
        if patch < 1 or dim % 4:
            raise UserError(f"a DiT needs a patch of at least 1 and a dim that 4 divides; got {patch} and {dim}")
        self.in_channels, self.out_channels, self.patch, self.dim = in_channels, out_channels, patch, dim
        self.depth, self.heads, self.ratio, self.dropout = depth, heads, ratio, dropout
        self.time_features = time_features
        self.level_span = level_span
        self.vector_dim, self.spatial_channels, self.token_dim = vector_dim, spatial_channels, token_dim
        self.scalars = scalars

        self.embed_time = nn.Sequential(
            time_embedding(time_features, TIME_DIM, level_span),
            nn.Linear(TIME_DIM, dim),
            nn.SiLU(),
            nn.Linear(dim, dim),
        )
        self.register_buffer("waves", frequencies(dim // 2), persistent=False)
        self.embed_vector = nn.Linear(vector_dim, dim) if vector_dim else None
        self.embed_scalars = ScalarEmbedding(scalars, dim) if scalars else None
        self.first = nn.Conv2d(in_channels + spatial_channels, dim, patch, stride=patch)
        self.blocks = nn.ModuleList(Block(dim, heads, ratio, token_dim, dropout) for _ in range(depth))
        self.norm = Modulated(dim)
        self.modulation = nn.Linear(dim, 2 * dim)
        self.last = nn.Linear(dim, out_channels * patch**2)
        self._begin()

    @property
    def multiple(self) -> int:
        """What the sides of images are padded to a multiple of."""
        return self.patch

    def _begin(self) -> None:
        """Xavier's weights and no biases in linear layers, zeros where a branch must begin as nothing."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        told = [] if self.embed_scalars is None else [self.embed_scalars.last]
        ends = [self.modulation, self.last, *told, *(block.modulation for block in self._blocks())]
        crosses = [block.cross.out for block in self._blocks() if block.cross is not None]
        for module in (*ends, *crosses):
            zeroed(module)

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def forward(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        told = conditioning or Conditioning()
        height, width = x.shape[-2:]
        h, embedding = self._begun(x, noise_level, told)
        rows, columns = h.shape[-2:]
        sequence = self._sequence(h)
        for block in self._blocks():
            sequence = block(sequence, embedding, told)
        shift, scale = self.modulation(embedding).chunk(2, dim=1)
        patches = self.last(self.norm(sequence, shift, scale)).transpose(1, 2).unflatten(2, (rows, columns))
        return F.pixel_shuffle(patches, self.patch)[..., :height, :width]

    def activations(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> list[Tensor]:
        """What every second block makes of x: (B, dim, h, w) each."""
        told = conditioning or Conditioning()
        h, embedding = self._begun(x, noise_level, told)
        sequence, found = self._sequence(h), [h]
        for number, block in enumerate(self._blocks()):
            sequence = block(sequence, embedding, told)
            if number % 2:
                found.append(sequence.transpose(1, 2).unflatten(2, h.shape[-2:]))
        return found

    def _begun(self, x: Tensor, noise_level: Tensor, told: Conditioning) -> tuple[Tensor, Tensor]:
        """The patches (B, dim, rows, columns) and the embedding (B, dim)."""
        if told.tokens is not None and not self.token_dim:
            raise UserError("this DiT has no cross-attention: it takes vector and spatial conditioning, not tokens")
        h = self.first(padded(concat_spatial(x, told.spatial, self.spatial_channels), self.multiple))
        return h, self._embed(noise_level, told)

    def _sequence(self, h: Tensor) -> Tensor:
        rows, columns = h.shape[-2:]
        return h.flatten(2).transpose(1, 2) + positions(rows, columns, self.waves)

    def _embed(self, noise_level: Tensor, told: Conditioning) -> Tensor:
        parts = (self.embed_vector, told.vector), (self.embed_scalars, told.scalars)
        return F.silu(added(self.embed_time(noise_level), *parts))


def positions(rows: int, columns: int, waves: Tensor) -> Tensor:
    """Fixed sines at the frequencies `waves` (dim / 4,): of the row in the first half of the features, of the column
    in the second: (rows columns, dim)."""
    half = 2 * len(waves)
    y, x = (circle(torch.arange(count, device=waves.device)[:, None] * waves, half) for count in (rows, columns))
    grid = torch.cat([y[:, None].expand(-1, columns, -1), x[None].expand(rows, -1, -1)], dim=2)
    return grid.flatten(0, 1)
