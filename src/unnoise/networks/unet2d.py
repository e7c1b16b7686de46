"""The U-Net with the options and the names of diffusers' UNet2DModel, which `unnoise import` and `export` speak of."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.networks.conditioner import Conditioning
from unnoise.networks.embedding import ScalarEmbedding, added
from unnoise.networks.layers import concat_spatial, padded, zeroed
from unnoise.networks.unet2d_blocks import ACTIVATIONS, Attention, Design, Doubled, Down, Halved, Middle, Resnet, Up
from unnoise.registry import Bounds, Fraction, Positive, Sizes, lookup

PLAIN, ATTENDED, RESAMPLED = "plain", "attention", "resnet"
DOWN_BLOCKS = {"DownBlock2D": PLAIN, "AttnDownBlock2D": ATTENDED, "ResnetDownsampleBlock2D": RESAMPLED}
UP_BLOCKS = {"UpBlock2D": PLAIN, "AttnUpBlock2D": ATTENDED, "ResnetUpsampleBlock2D": RESAMPLED}
"""diffusers' name of a block -> residual blocks alone, with attention, or with residual blocks that resample."""

Epsilon = Annotated[float, Bounds(0.0, 1.0)]
Above = Annotated[float, Bounds(above=0.0)]


class UNet2D(nn.Module):
    """(x (B, in_channels, H, W), noise_level (B,), conditioning) -> (B, out_channels, H, W).

    The options have diffusers' names and meanings, except two that the U-Nets of Nichol & Dhariwal have and are this
    network with other names: attention_heads, a number of heads at every width instead of channels of a head, and
    time_features_dim, the width of the time's features where it is not the first level's. The noise level t of 0 to
    1000 becomes its timestep t num_train_timesteps / 1000 - 1. A vector of the conditioning (B, vector_dim) joins the
    time embedding as class_embed_type says: 'linear' through a layer of its own, 'identity' as it is, 'timestep' as one
    more time.
    Sizes that the levels do not divide are padded and cropped inside.

    Raises:
        UserError: for unknown blocks and activations, and for options that do not fit together.

    Reference:
        Ho et al. 2020, appendix B; Dhariwal & Nichol 2021, section 3; Song et al. 2021, appendix C.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        image_size: tuple[int, int],
        *,
        block_out_channels: Sizes = (64, 128, 128),
        down_block_types: tuple[str, ...] = ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types: tuple[str, ...] = ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        mid_block_type: Literal["UNetMidBlock2D", "none"] = "UNetMidBlock2D",
        layers_per_block: Positive = 2,
        attention_head_dim: Positive | None = None,
        attention_heads: Positive | None = None,
        add_attention: bool = True,
        norm_num_groups: Positive = 32,
        attn_norm_num_groups: Positive | None = None,
        norm_eps: Epsilon = 1e-5,
        act_fn: str = "silu",
        dropout: Fraction = 0.0,
        resnet_time_scale_shift: Literal["default", "scale_shift"] = "default",
        downsample_type: Literal["conv", "resnet"] = "conv",
        upsample_type: Literal["conv", "resnet"] = "conv",
        downsample_padding: Literal[0, 1] = 1,
        mid_block_scale_factor: Above = 1.0,
        center_input_sample: bool = False,
        time_embedding_type: Literal["positional", "fourier", "learned"] = "positional",
        time_embedding_dim: Positive | None = None,
        time_features_dim: Positive | None = None,
        freq_shift: float = 0.0,
        flip_sin_to_cos: bool = True,
        num_train_timesteps: Positive = 1000,
        class_embed_type: Literal["linear", "identity", "timestep"] = "linear",
        vector_dim: int = 0,
        spatial_channels: int = 0,
        token_dim: int = 0,
        scalars: int = 0,
    ) -> None:
        super().__init__()
        if token_dim:
            raise UserError("network 'unet2d' has no cross-attention; a text needs network 'unet' or 'dit'")
        self.in_channels, self.out_channels, self.image_size = in_channels, out_channels, image_size
        self.block_out_channels, self.layers_per_block = tuple(block_out_channels), layers_per_block
        self.down_block_types, self.up_block_types = tuple(down_block_types), tuple(up_block_types)
        self.mid_block_type, self.add_attention = mid_block_type, add_attention
        self.attention_head_dim, self.attention_heads = attention_head_dim, attention_heads
        self.time_features_dim = time_features_dim
        self.norm_num_groups, self.attn_norm_num_groups, self.norm_eps = norm_num_groups, attn_norm_num_groups, norm_eps
        self.act_fn, self.dropout, self.resnet_time_scale_shift = act_fn, dropout, resnet_time_scale_shift
        self.downsample_type, self.upsample_type = downsample_type, upsample_type
        self.downsample_padding, self.mid_block_scale_factor = downsample_padding, mid_block_scale_factor
        self.center_input_sample, self.time_embedding_type = center_input_sample, time_embedding_type
        self.time_embedding_dim, self.freq_shift, self.flip_sin_to_cos = time_embedding_dim, freq_shift, flip_sin_to_cos
        self.num_train_timesteps, self.class_embed_type = num_train_timesteps, class_embed_type
        self.vector_dim, self.spatial_channels, self.token_dim = vector_dim, spatial_channels, token_dim
        self.scalars = scalars
        self._check()
        self._build()

    @property
    def multiple(self) -> int:
        """What the sides of images are padded to a multiple of."""
        return 2 ** (len(self.block_out_channels) - 1)

    @property
    def width(self) -> int:
        """Of the time embedding."""
        return self.time_embedding_dim or 4 * self.block_out_channels[0]

    def _check(self) -> None:
        lookup(ACTIVATIONS, self.act_fn, "act_fn of network 'unet2d'")
        widths, kinds = self.block_out_channels, (*self.down_block_types, *self.up_block_types)
        if not len(self.down_block_types) == len(self.up_block_types) == len(widths):
            raise UserError(f"network 'unet2d' needs as many down and up blocks as widths; got {kinds} for {widths}")
        for kind in self.down_block_types:
            lookup(DOWN_BLOCKS, kind, "block of down_block_types")
        for kind in self.up_block_types:
            lookup(UP_BLOCKS, kind, "block of up_block_types")
        for what, groups in (("norm_num_groups", self.norm_num_groups), ("attn_norm_num_groups", self._middle_groups)):
            uneven = [width for width in widths if groups is not None and width % groups]
            if uneven:
                raise UserError(f"{what} = {groups} does not divide {uneven[0]} of block_out_channels {widths}")
        self._check_heads(self.attention_head_dim, self.attention_heads)
        needed = {"linear": None, "identity": self.width, "timestep": 1}[self.class_embed_type]
        if self.vector_dim and needed is not None and self.vector_dim != needed:
            raise UserError(
                f"class_embed_type {self.class_embed_type!r} takes vectors of {needed}, not {self.vector_dim}"
            )

    def _check_heads(self, dim: int | None, heads: int | None) -> None:
        attended = self.attended
        if dim is not None and heads is not None:
            raise UserError(f"give attention_head_dim or attention_heads, not both; got {dim} and {heads}")
        if dim is not None and any(width < dim for width in attended):
            raise UserError(f"attention_head_dim = {dim} is more than the {min(attended)} channels of an attention")
        uneven = [width for width in attended if heads is not None and width % heads]
        if uneven:
            raise UserError(f"attention_heads = {heads} does not divide the {uneven[0]} channels of an attention")

    @property
    def attended(self) -> list[int]:
        """The widths at which there is attention."""
        down = zip(self.down_block_types, self.block_out_channels, strict=True)
        up = zip(self.up_block_types, reversed(self.block_out_channels), strict=True)
        levels = [width for kind, width in (*down, *up) if {**DOWN_BLOCKS, **UP_BLOCKS}[kind] == ATTENDED]
        has_middle = self.mid_block_type != "none" and self.add_attention
        return [*levels, *([self.block_out_channels[-1]] if has_middle else [])]

    @property
    def _middle_groups(self) -> int | None:
        """Of the norm before the attention in the middle: without a number of its own, none where the time scales."""
        if self.attn_norm_num_groups is not None:
            return self.attn_norm_num_groups
        return self.norm_num_groups if self.resnet_time_scale_shift == "default" else None

    @property
    def _design(self) -> Design:
        return Design(
            embedding=self.width,
            groups=self.norm_num_groups,
            eps=self.norm_eps,
            activation=self.act_fn,
            dropout=self.dropout,
            scale_shift=self.resnet_time_scale_shift == "scale_shift",
            head_dim=self.attention_head_dim,
            heads=self.attention_heads,
        )

    def _build(self) -> None:
        widths = self.block_out_channels
        self.conv_in = nn.Conv2d(self.in_channels + self.spatial_channels, widths[0], 3, padding=1)
        self.time_proj, features = self._time_features(self.time_features_dim or widths[0])
        self.time_embedding = Perceptron(features, self.width)
        self.class_embedding = self._class_embedding(features)
        self.embed_scalars = ScalarEmbedding(self.scalars, self.width) if self.scalars else None
        self.down_blocks = nn.ModuleList(self._down(index) for index in range(len(widths)))
        middle = self._design._replace(scale=self.mid_block_scale_factor)
        has_middle = self.mid_block_type != "none"
        self.mid_block = Middle(widths[-1], middle, self.add_attention, self._middle_groups) if has_middle else None
        self.up_blocks = nn.ModuleList(self._up(index) for index in reversed(range(len(widths))))
        self.conv_norm_out = nn.GroupNorm(self.norm_num_groups, widths[0], self.norm_eps)
        self.conv_out = zeroed(nn.Conv2d(widths[0], self.out_channels, 3, padding=1))

    def _time_features(self, channels: int) -> tuple[nn.Module, int]:
        if self.time_embedding_type == "fourier":
            return LogFourier(channels), 2 * channels
        if self.time_embedding_type == "learned":
            return Learned(self.num_train_timesteps, channels), channels
        return Positional(channels, self.freq_shift, self.flip_sin_to_cos), channels

    def _class_embedding(self, features: int) -> nn.Module | None:
        if not self.vector_dim:
            return None
        if self.class_embed_type == "linear":
            return nn.Linear(self.vector_dim, self.width)
        return nn.Identity() if self.class_embed_type == "identity" else Perceptron(features, self.width)

    def _down(self, index: int) -> Down:
        widths, design, last = self.block_out_channels, self._design, index == len(self.block_out_channels) - 1
        kind, made = DOWN_BLOCKS[self.down_block_types[index]], widths[index]
        given = [widths[max(index - 1, 0)]] + [made] * (self.layers_per_block - 1)
        resnets = [Resnet(channels, made, design) for channels in given]
        by_resnet = kind == RESAMPLED or (kind == ATTENDED and self.downsample_type == "resnet")
        then = Resnet(made, made, design, "down") if by_resnet else Halved(made, self.downsample_padding)
        return Down(resnets, self._attentions(kind, made, len(resnets)), None if last else then)

    def _up(self, index: int) -> Up:
        widths, design = self.block_out_channels, self._design
        kind, made = UP_BLOCKS[self.up_block_types[len(widths) - 1 - index]], widths[index]
        below, count = widths[min(index + 1, len(widths) - 1)], self.layers_per_block + 1
        skips = [made] * (count - 1) + [widths[max(index - 1, 0)]]
        given = [below] + [made] * (count - 1)
        resnets = [Resnet(channels + skip, made, design) for channels, skip in zip(given, skips, strict=True)]
        by_resnet = kind == RESAMPLED or (kind == ATTENDED and self.upsample_type == "resnet")
        then = Resnet(made, made, design, "up") if by_resnet else Doubled(made)
        return Up(resnets, self._attentions(kind, made, count), None if index == 0 else then)

    def _attentions(self, kind: str, channels: int, count: int) -> list[Attention]:
        many = count if kind == ATTENDED else 0
        return [Attention(channels, self._design, self.norm_num_groups) for _ in range(many)]

    def forward(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        conditioning = conditioning or Conditioning()
        timestep = noise_level.float() * self.num_train_timesteps / 1000 - 1
        embedding = self._embed(timestep, conditioning)
        height, width = x.shape[-2:]
        x = concat_spatial(2 * x - 1 if self.center_input_sample else x, conditioning.spatial, self.spatial_channels)
        h = self.conv_in(padded(x, self.multiple))
        kept = [h]
        for down in self.down_blocks:
            h, more = down(h, embedding)
            kept += more
        h = h if self.mid_block is None else self.mid_block(h, embedding)
        for up in self.up_blocks:
            h = up(h, kept, embedding)
        h = self.conv_out(F.silu(self.conv_norm_out(h)))[..., :height, :width]
        return h / timestep[:, None, None, None] if self.time_embedding_type == "fourier" else h

    def _embed(self, timestep: Tensor, told: Conditioning) -> Tensor:
        embedding = added(self.time_embedding(self.time_proj(timestep)), (self.embed_scalars, told.scalars))
        vector = told.vector
        if self.class_embedding is None or vector is None:
            return embedding
        given = self.time_proj(vector[:, 0]) if self.class_embed_type == "timestep" else vector
        return embedding + self.class_embedding(given)


class Perceptron(nn.Module):
    """Linear, SiLU, Linear."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(given, made), nn.Linear(made, made)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))


