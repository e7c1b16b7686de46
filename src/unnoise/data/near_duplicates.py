"""Images of a set that belong together: near-duplicates, and those whose metadata name one group."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from unnoise.data.blocks import blocks
from unnoise.data.buckets import AnyImages

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 32
"""Pixels a side at which images are compared."""
NEAR = 0.05
"""Squared distance over the sum of the squared distances to the mean image, up to which two images are
near-duplicates; it is 1 for images that have nothing in common."""
MOST = 10_000
"""Images up to which all pairs are compared, which takes a few seconds; of more only equal ones are found."""
TILE = 1024
FLOAT = 4
"""Bytes."""
GROUP = "groups"


@dataclass(frozen=True, eq=False)
class Groups:
    """number (N,): of the group of each image, from 0 on in the order of their first images. compared: whether pairs
    were compared, rather than equal images alone found."""

    number: np.ndarray
    compared: bool

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many images each group has."""
        return np.bincount(self.number)

    @property
    def shared(self) -> int:
        """How many groups have more than one image."""
        return int((self.sizes > 1).sum())


def grouped(
    images: AnyImages,
    *,
    by_metadata: bool = True,
    near: float = NEAR,
    seen: Tensor | None = None,
) -> Groups:
    """Groups of images that are linked by near-duplicates, one to the next, and by their `group` in the metadata.

    by_metadata: whether the latter counts. near: the relative squared distance up to which images are near-duplicates.
    seen: what is compared of the images, (N, ...); `all_small` of them by default.
    """
    compared = len(images) <= MOST
    links = [_equal(set_digests(images))]
    if compared:
        links += _near((all_small(images) if seen is None else seen).flatten(1), near)
    if by_metadata and GROUP in images.fields:
        names = images.fields[GROUP]
        links.append(_equal([name or row for row, name in enumerate(names)]))
    rows, columns = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(images), len(images)))
    _, number = connected_components(graph, directed=False)
    _, first, of_first = np.unique(number, return_index=True, return_inverse=True)
    return Groups(np.argsort(np.argsort(first))[of_first], compared)


def digests(pixels: np.ndarray) -> list[bytes]:
    """One per image of pixels (N, C, H, W): equal for equal images."""
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in pixels]


def set_digests(images: AnyImages) -> list[bytes]:
    """`digests` of a set, bucket by bucket; images of two shapes have different ones."""
    return [repr(part.shape).encode() + digest for part in images.buckets for digest in digests(part.pixels)]


def small_size(images: AnyImages) -> tuple[int, int]:
    """(height, width), SIDE at most, at which the images of a set are compared: a square where there are buckets."""
    if len(images.buckets) > 1:
        side = min(SIDE, *(side for part in images.buckets for side in part.shape[1:]))
        return side, side
    height, width = images.shape[1:]
    return min(height, SIDE), min(width, SIDE)


def small(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (N, C, H, W) at a (height, width), by averaging."""
    from torch.nn import functional as F

    return F.adaptive_avg_pool2d(images, size)


def all_small(images: AnyImages, size: tuple[int, int] | None = None) -> Tensor:
    """`small` of a whole set, at its `small_size` unless a size is given, a block at a time."""
    import torch

    size = size or small_size(images)
    return torch.cat(
        [
            small(part.batch(np.arange(rows.start, rows.stop)).image, size)
            for part in images.buckets
            for rows in blocks(len(part), FLOAT * part.pixels[:1].nbytes)
        ]
    )


def _equal(keys: list) -> np.ndarray:
    """(2, L): each row linked to the row before it with the same key."""
    rows: dict[object, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    links = [pair for found in rows.values() for pair in pairwise(found)]
    return np.array(links, np.int64).reshape(-1, 2).T


def _near(x: Tensor, near: float) -> list[np.ndarray]:
    """(2, L) each: pairs of near-duplicates among the rows of x (N, D), a tile at a time."""
    import torch

    x = x - x.mean(0)
    squared = x.square().sum(1)
    links = []
    for rows in _tiles(len(x)):
        rest = slice(rows.start, len(x))
        sums = squared[rows, None] + squared[rest]
        distances = torch.addmm(sums, x[rows], x[rest].T, alpha=-2)
        pairs = (distances <= near * sums).nonzero().T + rows.start
        links.append(pairs[:, pairs[0] < pairs[1]].numpy())
    return links


def _tiles(count: int) -> Iterator[slice]:
    return (slice(start, min(start + TILE, count)) for start in range(0, count, TILE))
