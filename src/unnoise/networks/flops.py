"""What a computation costs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations (a multiply-add is two) of the matrix products and convolutions of `call`."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter, torch.compiler.set_stance("force_eager"):
        call()
    return counter.get_total_flops()


def forward_flops(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """`count_flops` of one forward pass of an image of `shape` (C, H, W)."""
    parameter = next(network.parameters())
    x = torch.zeros(1, *shape, device=parameter.device, dtype=parameter.dtype)
    return count_flops(lambda: network(x, torch.zeros(1, device=parameter.device), None))
