"""Precision and recall, density and coverage: fidelity and variety apart, by nearest-neighbour distances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.metrics.distances import neighbour_radii, slack, tiles
from unnoise.metrics.statistics import Array, feature_pair


@dataclass(frozen=True)
class Estimate:
    """A mean over images and its standard error, the other set taken as given."""

    value: float
    stderr: float


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
    precision, recall = _estimate(inside_y), _estimate(inside_x)
    return PrecisionRecall(precision, recall, _estimate(holders, density_k), _estimate(covered), k, density_k)


def _estimate(values: Tensor, unit: int = 1) -> Estimate:
    """The mean of counts, in units; counts are added exactly, so that no order matters."""
    values = values.double()
    return Estimate(float(values.sum() / (len(values) * unit)), float(values.std() / len(values) ** 0.5 / unit))
