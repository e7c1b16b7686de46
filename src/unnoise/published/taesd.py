"""The tiny autoencoders of published latent spaces (TAESD, Bohan 2023): 8 times down, 3x3 convolutions, no attention.

Modules have the places and names of the published weights, which therefore load as they are.
"""

from __future__ import annotations

from torch import Tensor, nn

WIDTH = 64
GROUPS = 4
STAGES = 3
"""Halvings of the side."""
SOFT = 3.0
"""Latents are softly held to (-3, 3) before they are decoded."""


class TinyBlock(nn.Module):
    """ReLU(x + three convolutions of x); wide: x gets a 1x1 bottleneck of four times the width first."""

    def __init__(self, wide: bool = False) -> None:
        super().__init__()
        layers = [_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv()]
        self.conv = nn.Sequential(*layers)
        self.pool = _bottleneck() if wide else None

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.pool is None else x + self.pool(x)
        return (h + self.conv(h)).relu()


class SoftClamp(nn.Module):
    """3 tanh(z / 3)."""

    def forward(self, z: Tensor) -> Tensor:
        return SOFT * (z / SOFT).tanh()


def tiny_encoder(channels: int, latent: int, wide: bool) -> nn.Sequential:
    """Images (B, channels, H, W) in [0, 1] to codes (B, latent, H/8, W/8). wide: the blocks next to the code are."""
    layers: list[nn.Module] = [_conv(channels), TinyBlock()]
    for stage in range(STAGES):
        layers += [_conv(stride=2, bias=False), *(TinyBlock(wide and stage == STAGES - 1) for _ in range(3))]
    return nn.Sequential(*layers, _conv(out_channels=latent))


def tiny_decoder(channels: int, latent: int, wide: bool) -> nn.Sequential:
    """Latents to images in about [0, 1], unclamped."""
    layers: list[nn.Module] = [SoftClamp(), _conv(latent), nn.ReLU()]
    for stage in range(STAGES):
        layers += [*(TinyBlock(wide and stage == 0) for _ in range(3)), nn.Upsample(scale_factor=2), _conv(bias=False)]
    return nn.Sequential(*layers, TinyBlock(), _conv(out_channels=channels))


def _conv(in_channels: int = WIDTH, out_channels: int = WIDTH, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=bias)


def _bottleneck() -> nn.Sequential:
    inner = 4 * WIDTH
    squeeze, widen = nn.Conv2d(inner, WIDTH, 1, bias=False), nn.Conv2d(WIDTH, inner, 1, bias=False)
    return nn.Sequential(widen, nn.GroupNorm(GROUPS, inner), nn.ReLU(), squeeze)