class Positional(nn.Module):
    """sin and cos, or cos and sin where flipped, of t 10000^(-i / (dim / 2 - shift)), i < dim / 2: (B,) -> (B, dim)."""

    def __init__(self, dim: int, shift: float, flip: bool) -> None:
        super().__init__()
        self.dim, self.shift, self.flip = dim, shift, flip

    def forward(self, t: Tensor) -> Tensor:
        half = self.dim // 2
        exponents = -math.log(10_000) * torch.arange(half, dtype=torch.float32, device=t.device) / (half - self.shift)
        angles = t.float()[:, None] * exponents.exp()
        parts = [angles.cos(), angles.sin()] if self.flip else [angles.sin(), angles.cos()]
        return F.pad(torch.cat(parts, dim=1), (0, self.dim % 2))


class LogFourier(nn.Module):
    """(sin, cos)(2 pi w log t), w ~ N(0, 16^2) fixed and saved with the weights: (B,) -> (B, 2 count)."""

    weight: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.register_buffer("weight", 16 * torch.randn(count, generator=draws))

    def forward(self, t: Tensor) -> Tensor:
        angles = t.float().log()[:, None] * self.weight * 2 * math.pi
        return torch.cat([angles.sin(), angles.cos()], dim=1)


class Learned(nn.Embedding):
    """A learned row per timestep 0, 1, ..., count - 1; between them, their linear interpolation: (B,) -> (B, dim)."""

    def forward(self, input: Tensor) -> Tensor:
        t = input.clamp(0, self.num_embeddings - 1)
        left = t.floor().long()
        right = (left + 1).clamp(max=self.num_embeddings - 1)
        return torch.lerp(super().forward(left), super().forward(right), (t - left)[:, None].to(self.weight.dtype))
