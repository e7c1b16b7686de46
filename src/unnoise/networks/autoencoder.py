"""Encoder and decoder: images to codes and codes to images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.networks.layers import Downsample, Upsample, group_norm, zeroed


class Block(nn.Module):
    """norm, SiLU, 3x3 convolution, twice, the second zero-initialised; plus the input."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = activated(in_channels, nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.second = activated(out_channels, zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1)))
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.second(self.first(x))


class Grid:
    """How an image of `size` (H, W) lies on the levels of a network: the finest in squares of `patch` pixels, each
    further one half as fine. `finest`, `coarsest`: positions (height, width)."""

    def __init__(self, size: tuple[int, int], patch: int, levels: int) -> None:
        if patch < 1 or levels < 1:
            raise UserError(f"need a patch of at least 1 pixel and at least 1 level, got {patch} and {levels}")
        self.size, self.patch = size, patch
        step = 2 ** (levels - 1)
        rows, columns = (-(-side // (patch * step)) for side in size)
        self.coarsest = (rows, columns)
        self.finest = (rows * step, columns * step)

    def split(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, patch^2 C, *finest); what is missing at the right and below repeats the border."""
        bottom, right = (side * self.patch - own for side, own in zip(self.finest, image.shape[-2:], strict=True))
        padded = F.pad(image, (0, right, 0, bottom), mode="replicate") if bottom or right else image
        return F.pixel_unshuffle(padded, self.patch)

    def join(self, positions: Tensor) -> Tensor:
        """(B, patch^2 C, *finest) -> (B, C, H, W): the inverse of `split`."""
        height, width = self.size
        return F.pixel_shuffle(positions, self.patch)[..., :height, :width]


class Encoder(nn.Module):
    """Images (B, in_channels, H, W) -> (B, out_dim), or, when spatial, (B, out_dim, h, w).

    channels, multipliers: a level each, of channels * multiplier channels and half the resolution of the one before,
    with `blocks` residual blocks. patch: the finest level sees squares of patch x patch pixels. (h, w) is the coarsest
    level, (H, W) / (patch 2^(levels - 1)) rounded up; any H and W may be given.
    """

    def __init__(
        self,
        in_channels: int,
        out_dim: int,
        image_size: tuple[int, int],
        *,
        channels: int = 32,
        multipliers: tuple[int, ...] = (1, 2),
        blocks: int = 1,
        patch: int = 2,
        spatial: bool = False,
    ) -> None:
        super().__init__()
        self.grid = Grid(image_size, patch, len(multipliers))
        widths = [channels * multiplier for multiplier in multipliers]
        self.first = nn.Conv2d(in_channels * patch**2, widths[0], 3, padding=1)
        self.levels = _levels(widths, blocks, Downsample)
        self.last = activated(widths[-1], _to_code(widths[-1], out_dim, self.grid.coarsest, spatial))

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.levels(self.first(self.grid.split(image))))


class Decoder(nn.Module):
    """Latents (B, in_dim), or, when spatial, (B, in_dim, h, w) -> (B, out_channels, H, W): the mirror of `Encoder`."""

    def __init__(
        self,
        in_dim: int,
        out_channels: int,
        image_size: tuple[int, int],
        *,
        channels: int = 32,
        multipliers: tuple[int, ...] = (1, 2),
        blocks: int = 1,
        patch: int = 2,
        spatial: bool = False,
    ) -> None:
        super().__init__()
        self.grid = Grid(image_size, patch, len(multipliers))
        widths = [channels * multiplier for multiplier in reversed(multipliers)]
        self.first = _from_code(in_dim, widths[0], self.grid.coarsest, spatial)
        self.levels = _levels(widths, blocks, Upsample)
        self.last = activated(widths[-1], nn.Conv2d(widths[-1], out_channels * patch**2, 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        return self.grid.join(self.last(self.levels(self.first(z))))


def latent_shape(
    dim: int, image_size: tuple[int, int], patch: int, multipliers: tuple[int, ...], spatial: bool
) -> tuple[int, ...]:
    """The shape of one code: (dim,), or (dim, h, w) when spatial."""
    return (dim, *Grid(image_size, patch, len(multipliers)).coarsest) if spatial else (dim,)


def activated(channels: int, then: nn.Module) -> nn.Sequential:
    """norm, SiLU, then a layer."""
    return nn.Sequential(group_norm(channels), nn.SiLU(), then)


def _levels(widths: Sequence[int], blocks: int, resample: Callable[[int], nn.Module]) -> nn.Sequential:
    """`blocks` residual blocks of each width, resampled between one width and the next."""
    levels = nn.Sequential()
    for level, width in enumerate(widths):
        if level > 0:
            levels.append(resample(widths[level - 1]))
        given = [widths[max(0, level - 1)]] + [width] * (blocks - 1)
        levels.extend(Block(before, width) for before in given)
    return levels


def _to_code(channels: int, dim: int, size: tuple[int, int], spatial: bool) -> nn.Module:
    if spatial:
        return nn.Conv2d(channels, dim, 3, padding=1)
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size[0] * size[1], dim))


def _from_code(dim: int, channels: int, size: tuple[int, int], spatial: bool) -> nn.Module:
    if spatial:
        return nn.Conv2d(dim, channels, 3, padding=1)
    return nn.Sequential(nn.Linear(dim, channels * size[0] * size[1]), nn.Unflatten(1, (channels, *size)))
