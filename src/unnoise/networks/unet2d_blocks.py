"""The blocks of `networks.unet2d`; modules have the names that diffusers gives its own, so weights fit as they are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.networks.batch_part import Dropout
from unnoise.networks.dot_product import dot_product_attention
from unnoise.networks.layers import zeroed

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "mish": nn.Mish,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
}


class Design(NamedTuple):
    """What all blocks of one network have in common.

    embedding: width of the time embedding; scale_shift: whether the time scales and shifts the normalised features
    (Dhariwal & Nichol 2021, section 3) or is added before the norm (Ho et al. 2020); head_dim: channels of an attention
    head, heads: their number; without either, one head of all channels; scale: what every residual sum is divided by.
    """

    embedding: int
    groups: int
    eps: float
    activation: str
    dropout: float
    scale_shift: bool
    head_dim: int | None
    heads: int | None = None
    scale: float = 1.0


class Resnet(nn.Module):
    """(shortcut(x) + conv2(dropout(act(norm2(conv1(act(norm1(x))), time))))) / scale.

    resample: 'up' repeats every pixel four times, 'down' averages squares of four, before conv1 and in the shortcut.
    """

    def __init__(self, given: int, made: int, design: Design, resample: str = "") -> None:
        super().__init__()
        self.resample, self.scale_shift, self.scale = resample, design.scale_shift, design.scale
        self.norm1 = nn.GroupNorm(design.groups, given, design.eps)
        self.conv1 = nn.Conv2d(given, made, 3, padding=1)
        self.time_emb_proj = nn.Linear(design.embedding, 2 * made if design.scale_shift else made)
        self.norm2 = nn.GroupNorm(design.groups, made, design.eps)
        self.dropout = Dropout(design.dropout)
        self.conv2 = zeroed(nn.Conv2d(made, made, 3, padding=1))
        self.conv_shortcut = nn.Identity() if given == made else nn.Conv2d(given, made, 1)
        self.act = ACTIVATIONS[design.activation]()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(self._resampled(self.act(self.norm1(x))))
        time = self.time_emb_proj(self.act(embedding))[:, :, None, None]
        if self.scale_shift:
            scale, shift = time.chunk(2, dim=1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + time)
        h = self.conv2(self.dropout(self.act(h)))
        return (self.conv_shortcut(self._resampled(x)) + h) / self.scale

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return F.avg_pool2d(x, 2) if self.resample == "down" else x


class Attention(nn.Module):
    """(x + to_out(softmax(q k^T / sqrt(d)) v)) / scale over all positions of a feature map.

    groups: of the norm before it, or None for no norm.
    """

    def __init__(self, channels: int, design: Design, groups: int | None) -> None:
        super().__init__()
        head_dim = channels // design.heads if design.heads else design.head_dim or channels
        self.heads, self.scale = channels // head_dim, design.scale
        inner = self.heads * head_dim
        self.group_norm = nn.Identity() if groups is None else nn.GroupNorm(groups, channels, design.eps)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, inner) for _ in range(3))
        self.to_out = nn.ModuleList([zeroed(nn.Linear(inner, channels))])

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (
            project(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        h = self.to_out[0](dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return (x + h.transpose(1, 2).reshape(x.shape)) / self.scale


class Halved(nn.Module):
    """A 3x3 convolution of stride 2; with padding 0 the input is padded with zeros at the right and below alone."""

    def __init__(self, channels: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.conv(x if self.padding else F.pad(x, (0, 1, 0, 1)))


class Doubled(nn.Module):
    """Every pixel four times, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Residual blocks of one resolution, each followed by attention where the level has it."""

    def __init__(self, resnets: list[Resnet], attentions: list[Attention]) -> None:
        super().__init__()
        self.resnets, self.attentions = nn.ModuleList(resnets), nn.ModuleList(attentions)

    def apply_block(self, index: int, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.resnets[index](x, embedding)
        return self.attentions[index](x) if len(self.attentions) else x


class Down(Level):
    """A level on the way down: (features, all that the way up will need)."""

    def __init__(self, resnets: list[Resnet], attentions: list[Attention], then: nn.Module | None) -> None:
        super().__init__(resnets, attentions)
        self.downsamplers = nn.ModuleList([] if then is None else [then])

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        kept = []
        for index in range(len(self.resnets)):
            x = self.apply_block(index, x, embedding)
            kept.append(x)
        for downsampler in self.downsamplers:
            x = downsampler(x, embedding)
            kept.append(x)
        return x, kept


class Up(Level):
    """A level on the way up: every block also takes what the way down kept last."""

    def __init__(self, resnets: list[Resnet], attentions: list[Attention], then: nn.Module | None) -> None:
        super().__init__(resnets, attentions)
        self.upsamplers = nn.ModuleList([] if then is None else [then])

    def forward(self, x: Tensor, kept: list[Tensor], embedding: Tensor) -> Tensor:
        for index in range(len(self.resnets)):
            x = self.apply_block(index, torch.cat([x, kept.pop()], dim=1), embedding)
        for upsampler in self.upsamplers:
            x = upsampler(x, embedding)
        return x


class Middle(nn.Module):
    """Residual block, attention where there is one, residual block, at the lowest resolution."""

    def __init__(self, channels: int, design: Design, attention: bool, groups: int | None) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(channels, channels, design) for _ in range(2))
        self.attentions = nn.ModuleList([Attention(channels, design, groups)] if attention else [])

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.resnets[0](x, embedding)
        for attention in self.attentions:
            x = attention(x)
        return self.resnets[1](x, embedding)
