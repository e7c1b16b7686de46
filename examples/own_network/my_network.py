"""A network of one's own, in twenty lines: what it is given it gives back in the same shape, and unnoise trains it.

python examples/own_network/my_network.py [SOURCE] [MINUTES]
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import unnoise


class MyNetwork(nn.Module):
    """Dilated convolutions at one resolution, each shifted by what the noise level is."""

    def __init__(self, in_channels: int, out_channels: int, *, width: int = 48, depth: int = 6) -> None:
        super().__init__()
        self.width, self.depth = width, depth
        self.level = nn.Sequential(nn.Linear(16, width), nn.SiLU(), nn.Linear(width, width * depth))
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        dilations = [2 ** (layer % 3) for layer in range(depth)]
        self.layers = nn.ModuleList([nn.Conv2d(width, width, 3, padding=d, dilation=d) for d in dilations])
        self.last = nn.Conv2d(width, out_channels, 3, padding=1)

    def forward(self, x: Tensor, noise_level: Tensor) -> Tensor:
        angles = noise_level[:, None] / 1000 * 2.0 ** torch.arange(8, device=x.device)
        shifts = self.level(torch.cat([angles.sin(), angles.cos()], 1)).chunk(self.depth, 1)
        h = self.first(x)
        for layer, shift in zip(self.layers, shifts, strict=True):
            h = h + F.silu(layer(h + shift[:, :, None, None]))
        return self.last(h)


def main(source: str = "builtin:digits", out: str = "runs/my-network", minutes: float = 2.0, **options: object) -> str:
    """Trains it, loads it and draws; the picture's path."""
    overrides = {"model.network.width": 32, **options}
    run = unnoise.train(source, "ddpm", out, minutes=minutes, network=MyNetwork, overrides=overrides)
    model = unnoise.load(run.folder, network=MyNetwork)
    picture = run.folder / "drawn.png"
    unnoise.show(model.sample(n=16, steps=20)).save(picture)  # pyright: ignore[reportAttributeAccessIssue]
    return str(picture)


if __name__ == "__main__":
    source, minutes = (sys.argv[1:] + ["builtin:digits", "2"][len(sys.argv) - 1 :])[:2]
    print(main(source, minutes=float(minutes)))
