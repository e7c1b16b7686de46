"""Networks that show what they make of an image on the way to their answer."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from unnoise.networks.conditioner import Conditioning
from unnoise.networks.layers import group_norm

SLOPE = 0.2
"""Of the leaky rectifiers below zero."""


@runtime_checkable
class ShowsActivations(Protocol):
    """A network with layers to look into."""

    def activations(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> list[Tensor]:
        """(B, c, h, w) of its layers, as it is called for an answer."""
        ...


class Heads(nn.Module):
    """Activations, a (B, c, h, w) of each layer -> logits (B, N): a head of three convolutions for each layer judges
    every position (Sauer et al. 2024, section 3).

    widths: the channels c of each layer; channels: of a head.
    """

    def __init__(self, widths: list[int], channels: int = 32) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, channels, 1),
                nn.LeakyReLU(SLOPE),
                nn.Conv2d(channels, channels, 3, padding=1),
                group_norm(channels),
                nn.LeakyReLU(SLOPE),
                nn.Conv2d(channels, 1, 1),
            )
            for width in widths
        )

    def forward(self, activations: list[Tensor]) -> Tensor:
        return torch.cat([head(h).flatten(1) for head, h in zip(self.heads, activations, strict=True)], dim=1)
