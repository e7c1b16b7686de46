"""What improved- and guided-diffusion's UNetModel computes, written anew from the papers and from the names of its
weights: a function of a state dict, with no class of ours in it (Nichol & Dhariwal 2021; Dhariwal & Nichol 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Options:
    """The flags of the training scripts; attention: at which halvings; mult: channel_mult."""

    channels: int = 32
    mult: Sequence[float] = (1, 2)
    blocks: int = 1
    attention: Sequence[int] = (1,)
    num_heads: int = 2
    num_head_channels: int = -1
    scale_shift: bool = True
    updown: bool = False
    learn_sigma: bool = False
    classes: int = 0
    new_order: bool = False
    narrow_first: bool = True
    """Whether the first convolution has channels * mult[0] channels (guided), or channels (improved)."""


class Weights(dict[str, Tensor]):
    """A state dict that draws what it is asked for and has not yet."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.draws = torch.Generator().manual_seed(seed)

    def need(self, name: str, *shape: int) -> Tensor:
        if name not in self:
            fan = math.prod(shape[1:])
            value = torch.randn(shape, generator=self.draws)
            self[name] = value * fan**-0.5 if len(shape) > 1 else 0.2 * value + (name.endswith("weight") and 1.0)
        assert self[name].shape == shape
        return self[name]

    def linear(self, name: str, x: Tensor, out: int) -> Tensor:
        return F.linear(x, self.need(f"{name}.weight", out, x.shape[1]), self.need(f"{name}.bias", out))

    def conv(self, name: str, x: Tensor, out: int, side: int = 3, stride: int = 1) -> Tensor:
        weight = self.need(f"{name}.weight", out, x.shape[1], side, side)
        return F.conv2d(x, weight, self.need(f"{name}.bias", out), stride=stride, padding=side // 2)

    def norm(self, name: str, x: Tensor) -> Tensor:
        channels = x.shape[1]
        weight, bias = (self.need(f"{name}.{kind}", channels) for kind in ("weight", "bias"))
        grouped = x.reshape(len(x), 32, -1)
        mean, var = grouped.mean(2, keepdim=True), grouped.var(2, keepdim=True, unbiased=False)
        normed = ((grouped - mean) / (var + 1e-5).sqrt()).reshape(x.shape)
        return normed * weight[:, None, None] + bias[:, None, None]


def unet_model(weights: Weights, x: Tensor, timesteps: Tensor, options: Options, y: Tensor | None = None) -> Tensor:
    """The network's answer to x (B, C, H, W) at the timesteps (B,) of its own scale, for classes y (B,)."""
    width = 4 * options.channels
    frequencies = torch.exp(-math.log(10000) * torch.arange(options.channels // 2).double() / (options.channels // 2))
    angles = timesteps.double()[:, None] * frequencies
    features = torch.cat([angles.cos(), angles.sin()], dim=1).float()
    emb = weights.linear("time_embed.2", F.silu(weights.linear("time_embed.0", features, width)), width)
    if options.classes:
        emb = emb + weights.need("label_emb.weight", options.classes, width)[y]
    widths = [int(mult * options.channels) for mult in options.mult]
    first = widths[0] if options.narrow_first else options.channels
    h = weights.conv("input_blocks.0.0", x, first)
    kept, count = [h], 1
    for level, out in enumerate(widths):
        for _ in range(options.blocks):
            h = residual(weights, f"input_blocks.{count}.0", h, emb, out, options)
            if level in options.attention:
                h = attention(weights, f"input_blocks.{count}.1", h, options)
            kept.append(h)
            count += 1
        if level < len(widths) - 1:
            name = f"input_blocks.{count}.0"
            if options.updown:
                h = residual(weights, name, h, emb, out, options, "down")
            else:
                h = weights.conv(f"{name}.op", h, out, stride=2)
            kept.append(h)
            count += 1
    h = residual(weights, "middle_block.0", h, emb, widths[-1], options)
    h = attention(weights, "middle_block.1", h, options)
    h = residual(weights, "middle_block.2", h, emb, widths[-1], options)
    count = 0
    for level, out in reversed([*enumerate(widths)]):
        for block in range(options.blocks + 1):
            h = residual(weights, f"output_blocks.{count}.0", torch.cat([h, kept.pop()], dim=1), emb, out, options)
            parts = 1
            if level in options.attention:
                h = attention(weights, f"output_blocks.{count}.1", h, options)
                parts = 2
            if level and block == options.blocks:
                name = f"output_blocks.{count}.{parts}"
                if options.updown:
                    h = residual(weights, name, h, emb, out, options, "up")
                else:
                    h = weights.conv(f"{name}.conv", doubled(h), out)
            count += 1
    return weights.conv("out.2", F.silu(weights.norm("out.0", h)), x.shape[1] * (2 if options.learn_sigma else 1))


def residual(
    weights: Weights, name: str, x: Tensor, emb: Tensor, out: int, options: Options, resample: str = ""
) -> Tensor:
    change = {"": lambda image: image, "up": doubled, "down": lambda image: F.avg_pool2d(image, 2)}[resample]
    h = weights.conv(f"{name}.in_layers.2", change(F.silu(weights.norm(f"{name}.in_layers.0", x))), out)
    time = weights.linear(f"{name}.emb_layers.1", F.silu(emb), out * (2 if options.scale_shift else 1))[
        :, :, None, None
    ]
    if options.scale_shift:
        h = weights.norm(f"{name}.out_layers.0", h) * (1 + time[:, :out]) + time[:, out:]
    else:
        h = weights.norm(f"{name}.out_layers.0", h + time)
    x = change(x)
    skip = x if x.shape[1] == out else weights.conv(f"{name}.skip_connection", x, out, side=1)
    return skip + weights.conv(f"{name}.out_layers.3", F.silu(h), out)


def attention(weights: Weights, name: str, x: Tensor, options: Options) -> Tensor:
    batch, channels = x.shape[:2]
    heads = options.num_heads if options.num_head_channels == -1 else channels // options.num_head_channels
    matrix = weights.need(f"{name}.qkv.weight", 3 * channels, channels, 1)[:, :, 0]
    bias = weights.need(f"{name}.qkv.bias", 3 * channels)
    qkv = torch.einsum("oc,bcn->bon", matrix, weights.norm(f"{name}.norm", x).flatten(2)) + bias[:, None]
    dim = channels // heads
    if options.new_order:
        q, k, v = qkv.reshape(batch, 3, heads, dim, -1).unbind(1)
    else:
        q, k, v = qkv.reshape(batch, heads, 3, dim, -1).unbind(2)
    weight = torch.softmax(torch.einsum("bhdi,bhdj->bhij", q, k) / math.sqrt(dim), dim=-1)
    h = torch.einsum("bhij,bhdj->bhdi", weight, v).reshape(batch, channels, -1)
    out = weights.need(f"{name}.proj_out.weight", channels, channels, 1)[:, :, 0]
    h = torch.einsum("oc,bcn->bon", out, h) + weights.need(f"{name}.proj_out.bias", channels)[:, None]
    return x + h.reshape(x.shape)


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
