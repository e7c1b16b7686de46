"""Euclidean distances between many features, a tile at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

TILE = (512, 1024)
"""Rows and columns of a tile: 4 MiB of float64, which a processor's cache holds."""
SLACK = 1e-12
"""Rounding of a squared distance, as a fraction of the largest squared norm."""


@dataclass(frozen=True)
class Tile:
    """Squared distances (rows, columns) of x[rows] to y[columns]."""

    rows: slice
    columns: slice
    squared: Tensor


@dataclass(frozen=True)
class Nearest:
    """For each query (N,): the distance to the nearest reference, and its index."""

    distance: Tensor
    index: Tensor


def tiles(x: Tensor, y: Tensor) -> Iterator[Tile]:
    """All squared distances |x_i - y_j|^2 of x (N, D) and y (M, D) in float64, rows outside, columns inside."""
    centre = y.double().mean(0)
    for rows in _slices(len(x), TILE[0]):
        left = x[rows].double() - centre
        for columns in _slices(len(y), TILE[1]):
            right = y[columns].double() - centre
            squared = torch.addmm(right.square().sum(1), left, right.T, alpha=-2)
            yield Tile(rows, columns, squared.add_(left.square().sum(1, keepdim=True)).clamp_(min=0))


def slack(x: Tensor, y: Tensor) -> float:
    """By how much two squared distances of x and y must differ to count as different."""
    centre = y.double().mean(0)
    largest = [float((part.double() - centre).square().sum(1).max()) for z in (x, y) for part in z.split(TILE[1])]
    return SLACK * max(largest)


def nearest(queries: Tensor, references: Tensor) -> Nearest:
    """The nearest of the references (M, D) for each of the queries (N, D); the first one, when several are as near."""
    squared = torch.full((len(queries),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(queries), dtype=torch.int64)
    for tile in tiles(queries, references):
        least, column = tile.squared.min(1)
        nearer = least < squared[tile.rows]
        squared[tile.rows] = torch.where(nearer, least, squared[tile.rows])
        index[tile.rows] = torch.where(nearer, column + tile.columns.start, index[tile.rows])
    return Nearest(_exact(queries, references, index), index)


def neighbour_radii(x: Tensor, ks: tuple[int, ...]) -> list[Tensor]:
    """For each k, the squared distances (N,) of every row of x (N, D) to its k-th nearest other row."""
    most = max(ks) + 1  # the row itself, at zero, is the nearest
    radii = torch.empty(len(x), most, dtype=torch.float64)
    for tile in tiles(x, x):
        least = tile.squared.topk(min(most, tile.squared.shape[1]), dim=1, largest=False).values
        known = least if tile.columns.start == 0 else torch.cat([radii[tile.rows], least], 1)
        known = torch.nn.functional.pad(known, (0, max(0, most - known.shape[1])), value=torch.inf)
        radii[tile.rows] = known.topk(most, dim=1, largest=False).values
    radii = radii.sort(1).values
    return [radii[:, k] for k in ks]


def _exact(queries: Tensor, references: Tensor, index: Tensor) -> Tensor:
    """The distances of the queries to their references by subtraction, so that a copy is at zero."""
    parts = zip(queries.split(TILE[0]), index.split(TILE[0]), strict=True)
    return torch.cat([(part.double() - references[rows].double()).norm(dim=1) for part, rows in parts])


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
