"""Compiling a network block by block: seconds instead of minutes, since equal blocks share what is compiled."""

from __future__ import annotations

import torch
from torch import nn

from unnoise.networks.attention import CrossAttention
from unnoise.networks.dit import Block
from unnoise.networks.layers import ResidualBlock, SelfAttention

BLOCKS = (ResidualBlock, SelfAttention, CrossAttention, Block)
SHAPES = 64
"""Kinds of input that torch compiles a block for before it gives up; a U-Net has a dozen, torch's own limit is 8."""


def compile_regions(network: nn.Module) -> None:
    """Has torch compile each block at its first call; the whole network where it has none of BLOCKS."""
    blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES)
    for block in blocks or [network]:
        block.compile(dynamic=False)


def run_eagerly(network: nn.Module) -> None:
    """Undoes `compile_regions` and `network.compile()`."""
    for module in network.modules():
        module._compiled_call_impl = None
