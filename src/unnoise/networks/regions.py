"""Compiling a network block by block: seconds instead of minutes, since equal blocks share what is compiled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from unnoise.networks.attention import CrossAttention
from unnoise.networks.dit import Block
from unnoise.networks.layers import ResidualBlock, SelfAttention

BLOCKS = (ResidualBlock, SelfAttention, CrossAttention, Block)
KINDS = 64
"""Of input, for images of one shape, that torch compiles a block for before it gives up; a U-Net has a dozen, torch's
own limit is 8."""


def compile_regions(network: nn.Module, shapes: int = 1) -> None:
    """Has torch compile each block at its first call; the whole network where it has none of BLOCKS.

    shapes: of the images: everything is compiled for each of them.
    """
    blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
    _compile(blocks or [network], shapes)


def compile_whole(network: nn.Module, shapes: int = 1) -> None:
    """Has torch compile all of the network at once, at the first call with each of so many shapes of images."""
    _compile([network], shapes)


def _compile(modules: Sequence[nn.Module], shapes: int) -> None:
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, KINDS * shapes)
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, limits.recompile_limit)
    for module in modules:
        module.compile(dynamic=False)


def run_eagerly(network: nn.Module) -> None:
    """Undoes `compile_regions` and `compile_whole`."""
    for module in network.modules():
        module._compiled_call_impl = None
