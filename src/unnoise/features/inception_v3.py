"""Inception-v3 (Szegedy et al. 2016) as TensorFlow's graph of 2015 has it, under the names of its ported weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv(NamedTuple):
    """A convolution: its name, output channels, kernel (height, width), stride. A stride of 2 goes unpadded."""

    name: str
    out: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


Pool = Callable[[Tensor], Tensor]
Step = Conv | tuple[Conv, ...]
"""One convolution, or several of the same input whose outputs are joined."""


class Branch(NamedTuple):
    """A pool, if any, and the convolutions after it."""

    steps: tuple[Step, ...]
    pool: Pool | None = None


def average_pool(x: Tensor) -> Tensor:
    """3x3 means, at the border over the pixels that are there: TensorFlow's."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def largest_pool(x: Tensor) -> Tensor:
    """3x3 maxima of the same size: what the graph's very last block has where the paper means an average."""
    return F.max_pool2d(x, 3, stride=1, padding=1)


def halving_pool(x: Tensor) -> Tensor:
    """3x3 maxima at every second pixel."""
    return F.max_pool2d(x, 3, stride=2)


def chain(prefix: str, *layers: tuple[int, tuple[int, int]], last_stride: int = 1) -> Branch:
    """Convolutions prefix_1, prefix_2, ... given by output channels and kernel."""
    strides = [1] * (len(layers) - 1) + [last_stride]
    named = zip(layers, strides, strict=True)
    return Branch(tuple(Conv(f"{prefix}_{i}", *layer, stride) for i, (layer, stride) in enumerate(named, 1)))


def block_a(pooled: int) -> tuple[Branch, ...]:
    """At 35x35 pixels (Szegedy et al. 2016, figure 5). pooled: channels of the branch that pools."""
    return (
        Branch((Conv("branch1x1", 64),)),
        chain("branch5x5", (48, (1, 1)), (64, (5, 5))),
        chain("branch3x3dbl", (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
        Branch((Conv("branch_pool", pooled),), average_pool),
    )


def block_b() -> tuple[Branch, ...]:
    """From 35x35 to 17x17 pixels (their figure 10)."""
    return (
        Branch((Conv("branch3x3", 384, (3, 3), 2),)),
        chain("branch3x3dbl", (64, (1, 1)), (96, (3, 3)), (96, (3, 3)), last_stride=2),
        Branch((), halving_pool),
    )


def block_c(c: int) -> tuple[Branch, ...]:
    """At 17x17 pixels, 7x7 kernels in factors of 1x7 and 7x1 (their figure 6). c: channels between the factors."""
    wide, tall = (1, 7), (7, 1)
    return (
        Branch((Conv("branch1x1", 192),)),
        chain("branch7x7", (c, (1, 1)), (c, wide), (192, tall)),
        chain("branch7x7dbl", (c, (1, 1)), (c, tall), (c, wide), (c, tall), (192, wide)),
        Branch((Conv("branch_pool", 192),), average_pool),
    )


def block_d() -> tuple[Branch, ...]:
    """From 17x17 to 8x8 pixels."""
    return (
        chain("branch3x3", (192, (1, 1)), (320, (3, 3)), last_stride=2),
        chain("branch7x7x3", (192, (1, 1)), (192, (1, 7)), (192, (7, 1)), (192, (3, 3)), last_stride=2),
        Branch((), halving_pool),
    )


def block_e(pool: Pool) -> tuple[Branch, ...]:
    """At 8x8 pixels, outputs side by side in place of deeper ones (their figure 7)."""
    return (
        Branch((Conv("branch1x1", 320),)),
        Branch((Conv("branch3x3_1", 384), _split("branch3x3_2"))),
        Branch((Conv("branch3x3dbl_1", 448), Conv("branch3x3dbl_2", 384, (3, 3)), _split("branch3x3dbl_3"))),
        Branch((Conv("branch_pool", 192),), pool),
    )


def _split(prefix: str) -> tuple[Conv, ...]:
    return Conv(f"{prefix}a", 384, (1, 3)), Conv(f"{prefix}b", 384, (3, 1))


BLOCKS: dict[str, tuple[Branch, ...]] = {
    "Mixed_5b": block_a(32),
    "Mixed_5c": block_a(64),
    "Mixed_5d": block_a(64),
    "Mixed_6a": block_b(),
    "Mixed_6b": block_c(128),
    "Mixed_6c": block_c(160),
    "Mixed_6d": block_c(160),
    "Mixed_6e": block_c(192),
    "Mixed_7a": block_d(),
    "Mixed_7b": block_e(average_pool),
    "Mixed_7c": block_e(largest_pool),
}


class InceptionV3(nn.Module):
    """Images (B, 3, 299, 299) in [-1, 1] to 2048 features and 1008 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, (3, 3), stride=2)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, (3, 3), padding=(0, 0))
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, (3, 3), padding=(0, 0))
        channels = 192
        for name, branches in BLOCKS.items():
            block = Mixed(channels, branches)
            self.add_module(name, block)
            channels = block.out_channels
        self.fc = nn.Linear(channels, 1008)

    def features(self, x: Tensor) -> Tensor:
        """(B, 2048): the mean over the last block's 8x8 positions."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(halving_pool(x)))
        x = halving_pool(x)
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 1008)."""
        return self.fc(self.features(x))


class Mixed(nn.Module):
    """Branches over one input, joined by channels."""

    def __init__(self, in_channels: int, branches: Sequence[Branch]) -> None:
        super().__init__()
        self.branches = tuple(branches)
        self.out_channels = sum(self._add(in_channels, branch) for branch in branches)

    def _add(self, channels: int, branch: Branch) -> int:
        """Registers a branch's convolutions and gives its output channels."""
        for step in branch.steps:
            for conv in _parallel(step):
                self.add_module(conv.name, ConvNorm(channels, conv.out, conv.kernel, stride=conv.stride))
            channels = sum(conv.out for conv in _parallel(step))
        return channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._run(x, branch) for branch in self.branches], 1)

    def _run(self, x: Tensor, branch: Branch) -> Tensor:
        x = x if branch.pool is None else branch.pool(x)
        for step in branch.steps:
            x = torch.cat([self.get_submodule(conv.name)(x) for conv in _parallel(step)], 1)
        return x


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, ReLU; padded to keep the size unless it strides."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        stride: int = 1,
        padding: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        same = (kernel[0] // 2, kernel[1] // 2) if stride == 1 else (0, 0)
        padding = same if padding is None else padding
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


def _parallel(step: Step) -> tuple[Conv, ...]:
    return (step,) if isinstance(step, Conv) else step
