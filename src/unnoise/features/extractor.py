"""What every feature extractor is: images in, rows of numbers out, by a preprocessing that has a name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from unnoise.errors import NotApplicable, UserError
from unnoise.metrics.statistics import first

LARGEST = 10.0
"""Samples may leave [-1, 1] a little; numbers beyond this are of another range."""


class FeatureExtractor(ABC):
    """Images to features; the text of `version` names the weights and every step before them.

    name: its name in FEATURES; shown with every number measured in this space.
    dim: the width of the features. classes: how many classes `probabilities` tells apart, 0 when it cannot.
    """

    name: ClassVar[str]
    version: str
    dim: int
    classes: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Features (B, D), float32, on the CPU, of images (B, C, H, W).

        images: uint8, or floats in [-1, 1], which are rounded to the 256 levels first, so that a sample and its PNG
        are one image. Raises UserError for other shapes and types, for NaN and for floats of another range.
        """
        return self.features(levels(images)).float().cpu()

    @abstractmethod
    def features(self, pixels: Tensor) -> Tensor:
        """(B, D) of uint8 images (B, C, H, W)."""

    def probabilities(self, features: Tensor) -> Tensor:
        """Class probabilities (B, classes) of features (B, D) of this space.

        Raises:
            NotApplicable: where the space has no classes.
        """
        raise NotApplicable(f"features {self.name!r} know no classes; allowed: classifier, imagenet, inception")

    def quality(self) -> dict[str, float]:
        """What is known about how good the features are, as a result shows it."""
        return {}

    def to(self, device: str | torch.device) -> FeatureExtractor:
        """Moves the network, where there is one; the features come back to the CPU all the same."""
        return self

    def extract(self, batches: Iterable[Tensor]) -> Tensor:
        """Features (N, D) of a stream of batches."""
        parts = [self(batch) for batch in batches]
        return torch.cat(parts) if parts else torch.empty(0, self.dim)


def levels(images: Tensor) -> Tensor:
    """uint8 images (B, C, H, W): (x + 1) 127.5 rounded (halves upwards) and clipped, or what was uint8 already."""
    if images.ndim != 4:
        raise UserError(f"images must have the shape (B, C, H, W), got {tuple(images.shape)}")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise UserError(f"images must be uint8, or floats in [-1, 1], got {images.dtype}")
    bad = ~images.isfinite().flatten(1).all(1)
    if bad.any():
        raise UserError(
            f"{int(bad.sum())} of {len(images)} images hold NaN or infinite numbers, the first is {first(bad)}"
        )
    if images.numel() and float(images.abs().max()) > LARGEST:
        raise UserError(f"float images must lie in [-1, 1], got {float(images.abs().max()):.4g}; give 0..255 as uint8")
    return images.float().add(1).mul(127.5).add(0.5).floor().clamp(0, 255).to(torch.uint8)


def signed(pixels: Tensor) -> Tensor:
    """0..255 to [-1, 1], float32."""
    return pixels.float().div(127.5).sub(1)


def colour(pixels: Tensor, name: str) -> Tensor:
    """Images (B, 3, H, W): grey ones repeated; raises UserError for other channels."""
    if pixels.shape[1] not in (1, 3):
        raise UserError(f"features {name!r} take grey or RGB images, got {pixels.shape[1]} channels")
    return pixels.expand(-1, 3, -1, -1)
