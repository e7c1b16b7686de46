"""Whether samples are copies of training images, and how often real images look as if they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from unnoise.data.buckets import AnyImages
from unnoise.data.near_duplicates import all_small, grouped, small, small_size
from unnoise.metrics.copies import Likeness, likeness
from unnoise.seeding import generator

WATCHED = 5000
"""Images of a set that is watched, at most: those are what a model learns by heart."""
FINE = 16
"""Pixels a side from which on images are compared smoothed and moved."""
SAME, VARIANTS = 0.005, 0.02
"""Relative squared distance of what is compared, up to which two training images are one image, as where one was
encoded twice, and variants of one motif, as emoji of several skin tones (docs/guard.md)."""
REAL = 500
"""Real images at most whose share of copies is the base rate."""
MOVES = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
ROWS = 64


class CopyWatch:
    """Looks for copies of training images among samples (`metrics.copies`), by pixels at 32 a side at most, smoothed
    over 3 x 3 of them; a sample that is moved by a pixel, or mirrored where training mirrors, is the same image.
    Training images that look the same, or have one group in the metadata, are not told apart; a sample near a variant
    of a motif is a copy only where it is far nearer to it than to the next variant. Images of several shapes are
    compared as squares.

    Args:
        images: those trained on, of two groups at least.
        mirrored: whether training shows mirror images.
        held_out: images of the same kind that are not trained on; None where there are none.
    """

    def __init__(self, images: AnyImages, mirrored: bool, held_out: AnyImages | None = None) -> None:
        self.images, self.mirrored = images, mirrored
        self._held_out = held_out
        self._size = small_size(images)
        self._training = _smoothed(all_small(images))
        self._same, self._variants = (
            torch.from_numpy(grouped(images, near=near, seen=self._training).number) for near in (SAME, VARIANTS)
        )

    @property
    def can_tell(self) -> bool:
        """Whether there are motifs enough: one that an image belongs to, and two that it can be compared with."""
        return int(self._variants.max()) >= 2

    def look(self, samples: Tensor) -> Likeness:
        """How near images (N, C, H, W) come to the training images."""
        return self._near(small(samples.float().cpu(), self._size))

    def pictures(self, rows: Sequence[int], size: torch.Size) -> Tensor:
        """(n, C, H, W): the training images at rows; those of another shape are brought to the (H, W), to be looked
        at."""
        images = [self.images.batch([row]).image for row in rows]
        return torch.cat(
            [
                image if image.shape[-2:] == size else F.interpolate(image, size, mode="bilinear", antialias=True)
                for image in images
            ]
        )

    @cached_property
    def real(self) -> tuple[int, int]:
        """(copies, of how many): what the same criterion finds among real images. These are the held-out images, and
        training images against those of other motifs, REAL in all at most."""
        draws, found = generator(0), []
        if self._held_out is not None:
            rows = torch.randperm(len(self._held_out), generator=draws)[:REAL].sort().values
            found.append(self._near(self._some(self._held_out, rows)).copies())
        left = REAL - sum(len(part) for part in found)
        rows = torch.randperm(len(self.images), generator=draws)[:left].sort().values
        if len(rows):
            found.append(self._near(self._some(self.images, rows), self._variants[rows]).copies())
        copied = torch.cat(found)
        return int(copied.sum()), len(copied)

    def _some(self, images: AnyImages, rows: Tensor) -> Tensor:
        """Rows (n,), rising, of a set, at the size of comparison."""
        return all_small(images.subset(rows.numpy()), self._size)

    def _near(self, images: Tensor, without: Tensor | None = None) -> Likeness:
        """Of images at the size of comparison; without (N,): the motif of each, which is not looked at."""
        excluded = [None] * len(images.split(ROWS)) if without is None else without.split(ROWS)
        return _joined(
            [
                likeness(self._views(part), self._training, self._same, self._variants, motifs)
                for part, motifs in zip(images.split(ROWS), excluded, strict=True)
            ]
        )

    def _views(self, images: Tensor) -> Iterator[Tensor]:
        height, width = images.shape[-2:]
        for image in [images, *([images.flip(3)] if self.mirrored else [])]:
            if min(height, width) <= FINE:
                yield image.flatten(1)
                continue
            padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
            for down, right in MOVES:
                yield _smoothed(padded[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width])


def _smoothed(images: Tensor) -> Tensor:
    """(N, D): means over 3 x 3 pixels, at every second one; of small images the pixels."""
    if min(images.shape[-2:]) <= FINE:
        return images.flatten(1)
    return F.avg_pool2d(images, 3, 2, 1, count_include_pad=False).flatten(1)


def _joined(parts: list[Likeness]) -> Likeness:
    return Likeness(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Likeness)))
