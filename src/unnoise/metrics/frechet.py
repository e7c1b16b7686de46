"""The Frechet distance of two Gaussians: FID when the features are Inception's (Heusel et al. 2017, equation 6)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from unnoise.errors import UserError
from unnoise.metrics.statistics import Array, FeatureStatistics

ASYMMETRY = 1e-5
NEGATIVE = 1e-4
"""The largest negative eigenvalue, as a fraction of the largest one, that passes for rounding (float32 covariances)."""


@dataclass(frozen=True)
class Frechet:
    """A squared distance |mean_1 - mean_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)), and how well it is conditioned.

    mean_term + covariance_term = distance. ranks: the numerical ranks of the covariances, of `dim` at most.
    """

    distance: float
    mean_term: float
    covariance_term: float
    ranks: tuple[int, int]
    dim: int

    @property
    def near_singular(self) -> bool:
        """Whether a covariance lacks rank: too few images, or features that never vary or repeat one another."""
        return min(self.ranks) < self.dim


def frechet_distance(mean_1: Array, cov_1: Array, mean_2: Array, cov_2: Array) -> float:
    """|mean_1 - mean_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)) (Dowson & Landau 1982; squared, as FID is quoted).

    means (D,), covariances (D, D), arrays or tensors of any precision. Warns when a covariance is near-singular: the
    distance is then that of the Gaussians on the span of the data, exact for them, but biased for the images.
    Raises UserError for shapes that do not fit, numbers that are not finite and matrices that are no covariances.
    """
    result = frechet(mean_1, cov_1, mean_2, cov_2)
    if result.near_singular:
        warnings.warn(
            f"near-singular covariances: their ranks are {result.ranks[0]} and {result.ranks[1]} of {result.dim}; "
            "use more images than dimensions, or features that all vary",
            stacklevel=2,
        )
    return result.distance


def frechet_of(statistics_1: FeatureStatistics, statistics_2: FeatureStatistics) -> Frechet:
    """The Frechet distance between two streams of features; raises UserError when one holds fewer than two images."""
    one, two = statistics_1, statistics_2
    return frechet(one.mean, one.covariance, two.mean, two.covariance)


def frechet(mean_1: Array, cov_1: Array, mean_2: Array, cov_2: Array) -> Frechet:
    """As `frechet_distance`, with the terms and the ranks, and without a warning.

    With C_i = L_i L_i^T the eigenvalues of C_1 C_2 are the squared singular values of L_1^T L_2, so the trace of the
    root is a sum of singular values: no small eigenvalue, wrong by 1e-16, is blown up to 1e-8 by a root. L_i has as
    many columns as C_i has rank.
    """
    means, covs = _gaussians(mean_1, cov_1, mean_2, cov_2)
    roots = [_root(cov) for cov in covs]
    mean_term = float((means[0] - means[1]).square().sum())
    traces = float(covs[0].trace() + covs[1].trace())
    covariance_term = max(0.0, traces - 2 * float(torch.linalg.svdvals(roots[0].T @ roots[1]).sum()))
    ranks = (roots[0].shape[1], roots[1].shape[1])
    return Frechet(mean_term + covariance_term, mean_term, covariance_term, ranks, len(means[0]))


def _root(cov: Tensor) -> Tensor:
    """L (D, rank) with cov = L L^T up to rounding, from the eigenvalues that are not rounding themselves."""
    values, vectors = torch.linalg.eigh(cov)
    largest = float(values[-1])
    if float(values[0]) < -NEGATIVE * max(largest, 0.0):
        raise UserError(
            f"a covariance has the negative eigenvalue {float(values[0]):.3g}; the largest is {largest:.3g}"
        )
    kept = values > len(cov) * torch.finfo(cov.dtype).eps * largest
    return vectors[:, kept] * values[kept].sqrt()


def _gaussians(mean_1: Array, cov_1: Array, mean_2: Array, cov_2: Array) -> tuple[list[Tensor], list[Tensor]]:
    """The means and covariances in float64, checked."""
    means = [torch.as_tensor(mean).detach().cpu().double() for mean in (mean_1, mean_2)]
    covs = [torch.as_tensor(cov).detach().cpu().double() for cov in (cov_1, cov_2)]
    dim = len(means[0]) if means[0].ndim else 0
    shapes = [tuple(array.shape) for array in (means[0], covs[0], means[1], covs[1])]
    if dim == 0 or shapes != [(dim,), (dim, dim)] * 2:
        raise UserError(f"need a mean (D,) and a covariance (D, D) twice, got {', '.join(map(str, shapes))}")
    if not all(bool(array.isfinite().all()) for array in (*means, *covs)):
        raise UserError("a mean or a covariance holds NaN or infinite numbers; the images or features did already")
    for cov in covs:
        gap = float((cov - cov.T).abs().max())
        if gap > ASYMMETRY * float(cov.abs().max()):
            raise UserError(f"a covariance must be symmetric; this one differs from its transpose by {gap:.3g}")
    return means, [(cov + cov.T) / 2 for cov in covs]
