"""Precision and recall, density and coverage: fidelity and variety apart, by nearest-neighbour distances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.metrics.distances import neighbour_radii, slack, tiles
from unnoise.metrics.statistics import Array, feature_pair
from unnoise.seeding import generator

PARTS, PARTITIONS = 3, 8
"""Errors come from so many disjoint parts, of so many random partitions. The variance of density times n still changes
with n, because fewer images have wider neighbourhoods that overlap more, so the parts are large: its error is up to 1.5
times too large in few dimensions at a few hundred images, never a third too small."""
SMALLEST_PART = 50


@dataclass(frozen=True)
class Estimate:
    """A value, and its standard deviation over repetitions that draw both sets anew; None for too few images."""

    value: float
    stderr: float | None


@dataclass(frozen=True)
class PrecisionRecall:
    """Fidelity and variety of samples.

    Args:
        precision: a fraction in [0, 1].
        recall: a fraction in [0, 1].
        density: at least 0, about 1 for equal distributions.
        coverage: a fraction in [0, 1].
        k: the neighbour whose distance is the radius in precision and recall.
        density_k: the same in density and coverage.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate
    k: int
    density_k: int


def precision_recall(samples: Array, references: Array, *, k: int = 3, density_k: int = 5) -> PrecisionRecall:
    """Four numbers from the neighbourhoods of images, which reach to the k-th nearest neighbour in an image's own set.

    precision: fraction of the samples in a reference's neighbourhood; recall: fraction of the references in a sample's
    (Kynkaanniemi et al. 2019, equations 1-2, borders included, k = 3). density: mean number of references whose
    neighbourhood a sample lies in, over k; coverage: fraction of the references whose neighbourhood holds a sample
    (Naeem et al. 2020, section 3, borders excluded, k = 5; a sample that equals a reference covers it).

    Args:
        samples: features (N, D). Recall and coverage fall as N falls, so quote N and M.
        references: features (M, D).
        k: of precision and recall.
        density_k: of density and coverage.

    Raises:
        UserError: when a set has no k-th neighbour, and for NaN and widths that differ.
    """
    if min(k, density_k) < 1:
        raise UserError(f"k must be at least 1, got {k} and {density_k}")
    x, y = feature_pair(samples, references, ("samples", "references"), at_least=max(k, density_k) + 1)
    values = _values(x, y, k, density_k)
    errors = _errors(x, y, k, density_k)
    precision, recall, density, coverage = map(Estimate, values, errors)
    return PrecisionRecall(precision, recall, density, coverage, k, density_k)


def _values(x: Tensor, y: Tensor, k: int, density_k: int) -> tuple[float, ...]:
    """Precision, recall, density and coverage."""
    slack_y = slack(x, y)
    radii_x = neighbour_radii(x, (k,))[0]
    radii_y, density_radii = neighbour_radii(y, (k, density_k))
    inside_y, holders = torch.zeros(len(x), dtype=torch.bool), torch.zeros(len(x), dtype=torch.float64)
    inside_x = torch.zeros(len(y), dtype=torch.bool)
    closest = torch.full((len(y),), torch.inf, dtype=torch.float64)
    for tile in tiles(y, x):
        own, other = tile.rows, tile.columns
        inside_y[other] |= (tile.squared <= radii_y[own, None] + slack_y).any(0)
        inside_x[own] |= (tile.squared <= radii_x[other] + slack_y).any(1)
        holders[other] += (tile.squared < density_radii[own, None] - slack_y).sum(0)
        closest[own] = torch.minimum(closest[own], tile.squared.min(1).values)
    covered = (closest < density_radii - slack_y) | (closest <= slack_y)
    # Counts are added exactly, so that no order of the rows matters.
    return (
        float(inside_y.double().mean()),
        float(inside_x.double().mean()),
        float(holders.sum() / (len(x) * density_k)),
        float(covered.double().mean()),
    )


def _errors(x: Tensor, y: Tensor, k: int, density_k: int) -> list[float | None]:
    """Standard errors from disjoint parts of both sets, whose variance is that of all images times their number."""
    parts = min(PARTS, min(len(x), len(y)) // SMALLEST_PART)
    if parts < 2:
        return [None] * 4
    variances = []
    for partition in range(PARTITIONS):
        pieces = zip(*(_pieces(z, parts, partition, index) for index, z in enumerate((x, y))), strict=True)
        found = torch.tensor([_values(a, b, k, density_k) for a, b in pieces], dtype=torch.float64)
        variances.append(found.var(0) / parts)
    return torch.stack(variances).mean(0).sqrt().tolist()


def _pieces(z: Tensor, parts: int, *keys: int) -> list[Tensor]:
    order = torch.randperm(len(z), generator=generator(*keys))
    return [z[rows] for rows in order.tensor_split(parts)]


def inside(samples: Array, references: Array, *, k: int = 3) -> Tensor:
    """Which samples (N,) lie in the neighbourhood of a reference, as in precision."""
    x, y = feature_pair(samples, references, ("samples", "references"), at_least=k + 1)
    found, limits = torch.zeros(len(x), dtype=torch.bool), neighbour_radii(y, (k,))[0] + slack(x, y)
    for tile in tiles(y, x):
        found[tile.columns] |= (tile.squared <= limits[tile.rows, None]).any(0)
    return found
