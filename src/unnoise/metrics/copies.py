"""Copies of training images among samples, found by the second nearest image: needs no held-out images."""

from __future__ import annotations

import torch
from torch import Tensor

from unnoise.errors import UserError

RATIO = 1 / 3


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
    distances = torch.cdist(samples.flatten(1), training.flatten(1))
    if mirrored:
        distances = torch.minimum(distances, torch.cdist(samples.flip(3).flatten(1), training.flatten(1)))
    first, second = distances.topk(2, largest=False).values.unbind(1)
    return first < ratio * second
