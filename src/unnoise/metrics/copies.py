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
    """first, second (N,): the distances of samples to the nearest training image, and to the nearest of another group.
    index (N,): of the nearest."""

    first: Tensor
    second: Tensor
    index: Tensor

    def copies(self, ratio: float = RATIO) -> Tensor:
        """(N,) bool: which lie within `ratio` of the second distance (Yoon et al. 2023, section 3, with ratio 1/3)."""
        return self.first < ratio * self.second

    @property
    def ratio(self) -> Tensor:
        """(N,): first over second, 0 for an exact copy and 1 for what is as near to two images."""
        return self.first / self.second.clamp(min=torch.finfo(self.second.dtype).tiny)


def likeness(
    views: Iterable[Tensor], training: Tensor, groups: Tensor | None = None, without: Tensor | None = None
) -> Likeness:
    """How near samples come to training images.

    Args:
        views: (N, D) each: the samples, and changes of them that count as the same image.
        training: (T, D).
        groups: (T,) int; images of one group are not told apart. By default each is a group of its own.
        without: (N,) int: a group for each sample, whose images do not count.
    """
    number = torch.arange(len(training)) if groups is None else groups
    distances = reduce(torch.minimum, (torch.cdist(view, training) for view in views))
    if without is not None:
        distances = distances.masked_fill(number[None] == without[:, None], torch.inf)
    first, index = distances.min(1)
    same = number[None] == number[index][:, None]
    return Likeness(first, distances.masked_fill(same, torch.inf).min(1).values, index)


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
