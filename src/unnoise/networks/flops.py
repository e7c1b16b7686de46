"""What a network costs."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def forward_flops(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Floating-point operations (a multiply-add is two) of one forward pass of an image of `shape` (C, H, W)."""
    parameter = next(network.parameters())
    x = torch.zeros(1, *shape, device=parameter.device, dtype=parameter.dtype)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, torch.compiler.set_stance("force_eager"):
        network(x, torch.zeros(1, device=parameter.device), None)
    return counter.get_total_flops()
