"""The pixels themselves: no network, no opinion; a sanity check rather than a measure of quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from unnoise.errors import UserError
from unnoise.features.extractor import FeatureExtractor, signed


class Pixels(FeatureExtractor):
    """Pixels in [-1, 1] as one row; images above `side` pixels are area-averaged down to it.

    shape (C, H, W) of the images. Raises UserError for images of another shape.
    """

    name: ClassVar[str] = "pixels"

    def __init__(self, shape: Sequence[int], side: int = 32) -> None:
        if len(shape) != 3 or min(shape) < 1 or side < 1:
            raise UserError(f"need a shape (C, H, W) and a side of at least 1, got {tuple(shape)} and {side}")
        self.shape = tuple(shape)
        self.side = side
        self.size = (min(shape[1], side), min(shape[2], side))
        self.dim = shape[0] * self.size[0] * self.size[1]
        self.version = f"pixels in [-1, 1], {shape[0]}x{self.size[0]}x{self.size[1]} by area averages"

    def features(self, pixels: Tensor) -> Tensor:
        if tuple(pixels.shape[1:]) != self.shape:
            raise UserError(f"pixel features of images {self.shape} cannot take {tuple(pixels.shape[1:])}")
        return F.adaptive_avg_pool2d(signed(pixels), self.size).flatten(1)
