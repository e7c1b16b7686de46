"""A small convolutional classifier, whose last hidden layer serves as a feature space."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from unnoise.errors import UserError

SMALLEST = 4
"""No side is halved below so many pixels."""
GRID = 2
"""The means that end the convolutions are over GRID x GRID parts of the image: where a stroke is matters."""


class ConvClassifier(nn.Module):
    """3x3 convolutions between halvings down to 4 to 7 pixels a side, means over its quarters, two linear layers.

    channels, size (height, width) of the images in [-1, 1]; classes of the answer; base: channels of the first stage,
    doubled at each halving up to 4 base; dim: width of the features.
    Raises UserError for images below 4 pixels a side and fewer than two classes.
    """

    def __init__(self, channels: int, size: tuple[int, int], classes: int, base: int = 16, dim: int = 128) -> None:
        super().__init__()
        if min(size) < SMALLEST or classes < 2:
            raise UserError(f"need images of 4x4 pixels or more and 2 classes or more, got {size} and {classes}")
        self.channels, self.size, self.classes, self.base, self.dim = channels, tuple(size), classes, base, dim
        widths = [min(base * 2**stage, 4 * base) for stage in range(halvings(min(size)) + 1)]
        inputs = [channels, *widths[:-1]]
        self.stages = nn.ModuleList(_convolution(a, b) for a, b in zip(inputs, widths, strict=True))
        self.last = _convolution(widths[-1], widths[-1])
        self.hidden = nn.Linear(widths[-1] * GRID**2, dim)
        self.head = nn.Linear(dim, classes)

    def features(self, x: Tensor) -> Tensor:
        """(B, dim) of images (B, C, H, W) in [-1, 1]: the last hidden layer."""
        for index, stage in enumerate(self.stages):
            x = stage(x if index == 0 else F.max_pool2d(x, 2))
        return F.silu(self.hidden(F.adaptive_avg_pool2d(self.last(x), GRID).flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, C, H, W) in [-1, 1]."""
        return self.head(self.features(x))


def halvings(side: int) -> int:
    """How often a side is halved before it is below 8 pixels."""
    return 0 if side < 2 * SMALLEST else 1 + halvings(side // 2)


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.SiLU())
