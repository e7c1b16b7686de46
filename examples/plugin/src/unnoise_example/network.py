"""A network that looks at one pixel at a time: too weak to be good, and short enough to be an example."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unnoise.networks.conditioner import Conditioning


class Pointwise(nn.Module):
    """(x (B, in_channels, H, W), noise_level (B,), conditioning) -> (B, out_channels, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, image_size: tuple[int, int], *, channels: int = 32) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.image_size, self.channels = (
            in_channels,
            out_channels,
            image_size,
            channels,
        )
        self.first = nn.Conv2d(in_channels + 1, channels, 1)
        self.last = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, noise_level: Tensor, conditioning: Conditioning | None = None) -> Tensor:
        level = (noise_level / 1000).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        return self.last(torch.relu(self.first(torch.cat([x, level.to(x.dtype)], dim=1))))
