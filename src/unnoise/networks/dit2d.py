"""The Diffusion Transformer with the options and the names of diffusers' DiTTransformer2DModel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.networks.batch_part import Dropout
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.dit import Modulated
from unnoise.networks.dot_product import dot_product_attention
from unnoise.networks.embedding import ScalarEmbedding
from unnoise.networks.layers import padded, zeroed
from unnoise.networks.unet2d import Perceptron, Positional
from unnoise.registry import Bounds, Fraction, Positive

TIME_FEATURES = 256
GATED: dict[str, Callable[[Tensor], Tensor]] = {"geglu": F.gelu, "swiglu": F.silu}
"""Activations that half of the features gate the other half by."""
PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu-approximate": lambda x: F.gelu(x, approximate="tanh"),
    "geglu-approximate": lambda x: x * (1.702 * x).sigmoid(),
    "linear-silu": F.silu,
}
Activation = Literal["gelu", "gelu-approximate", "geglu", "geglu-approximate", "swiglu", "linear-silu"]
Epsilon = Annotated[float, Bounds(0.0, 1.0)]


class DiT2D(nn.Module):
    """(x (B, in_channels, H, W), noise_level (B,), conditioning) -> (B, out_channels, H, W) (Peebles & Xie 2023).

    Unlike in `DiT` every block has a time embedding and a class embedding of its own: a vector of the conditioning
    (B, num_layers dim) holds what is added in each block, one after the other; dim is num_attention_heads
    attention_head_dim. The last layer has the first block's. The noise level t of 0 to 1000 becomes the timestep
    t num_train_timesteps / 1000 - 1. Sizes that the patches do not divide are padded and cropped inside. scalars: how
    many numbers conditioning.scalars has, which all blocks are told alike.

    Raises:
        UserError: for a dim that 4 does not divide, and for another width of the vector.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: tuple[int, int],
        *,
        num_attention_heads: Positive = 4,
        attention_head_dim: Positive = 48,
        num_layers: Positive = 6,
        dropout: Fraction = 0.0,
        attention_bias: bool = True,
        patch_size: Positive = 2,
        activation_fn: Activation = "gelu-approximate",
        norm_elementwise_affine: bool = False,
        norm_eps: Epsilon = 1e-5,
        num_train_timesteps: Positive = 1000,
        vector_dim: int = 0,
        spatial_channels: int = 0,
        token_dim: int = 0,
        scalars: int = 0,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.image_size = in_channels, out_channels, image_size
        self.num_attention_heads, self.attention_head_dim = num_attention_heads, attention_head_dim
        self.num_layers, self.dropout, self.attention_bias = num_layers, dropout, attention_bias
        self.patch_size, self.activation_fn = patch_size, activation_fn
        self.norm_elementwise_affine, self.norm_eps = norm_elementwise_affine, norm_eps
        self.num_train_timesteps = num_train_timesteps
        self.vector_dim, self.spatial_channels, self.token_dim = vector_dim, spatial_channels, token_dim
        self.scalars = scalars
        self.dim = num_attention_heads * attention_head_dim
        self._check()
        self.pos_embed = nn.ModuleDict({"proj": nn.Conv2d(in_channels, self.dim, patch_size, stride=patch_size)})
        self.embed_scalars = ScalarEmbedding(scalars, self.dim) if scalars else None
        self.transformer_blocks = nn.ModuleList(Block(self) for _ in range(num_layers))
        self.norm_out = Modulated(self.dim)
        self.proj_out_1 = zeroed(nn.Linear(self.dim, 2 * self.dim))
        self.proj_out_2 = zeroed(nn.Linear(self.dim, patch_size**2 * out_channels))

    def _check(self) -> None:
        if self.token_dim or self.spatial_channels:
            raise UserError("network 'dit2d' takes classes and vectors alone; a text or a map needs network 'dit'")
        if self.dim % 4:
            raise UserError(f"num_attention_heads attention_head_dim must be a multiple of 4; got {self.dim}")
        if self.vector_dim not in (0, self.num_layers * self.dim):
            raise UserError(
                f"network 'dit2d' takes a vector of {self.dim} numbers for each of its {self.num_layers} blocks: "
                f"--set model.conditioner.dim={self.num_layers * self.dim}; got {self.vector_dim}"
            )

    @property
    def multiple(self) -> int:
        """What the sides of images are padded to a multiple of."""
        return self.patch_size

    def forward(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        timestep = noise_level.float() * self.num_train_timesteps / 1000 - 1
        told = self._told(conditioning or Conditioning())
        height, width = x.shape[-2:]
        h = self.pos_embed["proj"](padded(x, self.multiple))
        rows, columns = h.shape[-2:]
        sequence = h.flatten(2).transpose(1, 2) + self._positions(rows, columns, h.device).to(h.dtype)
        embeddings = [block.norm1.emb(timestep, one) for block, one in zip(self._blocks(), told, strict=True)]
        for block, embedding in zip(self._blocks(), embeddings, strict=True):
            sequence = block(sequence, embedding)
        shift, scale = self.proj_out_1(embeddings[0]).chunk(2, dim=1)
        made = self.proj_out_2(self.norm_out(sequence, shift, scale))
        return self._joined(made, rows, columns)[..., :height, :width]

    def _told(self, conditioning: Conditioning) -> list[Tensor | None]:
        """What is added to the embedding of the time in each block."""
        vector, scalars = conditioning.vector, conditioning.scalars
        told: list[Tensor | None] = [None] * self.num_layers
        if vector is not None:
            told = list(vector.chunk(self.num_layers, dim=1))
        if self.embed_scalars is None or scalars is None:
            return told
        further = self.embed_scalars(scalars)
        return [further if one is None else one + further for one in told]

    def _blocks(self) -> list[Block]:
        return [block for block in self.transformer_blocks if isinstance(block, Block)]

    def _positions(self, rows: int, columns: int, device: torch.device) -> Tensor:
        """Fixed sines of the column, then of the row, as in the image it was made for: (rows columns, dim)."""
        base, quarter = self.image_size[0] // self.patch_size, self.dim // 4
        waves = 10_000.0 ** -(torch.arange(quarter, dtype=torch.float64, device=device) / quarter)
        y, x = (torch.arange(count, dtype=torch.float64, device=device) * base / count for count in (rows, columns))
        y, x = (torch.cat([(at[:, None] * waves).sin(), (at[:, None] * waves).cos()], dim=1) for at in (y, x))
        grid = torch.cat([x[None].expand(rows, -1, -1), y[:, None].expand(-1, columns, -1)], dim=2)
        return grid.flatten(0, 1).float()

    def _joined(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """(B, rows columns, patch^2 C), channels last, as images."""
        made = patches.unflatten(2, (self.patch_size**2, self.out_channels)).permute(0, 3, 2, 1)
        return F.pixel_shuffle(made.flatten(1, 2).unflatten(2, (rows, columns)), self.patch_size)


class Block(nn.Module):
    """Attention between patches and a feed-forward layer, shifted, scaled and gated by the embedding (adaLN-Zero)."""

    def __init__(self, network: DiT2D) -> None:
        super().__init__()
        self.norm1 = AdaLayerNormZero(network.dim)
        self.attn1 = SelfAttention(network)
        self.norm3 = nn.LayerNorm(network.dim, network.norm_eps, network.norm_elementwise_affine)
        self.ff = FeedForward(network)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.norm1.linear(embedding)[:, None].chunk(6, dim=2)
        x = x + gate_1 * self.attn1(torch.addcmul(shift_1, self.norm1.norm(x), 1 + scale_1))
        return x + gate_2 * self.ff(torch.addcmul(shift_2, self.norm3(x), 1 + scale_2))


class AdaLayerNormZero(nn.Module):
    """A norm without weights, and what gives its shift, scale and gate."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.emb = TimeEmbedding(dim)
        self.linear = zeroed(nn.Linear(dim, 6 * dim))
        self.norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)


class TimeEmbedding(nn.Module):
    """SiLU of the timestep's embedding and what is told (B, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.time_proj = Positional(TIME_FEATURES, shift=1.0, flip=True)
        self.timestep_embedder = Perceptron(TIME_FEATURES, dim)

    def forward(self, timestep: Tensor, told: Tensor | None) -> Tensor:
        features = self.time_proj(timestep).to(self.timestep_embedder.linear_1.weight.dtype)
        embedding = self.timestep_embedder(features)
        return F.silu(embedding if told is None else embedding + told)


class SelfAttention(nn.Module):
    """Attention in several heads between the patches (B, L, dim)."""

    def __init__(self, network: DiT2D) -> None:
        super().__init__()
        dim, self.heads = network.dim, network.num_attention_heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim, bias=network.attention_bias) for _ in range(3))
        self.to_out = nn.Sequential(nn.Linear(dim, dim), Dropout(network.dropout))

    def forward(self, x: Tensor) -> Tensor:
        parts = (layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v))
        return self.to_out(dot_product_attention(*parts).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Linear, activation, linear, four times as wide inside."""

    def __init__(self, network: DiT2D) -> None:
        super().__init__()
        dim, inner = network.dim, 4 * network.dim
        first = nn.Linear(dim, inner * (2 if network.activation_fn in GATED else 1))
        self.activation_fn = network.activation_fn
        self.net = nn.ModuleList([nn.ModuleDict({"proj": first}), Dropout(network.dropout), nn.Linear(inner, dim)])

    def forward(self, x: Tensor) -> Tensor:
        projected, dropout, last = self.net[0]["proj"](x), self.net[1], self.net[2]  # type: ignore[index]
        if self.activation_fn in GATED:
            value, gate = projected.chunk(2, dim=-1)
            return last(dropout(value * GATED[self.activation_fn](gate)))
        return last(dropout(PLAIN[self.activation_fn](projected)))
