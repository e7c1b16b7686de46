"""Data as it is, not as one would have it: few images, noisy ones, wrong labels, rare classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from unnoise.data import Images
from unnoise.io.picture_reader import through_jpeg

NOISE = 0.25
"""The standard deviation of pixel noise, as a fraction of the range from black to white."""
QUALITY = 10
"""Of JPEG files, of 100."""
WRONG = 0.3
"""The fraction of labels that name another class."""
RARER = 0.6
"""How many images each class has, relative to the one before: the last of ten has 1 %."""


def few(images: Images, count: int, seed: int) -> Images:
    """`count` images at random."""
    rows = np.random.default_rng(seed).choice(len(images), count, replace=False)
    return images.subset(np.sort(rows))


def noisy(images: Images, seed: int) -> Images:
    """Every pixel with Gaussian noise."""
    noise = np.random.default_rng(seed).normal(0, 255 * NOISE, images.pixels.shape)
    return with_pixels(images, np.clip(np.rint(images.pixels + noise), 0, 255))


def jpeg(images: Images, seed: int) -> Images:
    """Every image as a JPEG file of low quality leaves it."""
    return with_pixels(images, np.stack([compressed(pixels) for pixels in images.pixels]))


def compressed(pixels: np.ndarray) -> np.ndarray:
    """One image (C, H, W), written as JPEG and read again."""
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return np.atleast_3d(np.asarray(through_jpeg(picture, QUALITY))).transpose(2, 0, 1)


def wrong_labels(images: Images, seed: int) -> Images:
    """A fraction of the labels name another class, drawn at random."""
    assert images.labels is not None
    random, classes = np.random.default_rng(seed), len(images.classes)
    others = (images.labels + random.integers(1, classes, len(images))) % classes
    labels = np.where(random.random(len(images)) < WRONG, others, images.labels)
    return replace(images, fields={**images.fields, "labels": labels}, fingerprint="")


def imbalanced(images: Images, seed: int) -> Images:
    """Each class has RARER times as many images as the one before; at least two of each."""
    assert images.labels is not None
    order = np.random.default_rng(seed).permutation(len(images))
    most, kept = np.bincount(images.labels).max(), []
    for label in range(len(images.classes)):
        rows = order[images.labels[order] == label]
        kept.append(rows[: max(2, round(most * RARER**label))])
    return images.subset(np.sort(np.concatenate(kept)))


def with_pixels(images: Images, pixels: np.ndarray) -> Images:
    """The images with other pixels (N, C, H, W), and so with another fingerprint and without latents."""
    return replace(images, pixels=pixels.astype(np.uint8), latents=None, fingerprint="")


SPOILED: dict[str, Callable[[Images, int], Images]] = {
    "pixel noise": noisy,
    "JPEG": jpeg,
    "imbalanced": imbalanced,
}
"""What all families are trained on; wrong labels are for those that read them."""
