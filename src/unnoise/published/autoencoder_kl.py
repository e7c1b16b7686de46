"""The convolutional autoencoder of latent diffusion (Rombach et al. 2022, appendix E.1), as its weights are published.

Modules have the names that diffusers' `AutoencoderKL` gives them, so that those files load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-6


class Resnet(nn.Module):
    """x + two times norm, SiLU, 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, EPS)
        self.conv1 = _conv(in_channels, out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels, EPS)
        self.conv2 = _conv(out_channels, out_channels)
        same = in_channels == out_channels
        self.conv_shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    """One head over all positions, added to the input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, EPS)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.group_norm(x).flatten(2).transpose(1, 2)
        # One head has a dimension of its own too: ONNX knows attention with heads alone.
        q, k, v = (layer(tokens)[:, None] for layer in (self.to_q, self.to_k, self.to_v))
        h = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return x + self.to_out[0](h).transpose(1, 2).reshape(x.shape)


class Middle(nn.Module):
    """Residual block, attention, residual block, at the lowest resolution."""

    def __init__(self, channels: int, groups: int, attention: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(channels, channels, groups) for _ in range(2))
        self.attentions = nn.ModuleList([Attention(channels, groups)] if attention else [])

    def forward(self, x: Tensor) -> Tensor:
        h = self.resnets[0](x)
        for attention in self.attentions:
            h = attention(h)
        return self.resnets[1](h)


class Resampled(nn.Module):
    """Half the side (padded at the right and below alone) or twice (by repeating), and a 3x3 convolution."""

    def __init__(self, channels: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, stride=2) if down else _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.down else F.interpolate(x, scale_factor=2.0))


class Level(nn.Module):
    """Residual blocks of one resolution, then the way to the next, but for the last level."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, groups: int, last: bool, down: bool) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * (blocks - 1)
        self.resnets = nn.ModuleList(Resnet(width, out_channels, groups) for width in widths)
        self.downsamplers = nn.ModuleList([Resampled(out_channels, down=True)] if down and not last else [])
        self.upsamplers = nn.ModuleList([] if down or last else [Resampled(out_channels, down=False)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.resnets, *self.downsamplers, *self.upsamplers):
            x = layer(x)
        return x


class KLEncoder(nn.Module):
    """Images (B, C, H, W) to (B, outputs, H/f, W/f), f = 2^(levels - 1)."""

    def __init__(
        self, channels: int, outputs: int, widths: Sequence[int], blocks: int, groups: int, attention: bool
    ) -> None:
        super().__init__()
        self.conv_in = _conv(channels, widths[0])
        before = [widths[0], *widths[:-1]]
        last = len(widths) - 1
        self.down_blocks = nn.ModuleList(
            Level(a, b, blocks, groups, last=i == last, down=True)
            for i, (a, b) in enumerate(zip(before, widths, strict=True))
        )
        self.mid_block = Middle(widths[-1], groups, attention)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], EPS)
        self.conv_out = _conv(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level in self.down_blocks:
            h = level(h)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(h))))


class KLDecoder(nn.Module):
    """Latents (B, latent, h, w) to images (B, C, f h, f w); a residual block more per level than the encoder."""

    def __init__(
        self, channels: int, latent: int, widths: Sequence[int], blocks: int, groups: int, attention: bool
    ) -> None:
        super().__init__()
        falling = list(reversed(widths))
        self.conv_in = _conv(latent, falling[0])
        self.mid_block = Middle(falling[0], groups, attention)
        before = [falling[0], *falling[:-1]]
        last = len(widths) - 1
        self.up_blocks = nn.ModuleList(
            Level(a, b, blocks + 1, groups, last=i == last, down=False)
            for i, (a, b) in enumerate(zip(before, falling, strict=True))
        )
        self.conv_norm_out = nn.GroupNorm(groups, falling[-1], EPS)
        self.conv_out = _conv(falling[-1], channels)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            h = level(h)
        return self.conv_out(F.silu(self.conv_norm_out(h)))


def _conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)
