"""Our own U-Net written as a `UNet2D`, where its sizes allow it: the same function, with other names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from unnoise.models import Diffusion
from unnoise.networks import UNet, UNet2D
from unnoise.networks.unet import attended_levels

INJECTIONS: dict[str, Literal["default", "scale_shift"]] = {"add": "default", "adagn": "scale_shift"}
RESNET = {
    "norm1": "norm",
    "conv1": "first",
    "time_emb_proj": "time.project",
    "norm2": "time.norm",
    "conv2": "second",
    "conv_shortcut": "skip",
}
"""The layers of a residual block, there and here."""
NATIVE = 1000
"""Only with so many steps is our noise level, 0 to 1000, their timestep and one."""


def as_unet2d(network: UNet | UNet2D) -> UNet2D:
    """The network as a `UNet2D`: itself, or a U-Net that is written as one, where `why_no_unet2d` has no reason."""
    return network if isinstance(network, UNet2D) else _translated(network)


def why_no_unet2d(model: Diffusion) -> str | None:
    """What keeps diffusers' UNet2DModel from being the network of a model; None where nothing does."""
    network, steps = model.network, model.schedule.grid
    if isinstance(network, UNet2D):
        return _why_not_as_it_is(network, None if steps is None else len(steps))
    if not isinstance(network, UNet):
        return f"it has no counterpart of a {type(network).__name__}"
    return _why_not_translated(network, None if steps is None else len(steps))


def _why_not_as_it_is(network: UNet2D, steps: int | None) -> str | None:
    widths = sorted({*network.attended})
    if steps is not None and steps != network.num_train_timesteps:
        return f"the schedule has {steps} steps, and the network was made for {network.num_train_timesteps}"
    if network.time_features_dim not in (None, network.block_out_channels[0]):
        return f"its time features are {network.time_features_dim} wide, and not as wide as the first level"
    if network.attention_heads is not None and len(widths) > 1:
        return f"it has {network.attention_heads} heads at {', '.join(map(str, widths))} channels, not of one width"
    return None


def _why_not_translated(network: UNet, steps: int | None) -> str | None:
    groups = sorted({module.num_groups for module in network.modules() if isinstance(module, nn.GroupNorm)})
    reasons = {
        f"it sees patches of {network.patch} pixels a side": network.patch != 1,
        "it sees Fourier features of the pixels": bool(network.fourier),
        f"its norms have {', '.join(map(str, groups))} groups, where there is one number for all": len(groups) > 1,
        f"it has {network.heads} heads at every width, where heads are of one width": network.heads != 1,
        "its time features are not the sinusoidal ones of an even width": (
            network.time_features != "sinusoidal" or network.channels % 2 != 0
        ),
        "it has cross-attention": network.token_dim != 0,
        f"its schedule has not the {NATIVE} steps that this needs": steps != NATIVE,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _translated(network: UNet) -> UNet2D:
    attended = attended_levels(network.image_size, len(network.multipliers), network.attention)
    levels = [level in attended for level in range(len(network.multipliers))]
    groups = network.norm.num_groups
    made = UNet2D(
        network.in_channels,
        network.out_channels,
        network.image_size,
        block_out_channels=tuple(network.channels * multiplier for multiplier in network.multipliers),
        down_block_types=tuple("AttnDownBlock2D" if has else "DownBlock2D" for has in levels),
        up_block_types=tuple("AttnUpBlock2D" if has else "UpBlock2D" for has in reversed(levels)),
        layers_per_block=network.blocks,
        norm_num_groups=groups,
        attn_norm_num_groups=groups,
        dropout=network.dropout,
        resnet_time_scale_shift=INJECTIONS[network.time_injection],
        vector_dim=network.vector_dim,
        spatial_channels=network.spatial_channels,
    )
    made.load_state_dict(dict(_weights(network, len(levels))))
    return made.eval()


Weights = dict[str, Tensor]


def _weights(network: UNet, levels: int) -> Iterator[tuple[str, Tensor]]:
    ours = network.state_dict()
    yield from _copied(ours, "conv_in", "first")
    yield from _copied(ours, "conv_norm_out", "norm")
    yield from _copied(ours, "conv_out", "last")
    yield "time_embedding.linear_1.weight", later(ours["embed_time.1.weight"], 1)  # counted from 0 there, from 1 here
    yield "time_embedding.linear_1.bias", ours["embed_time.1.bias"]
    yield from _copied(ours, "time_embedding.linear_2", "embed_time.3")
    yield from _copied(ours, "class_embedding", "embed_vector")
    yield from _way(ours, "down", levels, network.blocks)
    yield from _way(ours, "up", levels, network.blocks + 1)
    for index in range(2):
        yield from _stage(ours, "mid_block", index, f"middle.{index}")


def _way(ours: Weights, way: str, levels: int, blocks: int) -> Iterator[tuple[str, Tensor]]:
    """The levels of one way, 'down' or 'up', with what leads from each to the next."""
    for level in range(levels):
        first = level * (blocks + 1)
        for block in range(blocks):
            yield from _stage(ours, f"{way}_blocks.{level}", block, f"{way}.{first + block}")
        there = f"{way}_blocks.{level}.{way}samplers.0.conv"
        yield from _copied(ours, there, f"{way}.{first + blocks}.convolution")


def _stage(ours: Weights, where: str, index: int, here: str) -> Iterator[tuple[str, Tensor]]:
    for there, part in RESNET.items():
        yield from _copied(ours, f"{where}.resnets.{index}.{there}", f"{here}.block.{part}")
    attention = f"{where}.attentions.{index}"
    yield from _copied(ours, f"{attention}.group_norm", f"{here}.attention.norm")
    yield from _copied(ours, f"{attention}.to_out.0", f"{here}.attention.out")
    for kind in ("weight", "bias"):
        joined = ours.get(f"{here}.attention.qkv.{kind}")
        for name, value in zip("qkv", () if joined is None else joined.chunk(3), strict=False):
            yield f"{attention}.to_{name}.{kind}", value


def _copied(ours: Weights, there: str, here: str) -> Iterator[tuple[str, Tensor]]:
    """The weight and the bias of a layer, where it is there."""
    for kind in ("weight", "bias"):
        if f"{here}.{kind}" in ours:
            yield f"{there}.{kind}", ours[f"{here}.{kind}"]


def later(weight: Tensor, steps: float) -> Tensor:
    """A linear layer of (cos, sin)(s w), as one of (cos, sin)(t w) for times t = s - steps: the same function.

    cos(s w) = cos(t w) cos(steps w) - sin(t w) sin(steps w), and sin alike, so the columns of each pair rotate by
    steps w.
    """
    half = weight.shape[1] // 2
    angles = steps * torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float64) / half)
    of_cos, of_sin = weight.double().chunk(2, dim=1)
    cos, sin = angles.cos().to(weight.device), angles.sin().to(weight.device)
    return torch.cat([of_cos * cos + of_sin * sin, of_sin * cos - of_cos * sin], dim=1).to(weight.dtype)
