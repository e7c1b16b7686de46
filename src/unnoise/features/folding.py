"""Frozen networks made faster: the same function in fewer passes over the memory."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


@torch.no_grad()
def fold_norms(network: nn.Module) -> None:
    """Puts every batch norm in evaluation mode into the convolution that is registered just before it.

    With gain = gamma / sqrt(variance + eps), weights W and bias b become gain W and gain (b - mean) + beta. The norm is
    then the identity. Computed in float64, so that the weights are off by one rounding.
    """
    for module in list(network.modules()):
        for (_, conv), (name, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                weight, bias = (value.to(conv.weight.dtype) for value in _folded(conv, norm))
                conv.weight, conv.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
                setattr(module, name, nn.Identity())


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = 0 if conv.bias is None else conv.bias.double()
    moved = (bias - norm.running_mean.double()) * gain + norm.bias.double()
    return conv.weight.double() * gain[:, None, None, None], moved
