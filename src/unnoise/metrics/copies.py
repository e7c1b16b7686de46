"""Copies of training images among samples, found by the second nearest image: needs no held-out images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from unnoise.errors import UserError

RATIO = 1 / 3


@dataclass(frozen=True)
class Likeness:
    """The distances of samples to training images, (N,) each.

    first: to the nearest. second: to the nearest other image. unlike: to the nearest that is no variant of the first.
    index: of the nearest.
    """

    first: Tensor
    second: Tensor
    unlike: Tensor
    index: Tensor

    def copies(self, ratio: float = RATIO) -> Tensor:
        """(N,) bool: which lie within `ratio` of the second distance (Yoon et al. 2023, section 3, with ratio 1/3)."""
        return self.first < ratio * self.second

    @property
    def ratio(self) -> Tensor:
        """(N,): first over unlike, 0 for an exact copy and 1 for what is as near to two motifs."""
        return self.first / self.unlike.clamp(min=torch.finfo(self.unlike.dtype).tiny)


def likeness(
    views: Iterable[Tensor],
    training: Tensor,
    images: Tensor | None = None,
    variants: Tensor | None = None,
    without: Tensor | None = None,
) -> Likeness:
    """How near samples come to training images.

    Args:
        views: (N, D) each: the samples, and changes of them that count as the same image.
        training: (T, D).
        images: (T,) int: a number for each image, which those have in common that are the same. By default all differ.
        variants: (T,) int: a number for each motif, which its variants have in common. By default that of the image.
        without: (N,) int: a motif for each sample, whose images do not count.
    """
    images = torch.arange(len(training)) if images is None else images
    variants = images if variants is None else variants
    distances = reduce(torch.minimum, (torch.cdist(view, training) for view in views))
    if without is not None:
        distances = distances.masked_fill(variants[None] == without[:, None], torch.inf)
    first, index = distances.min(1)
    second, unlike = (
        distances.masked_fill(number[None] == number[index][:, None], torch.inf).min(1).values
        for number in (images, variants)
    )
    return Likeness(first, second, unlike, index)


def copies(samples: Tensor, training: Tensor, *, mirrored: bool = False, ratio: float = RATIO) -> Tensor:
    """(N,) bool: which samples lie within `ratio` of the distance to their second nearest training image from the
    nearest (Yoon et al. 2023, section 3, with ratio 1/3).

    samples (N, C, H, W), training (T, C, H, W): floats of one scale, T >= 2. mirrored: whether a mirror image counts
    as the same image. An image that occurs twice in the training set is never found: both are equally near.
    Raises UserError for other shapes and for fewer than two training images.
    """
    if samples.shape[1:] != training.shape[1:] or samples.ndim != 4:
        shapes = f"{tuple(samples.shape)} and {tuple(training.shape)}"
        raise UserError(f"need two sets (N, C, H, W) of images of one shape, got {shapes}")
    if len(training) < 2:
        raise UserError(f"need at least 2 training images to tell copies by the second nearest, got {len(training)}")
    views = [samples, *([samples.flip(3)] if mirrored else [])]
    return likeness((view.flatten(1) for view in views), training.flatten(1)).copies(ratio)
